"""A process that opens broken files and is watched: what it may use, read and run, and what each file cost.

It reads ranges of numbers ("0 500") from stdin. Before each file it prints its number, and after it one line of JSON; a
process that ends between the two crashed on that file.
"""

import json
import os
import resource
import shutil
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

MEMORY = 64 << 20
"""Bytes that opening files may take beyond what the process has, and for each byte of theirs 64 more."""
WRITTEN = 192 << 20
"""Bytes more where a chat template writes as much as it may, 1 MiB, which is then cut into tokens."""
SPACE = 2 << 30  # of addresses beyond those that the process has: what asks for more gets none, and is found out
SECONDS = 5
_OWN = tuple(
    {
        sys.prefix,
        sys.base_prefix,
        *sysconfig.get_paths().values(),
        "/proc",
        "/sys",
        "/usr",
        "/lib",
        "/dev/null",
        "/dev/urandom",
    }
)
_RUNS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "subprocess.Popen",
    "pty.spawn",
    "ctypes.dlopen",
    "pickle.find_class",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "shutil.rmtree",
)


class Watch:
    """An audit hook: notes every file that is opened outside a folder, and everything that runs code."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.found: list[str] = []
        self._here = str(Path(__file__).parents[2])
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        folder = self.folder
        if folder is None:
            return
        if event in ("open", "os.listdir", "os.scandir") and not isinstance(arguments[0], int):
            mode = arguments[1] if event == "open" and len(arguments) > 1 else "r"
            self.folder = None  # what follows is this hook's own
            self._opened(os.fsdecode(arguments[0]), str(mode), folder)
            self.folder = folder
        elif event in _RUNS:
            self.found.append(f"{event} {arguments!r}"[:200])
        elif event == "exec" and not self._known(arguments[0].co_filename):
            self.found.append(f"runs {arguments[0].co_filename}")

    def _opened(self, path: str, mode: str, folder: str) -> None:
        real = os.path.realpath(path)
        beside = (f"{folder}.json", str(Path(folder).with_name("base")))  # its manifest; an adapter's model
        inside = real.startswith((folder + os.sep, *beside)) or real == folder
        if not inside and not (mode in ("r", "rb", "None") and real.startswith((*_OWN, self._here))):
            self.found.append(f"opens {real} ({mode})")
        elif any(letter in mode for letter in "wax+"):
            self.found.append(f"writes {real}")

    def _known(self, name: str) -> bool:
        """Modules that are imported late, and templates, which Jinja compiles to code of their own."""
        return name in ("<template>", "<string>", "<unknown>") or name.startswith((*_OWN, self._here, "<frozen"))


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


class Gauge:
    """How far resident memory rises above where it stood."""

    def __init__(self) -> None:
        self._linux = Path("/proc/self/clear_refs").exists()
        self._before = 0

    def start(self) -> None:
        if self._linux:
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        self._before = self._peak() if not self._linux else _memory("VmRSS")

    def risen(self) -> int:
        return max((_memory("VmHWM") if self._linux else self._peak()) - self._before, 0)

    def _peak(self) -> int:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def write_case(case: "dict[str, Any]", folder: Path) -> int:
    """Put a case's files into an empty folder; give how many bytes they have."""
    from tests.fuzz.mutate import Odd

    size = 0
    for name, content in case.items():
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
            size += len(content)
        elif isinstance(content, Odd) and content.kind == "link":
            path.symlink_to(content.target)
        elif content.kind == "folder":
            path.mkdir()
        elif content.kind == "pipe":
            os.mkfifo(path)
    return size


def surroundings(root: Path) -> None:
    """Put files beside the cases' folder that links lead to; none of them may be read."""
    outside = root / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('{"secret": "puna-canary"}')
    (outside / "secret.gguf").write_bytes(b"GGUF")


def _limit_processor() -> None:
    """End this process where one file takes SECONDS of the processor's time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + SECONDS + 2
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main(seed: int, planted: bool) -> None:
    """Open what stdin asks for; `planted` puts known faults in the readers' place."""
    from tests.fuzz.choices import Numbered
    from tests.fuzz.mutate import mutated
    from tests.fuzz.planted import FAULTS
    from tests.fuzz.seeds import make_seeds
    from tests.fuzz.targets import TARGETS, prepare, verdict

    prepare()
    seeds = make_seeds()
    kinds = [each for each in seeds for _ in range(each.weight)]
    watch, gauge = Watch(), Gauge()
    with tempfile.TemporaryDirectory(prefix="puna-fuzz-") as name:
        root = Path(name).resolve()
        surroundings(root)
        folder = root / "case"

        def opened(target: str, case: "dict[str, Any]") -> dict[str, Any]:
            folder.mkdir()
            try:
                size = write_case(case, folder)
                gauge.start()
                watch.folder, before = str(folder), time.process_time()
                outcome, what = verdict(target, folder)
                watch.folder, took = None, time.process_time() - before
                risen = gauge.risen()
            finally:
                watch.folder = None
                shutil.rmtree(folder)
            if watch.found:
                outcome, what = "failed", "; ".join(watch.found)
                watch.found.clear()
            elif outcome != "failed" and risen > MEMORY + 64 * size + (
                WRITTEN if target in ("model", "tokens") else 0
            ):
                outcome, what = "failed", f"takes {risen >> 20} MiB"
            elif outcome != "failed" and took > SECONDS:
                outcome, what = "failed", f"takes {took:.1f} s"
            return {"outcome": outcome, "what": what, "seconds": round(took, 3), "risen": risen, "target": target}

        for again in (False, True):  # the first time for all imports and all memory that sound files need
            for each in seeds:
                found = opened(each.target, dict(each.files))
                if again and found["outcome"] != "loaded":
                    raise SystemExit(f"the sound file {each.name} is {found}")
        if hasattr(resource, "RLIMIT_AS") and (space := _memory("VmSize")):
            resource.setrlimit(resource.RLIMIT_AS, (space + SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
        print("ready", flush=True)
        for line in sys.stdin:
            first, last = map(int, line.split())
            for index in range(first, last):
                choices = Numbered(seed, index)
                each = choices.pick(kinds)
                case = mutated(each.files, choices)
                if planted:
                    TARGETS.update(dict.fromkeys(TARGETS, FAULTS[index][0]))
                _limit_processor()
                print(index, each.name, flush=True)
                print(json.dumps({"index": index, "seed": each.name, **opened(each.target, case)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), "planted" in sys.argv)

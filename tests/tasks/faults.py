"""Files that many questions and kept texts write, on a disk that fails call by call: run by test_faults.py with the shim.

python -m tests.tasks.faults (many|kept) SHIM FOLDER [PLANTED] prints {"points": N, "failures": [...]}.
"""

import errno
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import puna.weights.write as write_module
from puna.errors import InputError
from puna.tasks.ask_many import Run
from puna.tasks.many_rows import ManyRows
from puna.weights.kept_folder import KeptFolder
from tests.library.faults import OPEN, RENAME, SYNC, TRUNCATE, UNLINK, WRITE, loaded_shim

ERRORS = dict.fromkeys((OPEN, SYNC, TRUNCATE, UNLINK, RENAME), (errno.EIO,)) | {WRITE: (errno.ENOSPC, errno.EIO)}
ROWS = 7
NAME, CONTENT = f"{'0' * 16}-{'1' * 48}.safetensors", b"what was read" * 1000


class Many:
    """A file of questions answered to its end, or up to an error; whoever comes after it goes on from there."""

    def __init__(self, folder: Path) -> None:
        self.rows, self.output = folder.parent / "rows.jsonl", folder / "out.jsonl"
        rows = [{"question": f"Who won {n}?", "text": f"Ann won {n % 3}."} for n in range(ROWS)]
        self.rows.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.expected = b"".join(b'{"row": %d}\n' % n for n in range(1, ROWS + 1))

    def run(self) -> tuple[int, str]:
        """Give how many rows are done for certain, and the error's code."""
        done = 0
        try:
            run = Run(ManyRows(self.rows, self.output.parent), self.output, "how")
            done = run.done
            for row in run.waiting():
                run.add(row.number, b'{"row": %d}' % row.number)
                done += 1
            run.finish()
        except InputError as error:
            return done, error.code
        return done, ""

    def wrong(self, kind: int, found: tuple[int, str]) -> str:
        """Say what is wrong afterwards, when the disk is sound again."""
        done, code = found
        if code not in ("", "E-OUTPUT-WRITE"):
            return f"said {code}"
        if self.output.exists():
            if self.output.read_bytes() != self.expected:
                return "what was written is not whole"
        elif not code:
            return "it said nothing"
        if (
            not self.output.exists()
            and (kept := Run(ManyRows(self.rows, self.output.parent), self.output, "how").done) < done
        ):
            return f"{done} rows were done, {kept} are kept"
        if self.run() != (ROWS, "") or self.output.read_bytes() != self.expected:
            return "it does not go on"
        left = {path.name for path in self.output.parent.iterdir()} - {"out.jsonl"}
        return f"left {left}" if left and kind != UNLINK else ""


class Kept:
    """A file for `--keep`: there whole under its name, or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = KeptFolder(folder)

    def run(self) -> bool:
        """Tell whether it was kept."""
        with suppress(OSError):
            with self.folder.writing(NAME) as path:
                path.write_bytes(CONTENT)
            return True
        return False

    def wrong(self, kind: int, found: bool) -> str:
        """Say what is wrong afterwards."""
        path = self.folder.path / NAME
        if found and not path.exists():
            return "it is not there"
        if path.exists() and path.read_bytes() != CONTENT:
            return "it is not whole"
        left = {each.name for each in self.folder.path.iterdir()} - {NAME}
        return f"left {left}" if left and kind != UNLINK else ""


def fail_calls(shim: str, folder: Path, make: Callable[[Path], Many | Kept]) -> Iterator[tuple[str, str]]:
    """Let the k-th call of each kind fail, for every k, once and from then on."""
    loaded, count = loaded_shim(shim), 0
    for kind, numbers in ERRORS.items():
        for number in numbers:
            for forever in (0, 1):
                k = hits = 1
                while hits:
                    work = folder / str(count) / "work"
                    work.mkdir(parents=True)
                    scenario: Any = make(work)
                    loaded.shim_watch(str(work).encode())
                    loaded.shim_fail(kind, k, number, forever)
                    try:
                        found, problem = scenario.run(), ""
                    except Exception as error:
                        problem = repr(error)
                    hits = loaded.shim_failed()
                    loaded.shim_fail(-1, 0, 0, 0)
                    name = f"{kind} {errno.errorcode[number]} {k} {forever}"
                    yield name, problem or scenario.wrong(kind, found)
                    k, count = k + 1, count + 1


def plant(bug: str) -> None:
    """Put a bug in that the run has to find: an output that is written where it will be."""
    if bug == "in place":
        write_module.place = lambda staged, target, aside: target.write_bytes(staged.read_bytes())


def main(mode: str, shim: str, folder: str, bug: str = "") -> None:
    plant(bug)
    points, failures = 0, []
    for name, wrong in fail_calls(shim, Path(folder), Many if mode == "many" else Kept):
        points += 1
        failures += [f"{name}: {wrong}"] if wrong else []
    print(json.dumps({"points": points, "failures": failures}))


if __name__ == "__main__":
    main(*sys.argv[1:])

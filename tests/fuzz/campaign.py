"""Many broken files in worker processes, counted; what fails is kept with all that is needed to see it again."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.fuzz.choices import Numbered
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import make_seeds
from tests.fuzz.worker import SECONDS, write_case

ROOT = Path(__file__).parents[2]
BLOCK = 250  # files that a worker is given at a time
SILENCE = 120  # seconds without a word from a worker: it waits for something that does not come


@dataclass
class Failure:
    index: int
    seed: str
    what: str


@dataclass
class Result:
    """What came of the files so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slowest: float = 0.0
    risen: int = 0

    @property
    def files(self) -> int:
        return sum(self.outcomes.values())

    def add(self, found: dict[str, Any]) -> None:
        self.outcomes[found["outcome"]] += 1
        if found["outcome"] == "refused":
            self.codes[found["what"]] += 1
        self.slowest, self.risen = (
            max(self.slowest, found.get("seconds", 0.0)),
            max(self.risen, found.get("risen", 0)),
        )
        if found["outcome"] == "failed":
            self.failures.append(Failure(found["index"], found["seed"], found["what"]))


class _Worker:
    """One process, the block of files that it has, and the file that it is at."""

    def __init__(self, seed: int, planted: bool) -> None:
        command = [sys.executable, "-m", "tests.fuzz.worker", str(seed), *(["planted"] if planted else [])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "OMP_NUM_THREADS": "1",
        }
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  what it writes to stderr; panics of libraries, too
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said
        )
        self.at: tuple[int, str] | None = None
        self.block: range | None = None
        self.waiting = b""
        self.ready = False

    @property
    def out(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def give(self, block: range) -> None:
        self.block, self.at = block, None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{block.start} {block.stop}\n".encode())
        self.process.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Give its exit code and its last words."""
        self.process.kill()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        self.out.close()
        code = self.process.wait()
        self.said.seek(max(self.said.seek(0, os.SEEK_END) - 2000, 0))
        words = self.said.read().decode("utf-8", "replace")
        self.said.close()
        return code, words


def run(
    seed: int,
    files: range,
    workers: int = 1,
    told: Callable[[Result], None] = lambda result: None,
    done: Callable[[int], None] = lambda index: None,
    planted: bool = False,
) -> Result:
    """Open the files of these numbers, each in one of several processes; `done` hears up to where all are opened."""
    result, blocks = Result(), [files[at : at + BLOCK] for at in range(0, len(files), BLOCK)]
    todo, open_blocks = iter(blocks), {block.start: block.stop for block in blocks}
    selector = selectors.DefaultSelector()
    team: list[_Worker] = []

    def hire(block: range | None) -> None:
        worker = _Worker(seed, planted)
        worker.block = block
        team.append(worker)
        selector.register(worker.out, selectors.EVENT_READ, worker)

    def dismiss(worker: _Worker) -> tuple[int, str]:
        selector.unregister(worker.out)
        team.remove(worker)
        return worker.end()

    def heard(worker: _Worker, line: bytes) -> None:
        if line.startswith(b"{"):
            found = json.loads(line)
            result.add(found)
            told(result)
            worker.at = None
            assert worker.block is not None
            if found["index"] == worker.block.stop - 1:
                _finish(open_blocks, worker.block, done, files)
                following = next(todo, None)
                if following is None:
                    dismiss(worker)
                else:
                    worker.give(following)
        elif line == b"ready":
            worker.ready = True
            block = worker.block or next(todo, None)
            if block is None:
                dismiss(worker)
            else:
                worker.give(block)
        elif line[:1].isdigit():
            number, name = line.split(b" ", 1)
            worker.at = int(number), name.decode()

    def lost(worker: _Worker, why: str | None) -> None:
        """A worker ended, or was ended, in the middle of a file: that one failed, and another goes on behind it."""
        at, block, (code, words) = worker.at, worker.block, dismiss(worker)
        if not worker.ready or at is None or block is None:  # that is the fuzzer's own fault
            raise RuntimeError(f"a worker ended before it opened a file, with {code}: {words}")
        what = why or (f"takes over {SECONDS} s" if code == -24 else f"ends the process with {code}")
        result.add({"outcome": "failed", "index": at[0], "seed": at[1], "what": what})
        rest = range(at[0] + 1, block.stop)
        if rest:
            hire(rest)
            open_blocks[rest.start] = rest.stop
            open_blocks.pop(block.start, None)
        else:
            _finish(open_blocks, block, done, files)
            hire(None)

    try:
        for _ in range(min(workers, len(blocks))):
            hire(None)
        while team:
            ready = selector.select(SILENCE)
            if not ready:
                for worker in team:
                    lost(worker, f"waits for more than {SILENCE} s") if worker.ready else None
            for key, _ in ready:
                worker = key.data
                raw = os.read(worker.out.fileno(), 1 << 16)
                if not raw:
                    lost(worker, None)
                    continue
                *lines, worker.waiting = (worker.waiting + raw).split(b"\n")
                for line in lines:
                    if worker in team:
                        heard(worker, line)
    finally:
        for worker in team:
            dismiss(worker)
    return result


def _finish(open_blocks: dict[int, int], block: range, done: Callable[[int], None], files: range) -> None:
    open_blocks.pop(block.start, None)
    done(min(open_blocks, default=files.stop))


def keep(seed: int, failure: Failure, folder: Path) -> Path:
    """Write the files of a failure, and what happened, into a folder of their own."""
    kinds = {each.name: each for each in make_seeds()}
    choices = Numbered(seed, failure.index)
    choices.pick([each for each in make_seeds() for _ in range(each.weight)])
    place = folder / f"{seed}-{failure.index}-{failure.seed}"
    if not place.exists():
        place.mkdir(parents=True)
        write_case(mutated(kinds[failure.seed].files, choices), place)
    (folder / f"{place.name}.txt").write_text(
        f"seed {seed}, file {failure.index}, {failure.seed}: {failure.what}\n"
    )
    return place

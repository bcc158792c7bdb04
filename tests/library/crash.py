"""kill -9 at random moments of indexing: what was reported done stays, and the library answers.

python -m tests.library.crash ROUNDS [SEED [postgresql://...]] (make crash) does as many as you like.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from puna.library.segment import terms
from puna.library.store import open_store
from puna.library.types import Store

ROOT = Path(__file__).parents[2]
FILES = 24
# Says what was done as soon as it is done, one line each.
WORKER = """
import sys
from puna.library.indexing import index
from puna.library.store import open_store
store = open_store(sys.argv[1], create=True)
print("ready", flush=True)
index([sys.argv[2]], store, lambda step: print(step.what, step.path, flush=True))
print("end", flush=True)
"""
# The bug to be found: a document is told before it is written.
EARLY = """
import time
import puna.library.indexing as indexing
bring_in = indexing._bring_in
def early(path, *rest):
    print("added", path, flush=True)
    time.sleep(0.2)
    return bring_in(path, *rest)
indexing._bring_in = early
"""


def campaign(folder: Path, rounds: int, seed: int = 0, where: str | None = None, bug: str = "") -> int:
    """Kill an indexing process `rounds` times, and give how many documents were reported. Raises AssertionError."""
    draw = random.Random(seed)
    files, where = folder / "files", where or str(folder / "library")
    files.mkdir()
    before: dict[str, str] = {}  # what the library may still hold of each path
    reported = 0
    for number in range(rounds):
        now = _change(files, draw, number)
        lines = _killed(where, files, draw, bug)
        reported += len(lines)
        store = open_store(where, create=True)
        try:
            held = {entry.path: entry.digest for entry in store.entries()}
            told = {path for what, path in lines if what != "removed"}
            gone = {path for what, path in lines if what == "removed"}
            for path in told:
                assert held.get(path) == now[path], f"round {number}: {path} was reported done and is not there"
            assert not gone & held.keys(), f"round {number}: {gone & held.keys()} was reported removed"
            for path, digest in held.items():
                assert digest in (now.get(path), before.get(path)), f"round {number}: {path} is neither old nor new"
            _check(store, held)
        finally:
            store.close()
        before = held
    return reported


def _change(files: Path, draw: random.Random, number: int) -> dict[str, str]:
    """Write most files anew, delete some; give the digest of each."""
    for n in range(FILES):
        path, chance = files / f"{n:02}.txt", draw.random()
        if chance < 0.15:
            path.unlink(missing_ok=True)
        elif chance < 0.8:
            text = "\n\n".join(
                f"Round {number}, the river of file {n}: 山峰 {i}." for i in range(draw.randrange(1, 200))
            )
            path.write_text(text, "utf-8")
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files.iterdir()}


def _killed(where: str, files: Path, draw: random.Random, bug: str) -> list[tuple[str, str]]:
    """Run until a random line and a random while longer; give what was reported until the end."""
    command = [sys.executable, "-c", bug + WORKER, where, str(files)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    lines: list[str] = []
    last = draw.randrange(-1, FILES)  # -1: while the library is made or opened
    while last >= 0 and len(lines) <= last:
        line = process.stdout.readline()
        if not line or line == "end\n":
            break
        lines.append(line)
    time.sleep(draw.uniform(0, 0.02) if last >= 0 else draw.uniform(0.2, 1.0))
    process.kill()
    lines += process.stdout.read().splitlines(keepends=True)
    process.wait()
    process.stdout.close()
    parts = [line.split(maxsplit=1) for line in lines if line.endswith("\n") and " " in line]
    return [(what, path.strip()) for what, path in parts]


def _check(store: Store, held: dict[str, str]) -> None:
    assert store.check() == []
    for entry in store.entries():
        assert sha256(store.document(entry.id).text.encode()).hexdigest() == entry.digest
    assert {store.held(hit.document).path for hit in store.search(terms("river"), 100_000)} == held.keys()


if __name__ == "__main__":
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4))
    with tempfile.TemporaryDirectory() as folder:
        told = campaign(Path(folder), count, seed, sys.argv[3] if len(sys.argv) > 3 else None)
    print(f"{count} kills, seed {seed}: {told} documents were reported done, none was lost")

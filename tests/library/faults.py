"""A library whose disk fails, call by call, or loses its power: run by test_faults.py with the shim loaded.

python -m tests.library.faults (calls|power) SHIM FOLDER [PLANTED] prints {"points": N, "failures": [...]}.
"""

import ctypes
import errno
import json
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import puna.library.sqlite as store_module
import puna.library.sqlite_file as file_module
from puna.errors import LibraryError
from puna.library.passages import passages
from puna.library.sqlite import NAME, SqliteStore
from puna.library.types import Document

OPEN, READ, WRITE, SYNC, TRUNCATE, UNLINK, RENAME = range(7)
ERRORS = {
    OPEN: (errno.EMFILE, errno.EIO),
    READ: (errno.EIO,),
    WRITE: (errno.ENOSPC, errno.EIO),
    SYNC: (errno.EIO,),
    TRUNCATE: (errno.EIO, errno.ENOSPC),
    UNLINK: (errno.EIO,),
}
UNREADABLE = (READ, "E-LIBRARY-DAMAGED")  # what SQLite itself says of a disk that does not give back what it has
SECTOR = 512
HEAD = 25  # bytes of a record of the journal before its name
State = dict[str, str]
TEXT = "\n\n".join(f"Paragraph {n} of river and hill, and of 山峰 {n * n}." for n in range(60))
# A library that is there already, and what is done then: (path, text), None: removed.
BEFORE = [("a", "old words"), ("b", TEXT), ("c", "other")]
STEPS = [("a", TEXT + " new"), ("d", "fresh " + TEXT), ("b", None), ("a", "short"), ("e", "last")]


def put(store: SqliteStore, path: str, text: str | None) -> None:
    if text is None:
        store.remove([path])
    else:
        document = Document(text)
        store.put(path, "0" * 64, len(text), document, passages(document), vectors=None)


def after(state: State, path: str, text: str | None) -> State:
    return {key: kept for key, kept in {**state, path: text}.items() if kept is not None}


@dataclass
class Run:
    """What a run was told is done: `states`, the last one of which holds, and perhaps the one that was under way."""

    states: list[State]
    error: str = ""

    def allowed(self, steps: list[tuple[str, str | None]]) -> list[State]:
        done = len(self.states) - 1
        return [self.states[-1], *(after(self.states[-1], *step) for step in steps[done : done + 1])]


def run(folder: Path, state: State, steps: list[tuple[str, str | None]], told: Callable[[int], None]) -> Run:
    """Do the steps until the first error; any other than a LibraryError is a failure."""
    found = Run([state])
    try:
        store = SqliteStore(folder, create=True)
    except LibraryError as error:
        found.error = error.code
        return found
    try:
        for step in steps:
            put(store, *step)
            found.states.append(after(found.states[-1], *step))
            told(len(found.states) - 1)
    except LibraryError as error:
        found.error = error.code
        with suppress(LibraryError):
            store.search(["river"], 5)
    with suppress(LibraryError):
        store.close()
    return found


def wrong_with(folder: Path, allowed: list[State]) -> str:
    """Say what is wrong with a library afterwards: it must open, be sound, and hold one of the allowed states."""
    try:
        store = SqliteStore(folder, create=True)
        try:
            findings = store.check()
            held = {entry.path: store.document(entry.id).text for entry in store.entries()}
        finally:
            store.close()
    except LibraryError as error:
        return f"{error.code}: {error}"
    if findings:
        return str(findings)
    return "" if held in allowed else f"holds {sorted(held)}, not {[sorted(state) for state in allowed]}"


def fail_calls(shim: ctypes.CDLL, folder: Path) -> Iterator[tuple[str, str]]:
    """Let the k-th call of each kind fail, for every k, once and from then on, in a new library and in an old one."""
    work, kept = folder / "work", folder / "kept"
    shim.shim_watch(str(work).encode())
    run(kept, {}, BEFORE, lambda n: None)
    state = dict(BEFORE)
    for start, steps in (({}, BEFORE), (state, STEPS)):
        for kind, numbers in ERRORS.items():
            for number in numbers:
                for forever in (0, 1):
                    k = hits = 1
                    while hits:
                        shutil.rmtree(work, ignore_errors=True)
                        if start:
                            shutil.copytree(kept, work)
                        name = f"{'old' if start else 'new'} {kind} {errno.errorcode[number]} {k} {forever}"
                        shim.shim_fail(kind, k, number, forever)
                        problem, found = "", Run([dict(start)])
                        try:
                            found = run(work, dict(start), steps, lambda n: None)
                        except Exception as error:
                            problem = repr(error)
                        hits = shim.shim_failed()
                        shim.shim_fail(-1, 0, 0, 0)
                        if found.error not in ("", "E-LIBRARY-FILE") and (kind, found.error) != UNREADABLE:
                            problem = f"said {found.error}"
                        yield name, problem or wrong_with(work, found.allowed(steps))
                        k += 1


@dataclass
class Lost:
    """A file as a disk sees it: `synced` is certain, each of `waiting` may have happened or not."""

    synced: bytes = b""
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, bytes), or (size, None)
    certain: bool = False  # its name is on the disk
    gone: bool = False  # it was deleted, and that may be on the disk or not

    def content(self, draw: random.Random, keep: float) -> bytes:
        found = bytearray(self.synced)
        for place, data in self.waiting:
            if data is None:
                if draw.random() < keep:
                    del found[place:]
                    found += bytes(place - len(found))
                continue
            for at in range(0, len(data), SECTOR):
                if draw.random() < keep:
                    piece = data[at : at + SECTOR]
                    found += bytes(max(place + at + len(piece) - len(found), 0))
                    found[place + at : place + at + len(piece)] = piece
        return bytes(found)


def lose_power(shim: ctypes.CDLL, folder: Path) -> Iterator[tuple[str, str]]:
    """Write down all that a run does to its files; then stop after each record, and lose what was not synced."""
    work, kept, log = folder / "work", folder / "kept", folder / "log"
    shim.shim_watch(str(work).encode())
    shim.shim_journal(str(log).encode())
    found = run(work, {}, [*BEFORE, *STEPS], shim.shim_mark)
    shim.shim_journal(b"")
    shim.shim_watch(str(folder).encode())
    files: dict[str, Lost] = {}
    told, draw = 0, random.Random(1)
    records = list(read(log.read_bytes()))
    for n, (what, path, offset, data) in enumerate(records):
        if what == "M":
            told = offset
        elif path == str(work):
            if what == "S":
                files = {name: each for name, each in files.items() if not each.gone}
                for each in files.values():
                    each.certain = True
        elif not path.endswith("-shm"):
            file = files.setdefault(path, Lost())
            if what == "C" and file.gone:
                file.gone = False
                file.waiting.append((0, None))
            elif what == "U":
                file.gone = True
            elif what == "S":
                file.synced, file.waiting, file.certain = file.content(random.Random(0), 1.0), [], True
            elif what in "WT":
                file.waiting.append((offset, data if what == "W" else None))
        for keep in (0.0, 0.5, 1.0):
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            for name, file in files.items():
                if (file.certain or draw.random() < keep) and not (file.gone and draw.random() < keep):
                    (kept / Path(name).name).write_bytes(file.content(draw, keep))
            allowed = Run(found.states[: told + 1]).allowed([*BEFORE, *STEPS])
            yield f"record {n} of {len(records)} ({what} {Path(path).name}), {keep}", wrong_with(kept, allowed)


def read(raw: bytes) -> Iterator[tuple[str, str, int, bytes]]:
    at = 0
    while at < len(raw):
        what = chr(raw[at])
        length, offset, size = (
            int.from_bytes(raw[at + 1 + i : at + 9 + i], "little", signed=True) for i in (0, 8, 16)
        )
        at += HEAD + length
        data = raw[at : at + size] if what == "W" else b""
        yield what, raw[at - length : at].decode(), offset, data
        at += len(data)


def plant(bug: str) -> None:
    """Put a bug in that the run has to find."""
    connected = file_module._connected
    if bug in ("OFF", "NORMAL"):

        def unsynced(path: Path, how: str) -> sqlite3.Connection:
            base = connected(path, how)
            base.execute(f"PRAGMA synchronous = {bug}")
            return base

        file_module._connected = unsynced
    elif bug == "deaf":

        @contextmanager
        def deaf(base: sqlite3.Connection, begin: str) -> Iterator[None]:
            with suppress(sqlite3.Error), file_module.transaction(base, begin):
                yield

        store_module.transaction = deaf


def loaded_shim(path: str) -> ctypes.CDLL:
    loaded = ctypes.CDLL(path)
    loaded.shim_fail.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    loaded.shim_mark.argtypes = [ctypes.c_long]
    return loaded


def main(mode: str, shim: str, folder: str, bug: str = "") -> None:
    loaded = loaded_shim(shim)
    plant(bug)
    points, failures = 0, []
    for name, wrong in (fail_calls if mode == "calls" else lose_power)(loaded, Path(folder)):
        points += 1
        failures += [f"{name}: {wrong}"] if wrong else []
        if bug and failures:
            break
    print(json.dumps({"points": points, "failures": failures, "file": NAME}))


if __name__ == "__main__":
    main(*sys.argv[1:])

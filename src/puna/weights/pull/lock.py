"""One pull of one model at a time, across processes, with a place to work in.

The lock is SQLite's on an empty file: it works on Linux, macOS and Windows, and the system lets go of it
when a process dies in whatever way, so there is no stale lock to guess about.
"""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from puna.errors import PullError
from puna.weights.digest import Progress, Step
from puna.weights.store import disk_errors, models_dir

_NO_FILE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}


@contextlib.contextmanager
def exclusive(name: str, progress: Progress | None = None) -> Iterator[Path]:
    """Hold the lock of the model `name` and give its staging folder, waiting for another pull to end.

    The folder stays after an error or an interruption, so the next pull resumes, and goes after success.
    On a file system without locks each process works in a folder of its own.
    """
    base = models_dir() / ".pull"
    with disk_errors(base):
        base.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(base / f"{name}.lock", timeout=0, isolation_level=None)) as database:
        held = _acquire(database, base / f"{name}.lock", name, progress)
        staging = base / (name if held else f"{name}.{os.getpid()}")
        with disk_errors(staging):
            staging.mkdir(exist_ok=True)
        yield staging
        shutil.rmtree(staging, ignore_errors=True)


def _acquire(database: sqlite3.Connection, path: Path, name: str, progress: Progress | None) -> bool:
    """Wait for the lock; False if this file system has no locks."""
    waiting = False
    while True:
        try:
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF
            if code in _NO_FILE:
                raise PullError("E-PULL-WRITE", path=path, reason=error) from error
            if code != sqlite3.SQLITE_BUSY:
                return False
            if progress and not waiting:
                progress(Step("wait", name, 0, None))
            waiting = True
            time.sleep(0.1)
        else:
            return True

"""The folder of what was read: its files, and how much they may take."""

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from puna.weights.store import cache_dir, sync

LIMIT = 4 << 30  # bytes
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{48}\.safetensors", re.ASCII)
_TEMPORARY = ".puna-kept-"
_LEFT = 3600  # seconds after which a temporary file is one that a killed process has left


def kept_dir() -> Path:
    """Give the folder in the user's cache."""
    return cache_dir() / "kept"


class File(NamedTuple):
    """A file of the folder; `used` is when it was last used, in seconds since 1970."""

    path: Path
    size: int
    used: float


class KeptFolder:
    """A folder that holds at most `limit` bytes. Other files in it are left alone.

    Several processes may use one: a file is there whole or not at all, and may go at any time. Two that write at the
    same moment may exceed the limit by a file, until the next is written.
    """

    def __init__(self, path: Path, *, limit: int = LIMIT) -> None:
        self.path, self.limit = path, limit

    def files(self) -> list[File]:
        """List the files, least recently used first."""
        return sorted(self._listed(_NAME.fullmatch), key=lambda file: file.used)

    def clear(self, model: str = "") -> list[File]:
        """Remove all files, or those that a model has read, and give those that are gone."""
        return [file for file in self.files() if file.path.name.startswith(model[:16]) and _remove(file.path)]

    def make_room(self, size: int, spared: Collection[str]) -> bool:
        """Remove files until `size` bytes fit beside the rest, none of those named; False if that is not enough.

        Nothing is removed in vain.
        """
        for file in self._listed(lambda name: name.startswith(_TEMPORARY)):
            if file.used < time.time() - _LEFT:
                _remove(file.path)
        files = self.files()
        excess = sum(file.size for file in files) + size - self.limit
        free = [file for file in files if file.path.name not in spared]
        if excess > sum(file.size for file in free):
            return False
        for file in free:
            if excess <= 0:
                break
            _remove(file.path)
            excess -= file.size
        return True

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Give a new file to write; it gets its name when all is on the disk, else it goes. Makes the folder."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(prefix=_TEMPORARY, dir=self.path)
        os.close(handle)
        temporary = Path(made)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(self.path / name)
        finally:
            temporary.unlink(missing_ok=True)

    def _listed(self, wanted: Callable[[str], object]) -> Iterator[File]:
        try:
            paths = [path for path in self.path.iterdir() if wanted(path.name)]
        except OSError:  # no folder yet, or none
            return
        for path in paths:
            with contextlib.suppress(OSError):  # gone since
                found = path.stat()
                yield File(path, found.st_size, found.st_mtime)


def _remove(path: Path) -> bool:
    """Remove a file; False where it is open (Windows), gone or not ours."""
    with contextlib.suppress(OSError):
        path.unlink()
        return True
    return False

"""SHA-256 of files on disk, and the word in which long work reports its progress."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

BLOCK = 1 << 20


class Step(NamedTuple):
    """How far one piece of work is: `done` of `total` bytes, `total` None where it is not known."""

    what: Literal["download", "check", "copy", "wait", "retry"]
    name: str
    done: int
    total: int | None


Progress = Callable[[Step], None]


def hash_file(path: Path, progress: Progress | None = None) -> str:
    """Read a file from the disk and give its sha256 in hex."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    buffer = memoryview(bytearray(BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            done += count
            if progress:
                progress(Step("check", path.name, done, total))
    return digest.hexdigest()


def digest_of(files: Mapping[str, str]) -> str:
    """Give one sha256 for a model: that of its only file, or of the `sha256sum` listing of all of them."""
    if len(files) == 1:
        return next(iter(files.values()))
    listing = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))
    return hashlib.sha256(listing.encode()).hexdigest()

"""Result files, whole or not at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from puna.errors import InputError
from puna.weights.store import place


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it and rename it. Raises InputError where that cannot be done."""
    with writing(path) as write:
        write(content)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes to a temporary file; at the end that is synced and renamed, else removed."""
    with told(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        file = temporary.open("wb")
    try:
        try:

            def write(content: bytes) -> None:
                with told(path):
                    file.write(content)

            yield write
            with told(path):
                file.flush()
        finally:
            with told(path):  # what a full disk did not take is tried once more
                file.close()
        with told(path):
            place(temporary, path, aside=temporary)
    finally:
        with suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say what the system says against writing a file: E-OUTPUT-WRITE."""
    try:
        yield
    except (OSError, ValueError) as error:  # a folder, no permission, a full disk, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError("E-OUTPUT-WRITE", path=path, reason=str(reason).lower()) from None

"""Result files, whole or not at all."""

import os
from pathlib import Path

from puna.errors import InputError
from puna.weights.store import place


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it and rename it. Raises InputError where that cannot be done."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        place(temporary, path, aside=temporary)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError("E-OUTPUT-WRITE", path=path, reason=str(reason).lower()) from None
    finally:
        temporary.unlink(missing_ok=True)

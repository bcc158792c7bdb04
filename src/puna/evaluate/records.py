"""A file of records, one JSON object a line, that a stopped run goes on writing."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from puna.errors import InputError
from puna.tasks.rows import Fields, objects

_Record = TypeVar("_Record")


def kept_records(path: Path, beginning: bytes, parse: Callable[[Fields], _Record]) -> list[_Record]:
    """Give the records that a file holds; where there is no file, make an empty one.

    beginning: of every line that the command writes. A last line that was only half written is cut off. Raises InputError
    for a file that cannot be written, or in which anything else stands.
    """
    with _opened(path) as file:
        file.seek(0)
        lines, end, rest = file.read().rpartition(b"\n")
        try:
            found = [parse(record) for record in objects(path, lines.split(b"\n"))]
        except InputError as error:
            raise InputError("E-OUTPUT-OTHER", path=path, line=error.parameters["line"]) from None
        if not (rest.startswith(beginning) or beginning.startswith(rest)):
            raise InputError("E-OUTPUT-OTHER", path=path, line=lines.count(b"\n") + 1 + len(end))
        file.truncate(len(lines + end))
    return found


def keep_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record to a file; raise InputError where that cannot be written."""
    with _opened(path) as file:
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("ab+") as file:
            yield file
    except (OSError, ValueError) as error:  # a folder, no permission, a full disk, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError("E-OUTPUT-WRITE", path=path, reason=str(reason).lower()) from None

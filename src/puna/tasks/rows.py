"""Rows from JSON Lines files, plain or gzipped; whatever is wrong is told with file and line."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from puna.errors import InputError
from puna.weights.refuse import shown

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_JSON_NAMES = {str: "string", list: "array", dict: "object", bool: "boolean", int: "integer", float: "number"}
_Value = TypeVar("_Value")


class Fields:
    """The fields of one row. Every method raises InputError, naming file, line and field, for what does not fit.

    A field that is null counts as missing.
    """

    def __init__(self, path: Path, line: int, values: Mapping[str, Any], prefix: str = "") -> None:
        self.path, self.line, self._values, self._prefix = path, line, values, prefix

    def text(self, name: str, blank: bool = False) -> str:
        """Give a string; it may be `blank` only where that is said."""
        found = self._get(name, str)
        if not blank and not found.strip():
            raise self.error("E-ROWS-BLANK", field=self._prefix + name)
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """Give an array of strings, none of them blank."""
        items = self._items(name)
        return tuple(items.text(key) for key in items._values)

    def objects(self, name: str) -> "list[Fields]":
        """Give the fields of each object of an array."""
        items = self._items(name)
        return [
            Fields(self.path, self.line, items._get(key, dict), f"{self._prefix}{key}.") for key in items._values
        ]

    def integer(self, name: str) -> int:
        """Give an integer."""
        return self._get(name, int)

    def number(self, name: str) -> float:
        """Give a number written with a point or an exponent."""
        return self._get(name, float)

    def flag(self, name: str) -> bool:
        """Give a boolean."""
        return self._get(name, bool)

    def identity(self) -> str:
        """Give the row's `id`, a string or an integer, or "line N" where it has none."""
        if "id" not in self:
            return f"line {self.line}"
        return str(self.integer("id") if type(self._values["id"]) is int else self.text("id"))

    def is_array(self, name: str) -> bool:
        """Tell whether a field is an array, where it may be either."""
        return isinstance(self._values.get(name), list)

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def error(self, code: str, **parameters: object) -> InputError:
        """Build the error for `code` about this row; strings are made printable."""
        safe = {name: shown(value) if isinstance(value, str) else value for name, value in parameters.items()}
        return InputError(code, path=self.path, line=self.line, **safe)

    def _items(self, name: str) -> "Fields":
        values = {f"{name}[{n}]": item for n, item in enumerate(self._get(name, list))}
        return Fields(self.path, self.line, values, self._prefix)

    def _get(self, name: str, kind: type[_Value]) -> _Value:
        value = self._values.get(name)
        if value is None:
            raise self.error("E-ROWS-FIELD", field=self._prefix + name)
        if type(value) is not kind:  # a boolean is no integer here
            raise self.error("E-ROWS-TYPE", field=self._prefix + name, wanted=_JSON_NAMES[kind])
        if isinstance(value, str) and not _encodes(value):
            raise self.error("E-ROWS-UNICODE")
        return value


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file, plain or gzipped, which is known by its first bytes: what it holds, and the file as it lies there.

    Raises InputError for one that cannot be opened, or is damaged where it is read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise InputError("E-FILE-MISSING", path=path, cwd=Path.cwd()) from None
    except (OSError, ValueError) as error:  # a folder, no permission, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError("E-FILE-READ", path=path, reason=str(reason).lower()) from None
    try:
        with file, gzip.open(file) if file.peek(2)[:2] == _GZIP else file as lines:
            yield cast(IO[bytes], lines), file
    except (OSError, EOFError, zlib.error):
        raise InputError("E-ROWS-DAMAGED", path=path) from None


def objects(path: Path, lines: Iterable[bytes]) -> Iterator[Fields]:
    """Give the fields of each line that is not blank; raise InputError for one that is no JSON object."""
    for number, line in numbered(lines):
        yield fields_of(path, number, line)


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank with their numbers, from 1 on; a byte order mark is no part of the first."""
    for number, raw in enumerate(lines, 1):
        line = raw.removeprefix(_BOM) if number == 1 else raw
        if line.strip():
            yield number, line


def fields_of(path: Path, number: int, line: bytes) -> Fields:
    """Give the fields of a line; raise InputError where it is no JSON object."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeError:
        raise InputError("E-ROWS-UNICODE", path=path, line=number) from None
    except json.JSONDecodeError as error:
        raise InputError("E-ROWS-JSON", path=path, line=number, column=error.colno) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets without end
        raise InputError("E-ROWS-JSON", path=path, line=number, column=1) from None
    if not isinstance(value, dict):
        raise InputError("E-ROWS-OBJECT", path=path, line=number)
    return Fields(path, number, value)


def _encodes(text: str) -> bool:
    """Say whether a string is Unicode: JSON can spell half of a character, as in "\\ud800"."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

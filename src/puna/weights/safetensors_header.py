"""The header of a safetensors file, checked before the library that reads the tensors sees it.

Format: README of huggingface/safetensors: a little-endian u64 length, that many bytes of JSON, then the data.
The JSON maps names to dtype, shape and [begin, end) in the data, plus `__metadata__`; the tensors fill the data
without holes. Two readers must never understand one file differently, so duplicate keys are refused.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from puna.tokens.files import check_inside
from puna.weights.refuse import refuse

_MAX_HEADER = 10_000_000  # bytes
_MAX_JSON = 10_000_000
_MAX_TENSORS = 50_000
_MAX_DIMS = 8
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}


class Entry(NamedTuple):
    """One tensor of a header; its data take `nbytes`, from `begin` on behind the header."""

    kind: str
    shape: tuple[int, ...]
    nbytes: int
    begin: int


class _DuplicateKeyError(ValueError):
    """A JSON object that says a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise _DuplicateKeyError(key)
        keys.add(key)
    return dict(pairs)


def parse_json(path: Path, text: bytes) -> dict[str, Any]:
    """Parse a JSON object without duplicate keys; `ModelFileError` names `path` for anything else."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except _DuplicateKeyError as error:
        raise refuse("E-JSON-DUPLICATE", path, key=error.args[0]) from None
    except (ValueError, RecursionError):
        raise refuse("E-JSON", path) from None
    if not isinstance(value, dict):
        raise refuse("E-JSON", path)
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON file; raise `ModelFileError` if it is missing, over 10 MB, or no object."""
    with opened(path) as (file, size):
        if size > _MAX_JSON:
            raise refuse("E-JSON-LARGE", path, size=size, limit=_MAX_JSON)
        return parse_json(path, file.read(size))


def read_header(path: Path) -> dict[str, Entry]:
    """Give name -> `Entry` of a safetensors file, every one checked against the file's length.

    Raises `ModelFileError`, and reads at most 10 MB.
    """
    with opened(path) as (file, size):
        return read_head(path, file, size)[0]


def read_head(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Entry], object]:
    """Read the header of an open file of `size` bytes, up to where the data begin; give entries and metadata."""
    first = file.read(8)
    if not first:
        raise refuse("E-WEIGHTS-EMPTY", path)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > size - 8:
        raise refuse("E-SAFETENSORS-TRUNCATED", path, missing=max(length + 8 - size, 8 - len(first)))
    if length > _MAX_HEADER:
        raise refuse("E-SAFETENSORS-LARGE", path, size=length, limit=_MAX_HEADER)
    text = file.read(length)
    if not text.startswith(b"{"):
        raise refuse("E-JSON", path)
    header = parse_json(path, text)
    metadata = header.pop("__metadata__", None)
    if len(header) > _MAX_TENSORS:
        raise refuse("E-SAFETENSORS-LARGE", path, size=len(header), limit=_MAX_TENSORS)
    spans: list[tuple[int, int, str]] = []
    entries = {name: _entry(path, name, value, spans) for name, value in header.items()}
    _check_spans(path, spans, size - 8 - length)
    return entries, metadata


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file of its folder, give its length; every failure of the system becomes a `ModelFileError`."""
    try:
        check_inside(path)
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise refuse("E-WEIGHTS-KIND", path)
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise refuse("E-WEIGHTS-MISSING", path) from None
    except (OSError, ValueError) as error:
        raise refuse("E-WEIGHTS-READ", path, reason=getattr(error, "strerror", None) or error) from None


def _entry(path: Path, name: str, value: object, spans: list[tuple[int, int, str]]) -> Entry:
    def damaged() -> NoReturn:
        raise refuse("E-SAFETENSORS-ENTRY", path, name=name)

    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        damaged()
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in ITEM_BYTES:
        raise refuse("E-SAFETENSORS-TYPE", path, name=name, kind=kind, kinds=", ".join(ITEM_BYTES))
    if not _naturals(shape) or len(shape) > _MAX_DIMS or not _naturals(offsets) or len(offsets) != 2:
        damaged()
    nbytes = ITEM_BYTES[kind]
    for dim in shape:
        nbytes *= dim
    if offsets[1] - offsets[0] != nbytes:
        damaged()
    spans.append((offsets[0], offsets[1], name))
    return Entry(kind, tuple(shape), nbytes, offsets[0])


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_spans(path: Path, spans: list[tuple[int, int, str]], data: int) -> None:
    """The tensors must fill the `data` bytes after the header: no hole, no overlap, nothing left over."""
    end = 0
    for begin, after, name in sorted(spans):
        if begin != end:
            raise refuse("E-SAFETENSORS-SPAN", path, name=name, begin=begin, end=end)
        end = after
    if end > data:
        raise refuse("E-SAFETENSORS-TRUNCATED", path, missing=end - data)
    if end < data:
        raise refuse("E-SAFETENSORS-REST", path, rest=data - end)

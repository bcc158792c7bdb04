"""A reader of GGUF files that believes nothing the file says.

Format: `docs/gguf.md` of ggml, versions 2 and 3, little endian: magic, version, the counts of tensors and of
key-value pairs, the pairs, the tensor infos, padding to the alignment, the tensor data. Version 3 differs from
2 only in that it may be big endian, which is refused here, as version 1 is.

The file is mapped into memory and every number read is checked as a Python integer against what the file can
hold before it sizes anything, so that neither a wrapped product nor a claimed 2^60 strings costs memory. The
mapping is copy-on-write: nothing can change the file, and torch takes the memory without complaint.
"""

import itertools
import mmap
import os
import stat
import struct
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from gguf.constants import GGUF_DEFAULT_ALIGNMENT, GGUFValueType

from puna.weights.blocks import FORMATS, TYPE_NAMES, dequantize, is_quantised
from puna.weights.refuse import refuse

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_QUANTISATION_VERSION = 2  # of ggml's block layouts; 1 had other ones

_MAX_KEY = 65_535  # bytes, docs/gguf.md
_MAX_NAME = 64  # bytes, docs/gguf.md
_MAX_DIMS = 4
_MAX_TENSORS = 1 << 16
_MAX_PAIRS = 1 << 16
_MAX_STRING = 1 << 26  # bytes of one value; a whole tokenizer.json is about 2^24
_MAX_ITEM = 1 << 16  # bytes of one string in an array: a vocabulary entry or a merge
_MAX_ITEMS = 1 << 22  # strings in all arrays of a file; large vocabularies with merges have under 2^20
_MAX_ALIGNMENT = 1 << 16
_MIN_PAIR = 8 + 4 + 1  # bytes: empty key, type, one-byte value
_MIN_INFO = 8 + 4 + 8 + 4 + 8  # bytes: empty name, number of dims, one dim, type, offset

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_BOOL, _STRING, _ARRAY = (int(GGUFValueType[name]) for name in ("BOOL", "STRING", "ARRAY"))
_NUMBERS: dict[int, np.dtype[Any]] = {
    int(GGUFValueType[name]): np.dtype(code)
    for name, code in {
        "UINT8": "u1",
        "INT8": "i1",
        "UINT16": "<u2",
        "INT16": "<i2",
        "UINT32": "<u4",
        "INT32": "<i4",
        "UINT64": "<u8",
        "INT64": "<i8",
        "FLOAT32": "<f4",
        "FLOAT64": "<f8",
        "BOOL": "u1",
    }.items()
}


class TensorInfo(NamedTuple):
    """Where a tensor stands: `shape` in torch's order (GGUF's reversed), `kind` as "Q4_1", offset in the file."""

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    nbytes: int


class _Cursor:
    """A position in the mapped file that cannot pass its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.size = path, data, len(data)
        self.at = 0
        self.items = 0  # strings in arrays so far

    def fail(self, code: str, /, **parameters: object) -> NoReturn:
        raise refuse(code, self.path, **parameters)

    @property
    def left(self) -> int:
        return self.size - self.at

    def take(self, count: int) -> int:
        """Pass over `count` bytes and give where they start."""
        if count > self.left:
            self.fail("E-GGUF-TRUNCATED", offset=self.at, size=self.size, missing=count - self.left)
        start = self.at
        self.at += count
        return start

    def u32(self) -> int:
        return int(_U32.unpack_from(self.data, self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack_from(self.data, self.take(8))[0])

    def count(self, smallest: int, most: int) -> int:
        """Read a number of things that take at least `smallest` bytes each."""
        start = self.at
        count = self.u64()
        limit = min(self.left // smallest, most)
        if count > limit:
            self.fail("E-GGUF-COUNT", offset=start, count=count, limit=limit)
        return count

    def string(self, most: int) -> str:
        start = self.at
        length = self.u64()
        if length > most:
            self.fail("E-GGUF-STRING", offset=start, length=length, limit=most)
        begin = self.take(length)
        try:
            return self.data[begin : begin + length].decode()
        except UnicodeDecodeError:
            self.fail("E-GGUF-UTF8", offset=begin)

    def strings(self, count: int) -> list[str]:
        """Read an array of strings; written out, for a vocabulary and its merges are most of opening a file."""
        self.items += count
        if self.items > _MAX_ITEMS:
            self.fail("E-GGUF-COUNT", offset=self.at, count=self.items, limit=_MAX_ITEMS)
        data, at, size, unpack = self.data, self.at, self.size, _U64.unpack_from
        texts: list[str] = []
        try:
            for _ in range(count):
                end = at + 8 + unpack(data, at)[0]
                if end > size or end - at > _MAX_ITEM + 8:
                    break
                texts.append(data[at + 8 : end].decode())
                at = end
        except (struct.error, UnicodeDecodeError):
            pass
        self.at = at
        if len(texts) < count:
            self.string(_MAX_ITEM)  # reads the bad one again, and says what is wrong with it
        return texts

    def numbers(self, key: str, kind: int, count: int) -> npt.NDArray[Any]:
        """Read `count` numbers or booleans; the copy is aligned and at most as large as the file."""
        dtype = _NUMBERS[kind]
        values = np.frombuffer(self.data, dtype, count, self.take(count * dtype.itemsize)).copy()
        if kind != _BOOL:
            return values
        if count and int(values.max()) > 1:
            self.fail("E-CONFIG-VALUE", key=key, value=int(values.max()), wanted="true or false")
        return values.astype(np.bool_)

    def value(self, key: str) -> object:
        """Read one metadata value: a Python scalar, a list of strings, or a numpy array of numbers."""
        kind = self.u32()
        if kind == _STRING:
            return self.string(_MAX_STRING)
        if kind in _NUMBERS:
            return self.numbers(key, kind, 1)[0].item()
        if kind != _ARRAY:
            self.fail("E-GGUF-VALUE-TYPE", key=key, kind=kind)
        kind = self.u32()
        if kind == _ARRAY:
            self.fail("E-GGUF-NESTED", key=key)
        if kind == _STRING:
            return self.strings(self.count(8, _MAX_ITEMS))
        if kind not in _NUMBERS:
            self.fail("E-GGUF-VALUE-TYPE", key=key, kind=kind)
        return self.numbers(key, kind, self.count(_NUMBERS[kind].itemsize, self.size))


class GgufFile:
    """One open GGUF file.

    Attributes:
        path: the file.
        size: its length in bytes.
        metadata: key -> str, int, float, bool, list of str, or numpy array; all read and checked on opening.
        tensors: name -> `TensorInfo`, in the file's order; every one lies inside the file, none overlap.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open, map and check the file; raise `ModelFileError` for anything that is not a sound GGUF file."""
        self.path = Path(path)
        self._data = _map(self.path)
        self.size = len(self._data)
        cursor = _Cursor(self.path, self._data)
        tensors, pairs = _read_header(cursor)
        self.metadata: dict[str, object] = {}
        for _ in range(pairs):
            key = cursor.string(_MAX_KEY)
            if key in self.metadata:
                cursor.fail("E-GGUF-DUPLICATE", name=key)
            self.metadata[key] = cursor.value(key)
        alignment = self._alignment()
        infos = [_read_info(cursor, alignment) for _ in range(tensors)]
        self.tensors: dict[str, TensorInfo] = _place(cursor, infos, alignment)
        self._check_layout_version()

    def raw(self, name: str) -> npt.NDArray[np.uint8]:
        """Give a tensor's stored bytes as a read-only view of the file: uint8 [nbytes].

        Raises `ModelFileError` if there is no such tensor.
        """
        info = self._info(name)
        view = np.frombuffer(self._data, np.uint8, info.nbytes, info.offset)
        view.flags.writeable = False
        return view

    def rows(self, name: str) -> torch.Tensor:
        """Give a tensor's stored bytes by rows, uint8 [..., bytes a row]: the file's memory, only to be read."""
        info = self._info(name)
        view = np.frombuffer(self._data, np.uint8, info.nbytes, info.offset)
        return torch.from_numpy(view).view(*info.shape[:-1], -1)

    def tensor(self, name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Give a tensor dense, in the file's row order and torch's shape; fresh memory.

        Raises `ModelFileError` if there is no such tensor.
        """
        return dequantize(self.rows(name), self._info(name).kind, dtype)

    def _info(self, name: str) -> TensorInfo:
        info = self.tensors.get(name)
        if info is None:
            raise refuse("E-TENSOR-MISSING", self.path, name=name)
        return info

    def _alignment(self) -> int:
        value = self.metadata.get("general.alignment", GGUF_DEFAULT_ALIGNMENT)
        # docs/gguf.md: a multiple of 8; ggml wants a power of two besides
        sound = type(value) is int and 8 <= value <= _MAX_ALIGNMENT and value & (value - 1) == 0
        if not isinstance(value, int) or not sound:
            raise refuse("E-GGUF-ALIGNMENT", self.path, alignment=value, limit=_MAX_ALIGNMENT)
        return value

    def _check_layout_version(self) -> None:
        version = self.metadata.get("general.quantization_version", _QUANTISATION_VERSION)
        sound = type(version) is int and version == _QUANTISATION_VERSION
        if not sound and any(is_quantised(info.kind) for info in self.tensors.values()):
            raise refuse("E-GGUF-QUANT-VERSION", self.path, version=version)


def _map(path: Path) -> mmap.mmap:
    """Map a regular, non-empty file; raise `ModelFileError` otherwise."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise refuse("E-WEIGHTS-KIND", path)
        if status.st_size == 0:
            raise refuse("E-WEIGHTS-EMPTY", path)
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        raise refuse("E-WEIGHTS-MISSING", path) from None
    except (OSError, ValueError) as error:
        raise refuse("E-WEIGHTS-READ", path, reason=getattr(error, "strerror", None) or error) from None


def _read_header(cursor: _Cursor) -> tuple[int, int]:
    """Check magic and version; give the numbers of tensors and of key-value pairs."""
    start = cursor.take(4)
    if cursor.data[start : start + 4] != MAGIC:
        cursor.fail("E-WEIGHTS-KIND")
    version = cursor.u32()
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        cursor.fail("E-GGUF-ENDIAN" if swapped <= _VERSIONS[-1] else "E-GGUF-VERSION", version=version)
    tensors = cursor.count(_MIN_INFO, _MAX_TENSORS)
    return tensors, cursor.count(_MIN_PAIR, _MAX_PAIRS)


def _read_info(cursor: _Cursor, alignment: int) -> TensorInfo:
    """Read one tensor info; its offset is still relative to the start of the data."""
    name = cursor.string(_MAX_NAME)
    dims = cursor.u32()
    if not 1 <= dims <= _MAX_DIMS:
        cursor.fail("E-GGUF-DIMS", name=name, dims=dims)
    shape = tuple(cursor.u64() for _ in range(dims))[::-1]
    number = cursor.u32()
    kind = TYPE_NAMES.get(number, str(number))
    offset = cursor.u64()
    if kind not in FORMATS:
        cursor.fail("E-GGUF-TYPE", name=name, kind=kind, kinds=", ".join(FORMATS))
    if 0 in shape:
        cursor.fail("E-GGUF-SHAPE", name=name, shape=shape)
    if offset % alignment:
        cursor.fail("E-GGUF-OFFSET", name=name, offset=offset, alignment=alignment)
    form = FORMATS[kind]
    if shape[-1] % form.items:
        cursor.fail("E-GGUF-ROW", name=name, row=shape[-1], kind=kind, items=form.items)
    nbytes = form.bytes
    for dim in (*shape[:-1], shape[-1] // form.items):
        nbytes *= dim
    return TensorInfo(name, shape, kind, offset, nbytes)


def _place(cursor: _Cursor, infos: list[TensorInfo], alignment: int) -> dict[str, TensorInfo]:
    """Turn offsets into the file's own, and check that the tensors fit into it side by side."""
    start = -(-cursor.at // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for info in infos:
        if info.name in tensors:
            cursor.fail("E-GGUF-DUPLICATE", name=info.name)
        tensors[info.name] = info._replace(offset=start + info.offset)
    placed = sorted(tensors.values(), key=lambda info: info.offset)
    end = max((info.offset + info.nbytes for info in placed), default=0)
    if end > cursor.size:
        cursor.fail("E-GGUF-TRUNCATED", offset=cursor.size, size=cursor.size, missing=end - cursor.size)
    for one, other in itertools.pairwise(placed):
        if one.offset + one.nbytes > other.offset:
            cursor.fail("E-GGUF-OVERLAP", name=one.name, other=other.name)
    return tensors

"""Files as parts that can be changed one by one and put together again, every count and length open to lies."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from tests.weights.raw_gguf import ARR, CODES, STR, build, text

Json = Any  # what json.loads gives, with `Pairs` for objects and `Raw` for text that is no JSON


class Pairs(list):  # type: ignore[type-arg]
    """An object of JSON as (key, value) pairs, which may have a key twice."""


class Raw(str):
    """Written as it is."""


def parse_json(content: bytes) -> Json:
    return json.loads(content, object_pairs_hook=Pairs)


def dump_json(value: Json) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key)}:{dump_json(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump_json, value)) + "]"
    return json.dumps(value)


@dataclass
class Pair:
    """A key of a GGUF file; `claimed` replaces the count of an array or the length of a string."""

    key: bytes
    kind: int
    value: Any
    item: int = 0  # kind of an array's items
    claimed: int | None = None

    def raw(self) -> bytes:
        head = text(self.key) + struct.pack("<I", self.kind)
        if self.kind != ARR:
            return head + (text(self.value, self.claimed) if self.kind == STR else packed(self.kind, self.value))
        count = len(self.value) if self.claimed is None else self.claimed
        return (
            head + struct.pack("<IQ", self.item, count) + b"".join(packed(self.item, each) for each in self.value)
        )


@dataclass
class Placed:
    """A tensor's info."""

    name: bytes
    dims: list[int]
    kind: int
    offset: int
    claimed: int | None = None  # number of dims

    def raw(self) -> bytes:
        head = struct.pack("<I", (len(self.dims) if self.claimed is None else self.claimed) % 2**32)
        dims = struct.pack(f"<{len(self.dims)}Q", *(dim % 2**64 for dim in self.dims))
        return text(self.name) + head + dims + struct.pack("<IQ", self.kind % 2**32, self.offset % 2**64)


@dataclass
class Gguf:
    """A GGUF file in parts; `data` is all that stands behind the infos."""

    pairs: list[Pair]
    infos: list[Placed]
    data: bytes
    claims: dict[str, int] = field(default_factory=dict)  # of `build`: tensors, keys, version, alignment

    def raw(self) -> bytes:
        return build(
            [pair.raw() for pair in self.pairs], [info.raw() for info in self.infos], self.data, **self.claims
        )


def packed(kind: int, value: Any) -> bytes:
    """Write a value in a kind that it may not fit: what is too large is cut, what is no number is 0."""
    if kind == STR:
        return text(value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass"))
    if kind not in CODES:
        return b"\0\0\0\0"
    code = CODES[kind]
    if not isinstance(value, int | float):
        value = 0
    try:
        return struct.pack(f"<{code}", value)
    except (struct.error, OverflowError, ValueError):
        size = struct.calcsize(code)
        number = int(value) if isinstance(value, int) else 2**63
        return (number % 2 ** (8 * size)).to_bytes(size, "little")


def parse_gguf(content: bytes) -> Gguf:
    """Take a sound file apart. Raises ValueError, KeyError or struct.error for one that is not."""
    at = 0

    def read(code: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from(f"<{code}", content, at)
        at += struct.calcsize(code)
        return value

    def count_() -> int:
        size = read("Q")
        if size > len(content):
            raise ValueError("it is broken already")
        return int(size)

    def string() -> bytes:
        nonlocal at
        size = count_()
        at += size
        return content[at - size : at]

    def one(kind: int) -> Any:
        return string() if kind == STR else read(CODES[kind])

    def pair() -> Pair:
        key, kind = string(), read("I")
        if kind != ARR:
            return Pair(key, kind, one(kind))
        item, count = read("I"), count_()
        return Pair(key, kind, [one(item) for _ in range(count)], item)

    def info() -> Placed:
        name, count = string(), read("I")
        dims = [read("Q") for _ in range(count)]
        return Placed(name, dims, read("I"), read("Q"))

    _, _, tensors, keys = read("4s"), read("I"), count_(), count_()
    pairs = [pair() for _ in range(keys)]
    infos = [info() for _ in range(tensors)]
    return Gguf(pairs, infos, content[-(-at // 32) * 32 :])

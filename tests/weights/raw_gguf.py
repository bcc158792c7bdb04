"""GGUF bytes made by hand, every field of which can be told to lie."""

import struct
from collections.abc import Sequence
from pathlib import Path

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
CODES = {
    U8: "B",
    I8: "b",
    U16: "H",
    I16: "h",
    U32: "I",
    I32: "i",
    F32: "f",
    BOOL: "?",
    U64: "Q",
    I64: "q",
    F64: "d",
}


def text(value: str | bytes, length: int | None = None) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw) if length is None else length) + raw


def scalar(kind: int, value: object) -> bytes:
    return text(value) if isinstance(value, str | bytes) else struct.pack(f"<{CODES[kind]}", value)


def pair(key: str | bytes, kind: int, value: object) -> bytes:
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def array(key: str, kind: int, values: Sequence[object], count: int | None = None) -> bytes:
    head = struct.pack("<IIQ", ARR, kind, len(values) if count is None else count)
    return text(key) + head + b"".join(scalar(kind, value) for value in values)


def info(
    name: str | bytes, dims: Sequence[int], kind: int = 0, offset: int = 0, n_dims: int | None = None
) -> bytes:
    head = struct.pack("<I", len(dims) if n_dims is None else n_dims) + struct.pack(f"<{len(dims)}Q", *dims)
    return text(name) + head + struct.pack("<IQ", kind, offset)


def build(
    pairs: Sequence[bytes] = (),
    infos: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    tensors: int | None = None,
    keys: int | None = None,
    alignment: int = 32,
    order: str = "<",
) -> bytes:
    tensors = len(infos) if tensors is None else tensors
    keys = len(pairs) if keys is None else keys
    head = magic + struct.pack(f"{order}IQQ", version, tensors, keys) + b"".join(pairs) + b"".join(infos)
    return head + bytes(-len(head) % alignment) + data


def sample() -> bytes:
    """A small sound file with every kind of value and three tensors."""
    values = {U8: 200, I8: -3, U16: 60_000, I16: -300, U32: 2**32 - 1, I32: -(2**31), F32: 0.5, BOOL: True}
    values |= {U64: 2**64 - 1, I64: -(2**63), F64: 0.1}
    pairs = [pair("general.architecture", STR, "llama"), pair("name", STR, "羊驼 🦙")]
    pairs += [pair(f"one.{kind}", kind, value) for kind, value in values.items()]
    pairs += [array(f"many.{kind}", kind, [value, value]) for kind, value in values.items()]
    pairs += [array("texts", STR, ["", "a", "草原"]), array("none", STR, []), array("empty", F32, [])]
    infos = [info("a", [4, 3], 0, 0), info("b", [64, 2], 3, 64), info("c", [5], 1, 160)]
    return build(pairs, infos, bytes(range(256))[:170])


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path

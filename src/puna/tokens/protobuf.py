"""Protocol Buffers' wire format, as much of it as a SentencePiece model needs: its fields, without a schema."""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Give (field number, wire type, value) of every field: an integer, or the bytes of what is no varint.

    Raises ValueError where the message breaks off or is none. What is nested stays bytes, so nothing recurses.
    """
    at, size = 0, len(message)
    while at < size:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = _varint(message, at)
        elif kind in _SIZES:
            length = _SIZES[kind]
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if length > size - at:
            raise ValueError(f"field {number} at byte {at} has {length} bytes, {size - at} are left")
        yield number, kind, message[at : at + length]
        at += length


def as_float(value: bytes) -> float:
    """Read a `float` field."""
    return float(struct.unpack("<f", value)[0])


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError(f"a number breaks off at byte {at}")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number has more than 10 bytes at byte {at}")

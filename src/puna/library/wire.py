"""How a process that reads documents is spoken to. What comes back is data only, and checked by whoever takes it."""

import math
import struct
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

from puna.library.types import Block, Box, Document, Kind, Mark

REQUEST = struct.Struct("<HQ")
"""Bytes of a file's suffix, and of the file, which follow."""
ANSWER = struct.Struct("<cQ")
"""Which answer, and the bytes of what follows."""
READY, DOCUMENT, REFUSED = b"+", b"d", b"r"
_KINDS = get_args(Kind)
_HEAD = struct.Struct("<8Q")  # bytes of each part
_NONE = -1
_LONGEST = 1 << 31  # of any offset or page


def encode(document: Document) -> bytes:
    """Give a document as bytes. Raises UnicodeEncodeError where its text holds a surrogate."""
    names = list(dict.fromkeys(mark.part for mark in document.marks))
    index = {name: n for n, name in enumerate(names)}
    blocks = array("q", (v for b in document.blocks for v in (b.start, b.end, _KINDS.index(b.kind), b.level)))
    places = array("q", (v for b in document.boxes for v in (b.start, b.end, b.page)))
    edges = array("d", (v for b in document.boxes for v in (b.left, b.top, b.right, b.bottom)))
    marks = array(
        "q",
        (
            v
            for m in document.marks
            for v in (m.start, _NONE if m.original is None else m.original, index[m.part], m.width)
        ),
    )
    parts = [
        document.text.encode(),
        document.title.encode(),
        "\0".join(names).encode(),
        *(numbers.tobytes() for numbers in (blocks, array("q", document.pages), places, edges, marks)),
    ]
    return b"".join([_HEAD.pack(*map(len, parts)), *parts])


def decode(data: bytes) -> Document:
    """Give the document of bytes; raise ValueError for any that `encode` does not give."""
    if len(data) < _HEAD.size:
        raise ValueError("cut off")
    sizes = _HEAD.unpack_from(data)
    if _HEAD.size + sum(sizes) != len(data):
        raise ValueError("sizes")
    view, parts, at = memoryview(data), [], _HEAD.size
    for size in sizes:
        parts.append(view[at : at + size])
        at += size
    text, title, joined = (str(part, "utf-8") for part in parts[:3])
    blocks, pages, places, edges, marks = (
        _numbers(part, "d" if n == 3 else "q", width)
        for n, (part, width) in enumerate(zip(parts[3:], (4, 1, 3, 4, 4), strict=True))
    )
    if 3 * len(edges) != 4 * len(places):
        raise ValueError("boxes")
    names = joined.split("\0")
    document = Document(
        text,
        title,
        tuple(Block(start, end, _KINDS[_index(kind, _KINDS)], level) for start, end, kind, level in _by(blocks, 4)),
        tuple(pages),
        tuple(Box(*place, *edge) for place, edge in zip(_by(places, 3), _by(edges, 4), strict=True)),
        tuple(
            Mark(start, None if original == _NONE else original, names[_index(name, names)], width)
            for start, original, name, width in _by(marks, 4)
        ),
    )
    _check(document)
    return document


def _numbers(part: memoryview, kind: str, width: int) -> "array[int]":
    numbers = array(kind)
    numbers.frombytes(part)
    if len(numbers) % width:
        raise ValueError("a piece is cut off")
    return numbers


def _by(numbers: "array[int]", width: int) -> "zip[tuple[int, ...]]":
    return zip(*[iter(numbers)] * width, strict=True)


def _index(number: int, of: Sequence[str]) -> int:
    if not 0 <= number < len(of):
        raise ValueError("index")
    return number


def _check(document: Document) -> None:
    """Raise ValueError for offsets that do not rise, or lie outside the text."""
    length = len(document.text)
    ranges: tuple[Sequence[Block | Box], ...] = (document.blocks, document.boxes)
    for pieces in ranges:
        if any(not 0 <= piece.start < piece.end <= length for piece in pieces):
            raise ValueError("outside the text")
        if any(before.end > after.start for before, after in pairwise(pieces)):
            raise ValueError("pieces overlap")
    for offsets in (document.pages, tuple(mark.start for mark in document.marks)):
        if any(not 0 <= offset <= length for offset in offsets) or any(a > b for a, b in pairwise(offsets)):
            raise ValueError("offsets do not rise")
    if not all(
        math.isfinite(edge) for box in document.boxes for edge in (box.left, box.top, box.right, box.bottom)
    ):
        raise ValueError("edges")
    if any(not 0 < box.page <= len(document.pages) for box in document.boxes):
        raise ValueError("page")
    if any(not 0 <= block.level < 10 for block in document.blocks):
        raise ValueError("level")
    for mark in document.marks:
        if not 0 <= (mark.original or 0) < _LONGEST or not 0 < mark.width < _LONGEST:
            raise ValueError("mark")

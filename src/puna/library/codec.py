"""How a library writes names, texts and structures, whatever database holds them.

Bytes, not the database's own text: file names need not be UTF-8, a text may hold NUL, and both come back as they were.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any

from puna.errors import LibraryError, shown
from puna.library.segment import terms
from puna.library.synonyms import Synonyms
from puna.library.types import Block, Box, Document, Entry, Mark

SYNONYMS = "synonyms"  # the setting that has them, as `Synonyms.text`
_BLOCK, _BOX, _MARK = (attrgetter(*(each.name for each in fields(kind))) for kind in (Block, Box, Mark))
_LONGEST = 1000  # bytes of a term; PostgreSQL takes up to 2046, SQLite up to 32768
# Whoever cuts this alike, cuts all alike: what an index was made with must be what it is asked with.
_PROBE = (
    "The U.S. didn't re-elect Müller in 2024, at 3.14 % (e-mail: a_b@example.org); naïve cafés' ＡＢＣ，１２３。"
    "1,234,567.89 ponies' studies were running; organizations, 23rd, Straße, İstanbul, 한국어의 ไทย ひらがな "
    "臺灣與珠穆朗瑪峯 "
    "珠穆朗玛峰是世界上最高的山峰，海拔8848.86米；中华人民共和国成立于1949年。研究生命的起源，南京市长江大桥。"
)


def name_bytes(name: str) -> bytes:
    """Give a path or title as bytes; any string comes back from them."""
    return name.encode("utf-8", "surrogatepass")


def name_of(raw: bytes) -> str:
    """Give back what `name_bytes` was given."""
    return bytes(raw).decode("utf-8", "surrogatepass")


def headings_bytes(headings: Sequence[str]) -> bytes:
    """Give the headings of a passage as bytes."""
    return json.dumps(list(headings), separators=(",", ":")).encode()


def headings_of(raw: bytes) -> list[str]:
    """Give back what `headings_bytes` was given. Raises ValueError for what it did not write."""
    return list(map(str, json.loads(raw)))


def pack(document: Document) -> tuple[bytes, bytes]:
    """Give a document's text and its structure, each compressed, with a checksum inside."""
    structure = {
        "blocks": [*map(_BLOCK, document.blocks)],
        "pages": document.pages,
        "boxes": [*map(_BOX, document.boxes)],
        "marks": [*map(_MARK, document.marks)],
    }
    text = document.text.encode("utf-8", "surrogatepass")
    return zlib.compress(text), zlib.compress(json.dumps(structure, separators=(",", ":")).encode())


def unpack_text(raw: bytes) -> str:
    """Give a text back. Raises ValueError or zlib.error for what `pack` did not write."""
    return name_of(zlib.decompress(raw))


def unpack(text: bytes, structure: bytes, title: str) -> Document:
    """Give a document back. Raises ValueError, KeyError, TypeError or zlib.error for what `pack` did not write."""
    found = json.loads(zlib.decompress(structure))
    return Document(
        unpack_text(text),
        title,
        tuple(Block(*each) for each in found["blocks"]),
        tuple(found["pages"]),
        tuple(Box(*each) for each in found["boxes"]),
        tuple(Mark(*each) for each in found["marks"]),
    )


@contextmanager
def sound(path: object) -> Iterator[None]:
    """Say that what was read from the library at `path` is nothing that was ever written there."""
    try:
        yield
    except (ValueError, TypeError, LookupError, RecursionError, zlib.error) as error:
        raise LibraryError("E-LIBRARY-DAMAGED", path=path, reason=shown(str(error))) from error


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Give an entry from (id, path, digest, size, title, characters, passages). Raises ValueError or TypeError."""
    number, path, digest, size, title, characters, passages = row
    return Entry(number, name_of(path), digest, size, name_of(title), characters, passages)


def words_of(
    text: str, start: int, end: int, headings: Sequence[str], synonyms: Synonyms | None = None
) -> list[str]:
    """Give the terms that a passage is found by: those of its headings and of its text, as often as they stand there.

    Those that stand for one of them by the library's synonyms come behind.
    """
    parts = (*headings, text[start:end])
    found = [term for part in parts for term in terms(part)]
    if synonyms is not None:
        found += [term for part in parts for term in synonyms.others(part)]
    return [plain(term) for term in found]


@lru_cache(maxsize=4)
def synonyms_of(text: str | None) -> Synonyms | None:
    """Give the synonyms of a library's setting; None where it has none."""
    return Synonyms.parse(text, Path(SYNONYMS)) if text else None


def wanted(query: Sequence[str]) -> list[str]:
    """Give the terms to look for, each once, in an order that does not depend on theirs: sums come out the same."""
    return sorted({plain(term) for term in query if term})


def plain(term: str) -> str:
    """Give a term as both databases take it; one too long to be a word stands as its SHA-256."""
    raw = term.replace("\0", "\ufffd").encode("utf-8", "replace")
    return sha256(raw).hexdigest() if len(raw) > _LONGEST else raw.decode()


def segmentation(synonyms: str | None) -> str:
    """Give what tells apart one way of making words of a text, by terms and synonyms, from another."""
    return sha256("\0".join([*terms(_PROBE), synonyms or ""]).encode()).hexdigest()[:16]

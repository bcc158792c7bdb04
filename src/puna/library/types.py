"""What a library is made of. Offsets are Unicode code points, `end` exclusive; lines and pages count from 1."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vector = Sequence[float] | npt.NDArray[np.float32]
    Vectors = Sequence[Sequence[float]] | npt.NDArray[np.float32]

Kind = Literal["text", "heading", "table", "row", "code"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document that belongs together: document.text[start:end]. `level`: of a heading, 1 the highest."""

    start: int
    end: int
    kind: Kind = "text"
    level: int = 0


@dataclass(frozen=True, slots=True)
class Box:
    """Where a line of text stands on a page: in points (1/72 inch) from the page's left and upper edge."""

    start: int
    end: int
    page: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Where extracted text comes from: from text[start] on, up to the next mark, one character is one of the original.

    `part`: which file of an archive (an EPUB's chapter); `original`: offset of the character in that file's text, or
    None for what the reader put between the pieces (line ends, mostly). `width`: characters of the original that
    text[start] stands for; other than 1 only where a single one stands for several, such as for `&amp;`.
    """

    start: int
    original: int | None
    part: str = ""
    width: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """A file's text and what it is built of.

    `text` is the file's own for plain text, Markdown and CSV (decoded, line ends as they are) and extracted for others;
    of JSONL it has the strings in each row, and line n of it is line n of the file. `blocks` do not overlap and rise;
    what lies between them is white space. `pages`: where each page begins; empty where the format has none. `marks`:
    empty where `text` is the file's own, or where a format has no text to point into (PDF has `boxes` instead).
    """

    text: str
    title: str = ""
    blocks: tuple[Block, ...] = ()
    pages: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document to be found and read: document.text[start:end]. `headings`: those it stands under."""

    start: int
    end: int
    text: str
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A document that a library holds. `digest`: SHA-256 of the file's bytes; `size`: of the file, in bytes."""

    id: int
    path: str
    digest: str
    size: int
    title: str
    characters: int
    passages: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search found. `score`: higher is better, comparable within one search only."""

    passage: int
    document: int
    start: int
    end: int
    score: float


class Store(Protocol):
    """Where a library lives. Each change is one transaction: whoever reads sees it whole or not at all.

    Several processes may read and write at once. Raises LibraryError for a library that cannot be used.
    """

    def entries(self) -> Iterator[Entry]:
        """Give what is held, by path."""

    def entry(self, path: str) -> Entry | None:
        """Give what is held of a path."""

    def held(self, document: int) -> Entry:
        """Give what is held under an id. Raises LibraryError E-LIBRARY-NO-DOCUMENT where it is there no longer."""

    def put(
        self,
        path: str,
        digest: str,
        size: int,
        document: Document,
        passages: Sequence[Passage],
        vectors: "Vectors | None" = None,
    ) -> None:
        """Add a document or replace the one of that path; durable when this returns."""

    def remove(self, paths: Iterable[str]) -> int:
        """Remove documents and give how many there were."""

    def document(self, document: int) -> Document:
        """Give a document back as it was put."""

    def search(self, terms: Sequence[str], limit: int) -> list[Hit]:
        """Give the passages that match any of the terms best (BM25, or the store's own ranking), best first."""

    def near(self, vector: "Vector", limit: int) -> list[Hit]:
        """Give the passages whose vectors have the greatest inner product with this one, best first."""

    def setting(self, key: str) -> str | None:
        """Give what was set for the library as a whole, such as the model of its vectors."""

    def set(self, key: str, value: str) -> None:
        """Set it."""

    def check(self) -> list[str]:
        """Look the library over and say what is wrong with it; empty where nothing is."""

    def close(self) -> None:
        """Let go of it."""

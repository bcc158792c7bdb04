"""Citations: where an answer stands in a document, said in every way that the document's kind has."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from puna.answer.types import Answers, Evidence, Passage
from puna.library.passages import title_of
from puna.library.types import Box, Document

Wide = TypeVar("Wide")


@dataclass(frozen=True, slots=True)
class Original:
    """The same place in what the text was extracted from: characters of `part`, a file of an archive, or of the file."""

    part: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Citation(Evidence):
    """A place where an answer stands. `source` is the document's path; `start`, `end` and `line` count in its text.

    That text is the file's own for plain text, Markdown and CSV. page: of a PDF, from 1. boxes: the lines of the page
    that the answer stands in. original: the place in the markup of HTML and EPUB, and in JSONL. headings: those it
    stands under, the highest first. passage: which of the passages that were read; of several the most probable.
    """

    title: str = ""
    page: int | None = None
    boxes: tuple[Box, ...] = ()
    original: Original | None = None
    headings: tuple[str, ...] = ()
    passage: int = 0


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage that a search found: `text` is start to end of the document's. score, prior: see `retrieve`."""

    source: str
    title: str
    start: int
    end: int
    line: int
    page: int | None
    headings: tuple[str, ...]
    text: str
    score: float
    prior: float


@dataclass(frozen=True, slots=True)
class ReadPassage(FoundPassage):
    """A passage that was read for an answer; `probability` and `alone` are those of `puna.answer.types.Holding`."""

    probability: float = 0.0
    alone: float | None = None


@dataclass(frozen=True, slots=True)
class LibraryAnswers(Answers):
    """Answers from a library: their evidence is of Citations; `passages` are those read, the most probable first.

    `coverage` counts in these passages, not in the whole library.
    """

    passages: tuple[ReadPassage, ...] = ()


def widened(kind: type[Wide], value: Any, **more: object) -> Wide:
    """Give what a dataclass holds as one that adds fields to it."""
    return kind(**{each.name: getattr(value, each.name) for each in fields(value)}, **more)


def page_of(document: Document, start: int) -> int | None:
    """Give the page of a place, None where the document has no pages."""
    return page_at(document.pages, start)


def page_at(pages: Sequence[int], start: int) -> int | None:
    """Give the page of a place by where each begins; None where there are none."""
    return max(bisect_right(pages, start), 1) if pages else None


def boxes_of(document: Document, start: int, end: int) -> tuple[Box, ...]:
    """Give the boxes of the lines that a place is in."""
    return tuple(box for box in document.boxes if box.start < end and start < box.end)


def original_of(document: Document, start: int, end: int) -> Original | None:
    """Give a place in what the text was extracted from; None where that is not known, or not one place."""
    if not document.marks:
        return None
    first, last = (_origin(document, place) for place in (start, end - 1))
    if first is None or last is None or first[0] != last[0] or last[2] <= first[1]:
        return None
    return Original(first[0], first[1], last[2])


def headings_of(document: Document, start: int) -> tuple[str, ...]:
    """Give the headings that a place stands under, the highest first; a heading does not stand under itself."""
    path: list[tuple[int, str]] = []
    for block in document.blocks:
        if block.start > start:
            break
        if block.kind == "heading":
            while path and path[-1][0] >= block.level:
                path.pop()
            if block.end <= start:
                path.append((block.level, title_of(document.text[block.start : block.end])))
    return tuple(title for _, title in path if title)


def cite(place: Evidence, document: Document, passages: Sequence[FoundPassage]) -> Citation:
    """Make a citation of a place; `passages`: those read, the most probable first."""
    holding = (
        n
        for n, each in enumerate(passages)
        if each.source == place.source and each.start <= place.start and place.end <= each.end
    )
    return widened(
        Citation,
        replace(place, sentence=_within_blocks(place, document)),
        title=document.title,
        page=page_of(document, place.start),
        boxes=boxes_of(document, place.start, place.end),
        original=original_of(document, place.start, place.end),
        headings=headings_of(document, place.start),
        passage=next(holding),
    )


def _within_blocks(place: Evidence, document: Document) -> Passage:
    """Give what of a place's sentence is in its blocks, of a table in its rows: headings and cells end without a stop."""
    blocks = [block for block in document.blocks if block.start < place.end and place.start < block.end]
    if not blocks:
        return place.sentence
    start = max(place.sentence.start, min(blocks[0].start, place.start))
    end = min(place.sentence.end, max(blocks[-1].end, place.end))
    if blocks[0].kind == "table":
        start = max(start, document.text.rfind("\n", 0, place.start) + 1)
    if blocks[-1].kind == "table" and (row := document.text.find("\n", place.end, end)) >= 0:
        end = row
    return Passage(document.text[start:end], start, end)


def _origin(document: Document, place: int) -> tuple[str, int, int] | None:
    """Give (part, start, end there) of a character."""
    n = bisect_right(document.marks, place, key=lambda mark: mark.start) - 1
    mark = document.marks[n] if n >= 0 else None
    if mark is None or mark.original is None:
        return None
    start = mark.original + place - mark.start
    return mark.part, start, start + (mark.width if place == mark.start else 1)

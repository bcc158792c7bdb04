"""A document in passages: pieces short enough to be found and read by themselves, of which no answer is cut.

Size is counted without a model, in units: a word, or a character of a script that is written without spaces; the signs
around it belong to it. A word or row of signs without end counts again every 24 characters, white space every 64.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, takewhile
from typing import NamedTuple
from unicodedata import category

from puna.answer.spans import UNSPACED
from puna.errors import InputError
from puna.library.types import Block, Document, Passage
from puna.tokens.sentences import sentences_in

SIZE = 160  # units of a passage
OVERLAP = 40  # units of the longest span that is in no case cut
_TINY = 4  # parts of a passage's size: what is no larger than one of them may be joined over a heading
_WORD = 24  # characters of a word, or signs in a row, that count as one unit
_WHITE = 64  # white characters that count as one
_MARKS = 32  # on one character; more than any script writes
_PATH = 8  # headings of a path, the innermost
_HEADING = 120  # characters of a heading in a path
_RULE = re.compile(
    r"\s*\|?(?:\s*:?-+:?\s*\|)+(?:\s*:?-+:?)?\s*"
)  # between the head of a Markdown table and its rows
_LINE = re.compile(r"[^\n\r]*\S[^\n\r]*")
_HEADING_MARKS = re.compile(r"^#+\s+|\s+#+$|\s*[\n\r]\s*(?:=+|-+)$")


class _Piece(NamedTuple):
    """A block, or of a table one row. `head`: the table's first row, for those that follow it."""

    start: int
    end: int
    kind: str
    head: str = ""


class _Section(NamedTuple):
    """Headings and what stands under them, or a row that stands for itself."""

    path: tuple[str, ...]
    pieces: list[_Piece]


class _Unit(NamedTuple):
    """text[start:end]; `place`: units before it; `piece` and `sentence`: the numbers of those that it belongs to."""

    start: int
    end: int
    place: int
    piece: int
    sentence: int


def passages(document: Document, size: int = SIZE, overlap: int = OVERLAP) -> list[Passage]:
    """Cut a document into passages of at most `size` units, in order; each begins and ends with a visible character.

    Every visible character stands in at least one passage. So does, whole, every span of at most `overlap` units inside
    one block (of a table, inside one row), and every sentence and row of at most `size` units. A passage begins and
    ends with a sentence where one begins or ends near, and reaches over a heading only where what stands before and
    behind it is tiny; rows of CSV and JSON Lines are joined only where they are tiny. Nothing is cut between a character
    and its first 32 combining marks.

    `headings` has the headings over a passage, outermost first, its own included, and for the later rows of a Markdown
    table its first row. Raises InputError unless 0 < overlap <= size / 4.
    """
    if not 0 < overlap <= size // 4:
        raise InputError("E-PASSAGE-SIZE", size=size, overlap=overlap)
    tiny, text = size // _TINY, document.text
    found: list[Passage] = []
    count = size  # of the last passage found
    for section in _sections(document):
        before = count
        for number, window in enumerate(_windows(_units(text, section.pieces), section.pieces, size, overlap)):
            count = window[-1].place - window[0].place + 1
            head = section.pieces[window[0].piece].head
            one = Passage(window[0].start, window[-1].end, "", (*section.path, head) if head else section.path)
            if not number and max(before, count) <= tiny and one.start - found[-1].end <= _WHITE:
                one, count = _joined(found.pop(), one), before + count
            found.append(replace(one, text=text[one.start : one.end]))
    return found


def _joined(one: Passage, other: Passage) -> Passage:
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(one.headings, other.headings, strict=False))
    return replace(one, end=other.end, headings=tuple(heading for heading, _ in shared))


def _sections(document: Document) -> Iterator[_Section]:
    """Part a document before each heading that follows something else, and around each row that stands for itself."""
    text = document.text
    path: list[tuple[int, str]] = []
    pieces: list[_Piece] = []
    for block in document.blocks or (Block(0, len(text)),):
        heading, row = block.kind == "heading", block.kind == "row"
        if pieces and (row or pieces[-1].kind == "row" or (heading and pieces[-1].kind != "heading")):
            yield _Section(_titles(path), pieces)
            pieces = []
        if heading:
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, title_of(text[block.start : block.end])))
        pieces += _lines(text, block) if block.kind == "table" else [_Piece(block.start, block.end, block.kind)]
    if pieces:
        yield _Section(_titles(path), pieces)


def _titles(path: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(title for _, title in path[-_PATH:] if title)


def title_of(text: str) -> str:
    """Give a heading on one line, without the signs by which Markdown knows it."""
    return " ".join(_HEADING_MARKS.sub("", text.strip()).split())[:_HEADING].rstrip()


def _lines(text: str, block: Block) -> list[_Piece]:
    """Give the rows of a table, which are its lines; of a Markdown table the first one is the head of the others."""
    lines = [match.span() for match in _LINE.finditer(text, block.start, block.end)]
    if len(lines) > 1 and _RULE.fullmatch(text, *lines[1]):
        head = _Piece(lines[0][0], lines[1][1], "table")
        title = title_of(text[slice(*lines[0])].strip().strip("|"))
        return [head, *(_Piece(start, end, "table", title) for start, end in lines[2:])]
    return [_Piece(start, end, "table") for start, end in lines]


def _units(text: str, pieces: Sequence[_Piece]) -> Iterator[_Unit]:
    """Count a text; what is cut nowhere is one unit."""
    unit, marks = _patterns()
    place, sentence, last = -1, 0, pieces[0].start
    for number, piece in enumerate(pieces):
        begin = piece.start
        for _, end in _ends(text, piece):
            sentence += 1
            behind = marks.match(text, end, piece.end)
            end = behind.end() if behind else end
            for match in unit.finditer(text, begin, end):
                place += 1 + (match.start() - last) // _WHITE
                last = match.end()
                yield _Unit(match.start(), last, place, number, sentence)
            begin = end


def _ends(text: str, piece: _Piece) -> Iterator[tuple[int, int]]:
    """Give sentences, or lines of code."""
    if piece.kind != "code":
        return sentences_in(text, piece.start, piece.end)
    return (match.span() for match in _LINE.finditer(text, piece.start, piece.end))


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Give the pattern of a unit, and that of the marks behind a character."""
    joined = "".join(
        chr(code)
        for code in (*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0))
        if category(chr(code)) in ("Mn", "Mc", "Me")
    )
    joined = re.escape(joined) + "\u1160-\u11ff\ud7b0-\ud7ff\u200c\u200d\U0001f3fb-\U0001f3ff"
    marks = rf"(?:\u200d\S|[{joined}]){{0,{_MARKS}}}+"
    sign = rf"(?:(?:[\U0001f1e6-\U0001f1ff]{{2}}|[^\w\s]){marks})"
    letter = rf"(?:(?![{UNSPACED}])\w{marks})"
    some = f"{{0,{_WORD}}}+"
    word = rf"{sign}{some}(?:[{UNSPACED}]{marks}|{letter}{{1,{_WORD}}}+){sign}{some}|{sign}{{1,{_WORD}}}+"
    return re.compile(word), re.compile(marks)


def _windows(units: Iterator[_Unit], pieces: Sequence[_Piece], size: int, overlap: int) -> Iterator[list[_Unit]]:
    """Give overlapping windows of at most `size` units; no more than two of them are held at a time."""
    held: list[_Unit] = []
    while True:
        for unit in units:
            held.append(unit)
            if unit.place - held[0].place >= 2 * size:
                break
        if not held:
            return
        room = _first(held, held[0].place + size)
        if room == len(held):
            yield held
            return
        end = _end(held, room, pieces, (size + overlap) // 2)
        yield held[:end]
        del held[: _next(held, end, size, overlap)]


def _end(held: Sequence[_Unit], room: int, pieces: Sequence[_Piece], least: int) -> int:
    """Choose how many units a window has: at most `room`; one more is held."""
    row = room
    while row and held[row - 1].piece == held[room].piece:
        row -= 1
    if row and pieces[held[room].piece].kind in ("row", "table"):
        return row
    places = range(room, _first(held, held[0].place + least) - 1, -1)
    ends = [n for n in places if held[n - 1].sentence != held[n].sentence]
    at_piece = (n for n in ends if held[n - 1].piece != held[n].piece)
    # A heading stays with what follows it.
    return next((n for n in chain(at_piece, ends) if pieces[held[n - 1].piece].kind != "heading"), room)


def _next(held: Sequence[_Unit], end: int, size: int, overlap: int) -> int:
    """Choose where the window after held[:end] begins."""
    behind = held[end]
    if held[end - 1].piece != behind.piece:
        return end
    piece = next(n for n in range(end) if held[n].piece == behind.piece)
    latest = max(_first(held, behind.place + 1 - overlap), piece)
    earliest = max(behind.place - 2 * overlap, held[0].place + (size - overlap) // 4)
    near = takewhile(lambda n: held[n].place > earliest, range(latest, piece, -1))
    begin = next((n for n in near if held[n - 1].sentence != held[n].sentence), latest)
    if held[end - 1].sentence != behind.sentence:
        return begin
    # A sentence was cut: the next window has it whole, if any can.
    cut = [n for n, unit in enumerate(held) if unit.sentence == behind.sentence]
    fits = held[cut[-1]].place < held[cut[0]].place + size
    return min(begin, cut[0]) if fits and cut[0] else begin


def _first(held: Sequence[_Unit], place: int) -> int:
    """Give the first unit from a place on, or how many are held."""
    return bisect_left(held, place, key=lambda unit: unit.place)

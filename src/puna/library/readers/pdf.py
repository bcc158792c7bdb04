"""PDF by PDFium: text, where pages begin, and a box for each line of it.

Text is taken character by character from PDFium's own list, whose boxes are then those of these characters; a string that
PDFium makes of several may have more or fewer. Words that a line's end divides are put together again.
"""

import ctypes
import math
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from puna.library.limits import Limits
from puna.library.readers.extract import Extract
from puna.library.readers.refused import Refused
from puna.library.types import Box, Document

_SECRET = (4, 5)  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
_HYPHENS = (0x02, 0xFFFE)  # what PDFium has for one that divides a word, and leaves the line's end out
_APART = 1.3  # times the usual distance of lines: beyond it another paragraph begins
_FAR = 3.0  # and so many times the height of a line
_INDENT = 0.8  # times the usual distance of lines
_SENTENCE_ENDS = (".", "!", "?", ":", "。", "！", "？", "：", "…", '"', "”", "’", ")", "）")


class Edges(NamedTuple):
    """A rectangle on the page as it is seen, in points from its left and upper edge."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass
class _Piece:
    """What stands in one line of the page."""

    text: str = ""
    edges: Edges | None = None

    def add(self, text: str, edges: Edges | None) -> None:
        self.text += text
        if edges and self.edges:
            a, b = self.edges, edges
            edges = Edges(min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom))
        self.edges = edges or self.edges


@dataclass
class _Line:
    """A line of text: one of the page, or several that share divided words. `base`: its base line, downward."""

    base: float
    pieces: list[_Piece] = field(default_factory=lambda: [_Piece()])

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def read(data: bytearray, limits: Limits) -> Document:
    """Read a PDF file. Raises Refused for one that is damaged, encrypted, or has too many pages."""
    try:
        import pypdfium2
    except ImportError:
        raise Refused("E-DOCUMENT-NEEDS", package="pypdfium2") from None
    try:
        opened = pypdfium2.PdfDocument((ctypes.c_ubyte * len(data)).from_buffer(data))
    except pypdfium2.PdfiumError as error:
        if error.err_code in _SECRET:
            raise Refused("E-DOCUMENT-ENCRYPTED") from None
        raise Refused("E-DOCUMENT-DAMAGED", reason="PDFium cannot open it") from None
    with closing(opened) as file:
        if len(file) > limits.pages:
            raise Refused("E-DOCUMENT-PAGES", pages=len(file), limit=limits.pages)
        found = Extract(limits)
        for number in range(len(file)):
            try:
                page = file[number]
                text = page.get_textpage()
            except pypdfium2.PdfiumError:
                raise Refused("E-DOCUMENT-DAMAGED", reason=f"page {number + 1} cannot be read") from None
            if found.length:
                found.add("\n")
            found.pages.append(found.length)
            _add(found, _lines(page, text.raw))
            text.close()
            page.close()
        found.title = " ".join(_clean(file.get_metadata_value("Title")).split())
    return found.document()


def _lines(page: Any, text: Any) -> list[_Line]:
    """Give the lines of a page's text, in PDFium's order."""
    import pypdfium2.raw as pdfium

    view = _View(page)
    lines: list[_Line] = []
    line: _Line | None = None
    divided = False  # whether the character before was a hyphen at a line's end
    high = ""  # the first half of a surrogate pair
    for index in range(pdfium.FPDFText_CountChars(text)):
        code = pdfium.FPDFText_GetUnicode(text, index)
        if code == 0x0A:
            line = None
            continue
        if code in (0, 0x0D):
            continue
        if 0xD800 <= code < 0xDC00:
            high = chr(code)
            continue
        said, high = high + ("-" if code in _HYPHENS else chr(code)), ""
        said = _clean(said)
        edges = None if said.isspace() else view.edges(text, index)
        if line is None:
            if not said.strip():
                continue
            line = _Line(view.base(text, index))
            lines.append(line)
        elif divided:
            _join(line, said)
        elif edges and _is_below(line.pieces[-1], edges):
            line.pieces.append(_Piece())
        line.pieces[-1].add(said, edges)
        divided = code in _HYPHENS
    return lines


def _join(line: _Line, following: str) -> None:
    """Begin a line of the page behind a hyphen, which goes if what follows goes on with the word."""
    last = line.pieces[-1]
    if following.islower() and last.text[-2:-1].isalpha():
        last.text = last.text[:-1]
    line.pieces.append(_Piece())


def _is_below(piece: _Piece, edges: Edges) -> bool:
    """Tell whether a character stands in another line of the page, where PDFium has only a space behind a dash."""
    before = piece.edges
    return bool(
        before
        and piece.text[-1:].isspace()
        and piece.text.rstrip().endswith("-")
        and (edges.top > before.bottom or edges.bottom < before.top)
    )


def _add(found: Extract, lines: list[_Line]) -> None:
    """Add a page's lines, a block for what looks like a paragraph."""
    steps = [after.base - before.base for before, after in pairwise(lines)]
    down = [step for step in steps if step > 0]
    usual = median(down) if down else math.inf
    for number, line in enumerate(lines):
        if number:
            if _parted(lines[number - 1], line, usual):
                found.close()
            found.add("\n")
        found.open()
        pieces = [piece for piece in line.pieces if piece.text]
        for piece in pieces:
            # White space at a line's end is of no use; within a line that goes on it parts words.
            text = piece.text.rstrip() if piece is pieces[-1] else piece.text
            start = found.length
            found.add(text)
            if piece.edges and text.strip():
                found.boxes.append(Box(start, found.length, len(found.pages), *(round(v, 2) for v in piece.edges)))
        if len(found.boxes) > found.limits.pieces:
            raise Refused("E-DOCUMENT-PIECES", limit=found.limits.pieces)
    found.close()


def _parted(before: _Line, after: _Line, usual: float) -> bool:
    """Tell whether a paragraph begins: far below, or after the end of a sentence indented or in another column."""
    step = after.base - before.base
    one, two = before.pieces[-1].edges, after.pieces[0].edges
    if one and two and step > _FAR * (one.bottom - one.top) > 0:
        return True
    if step > _APART * usual:
        return True
    indented = one and two and two.left - one.left > _INDENT * usual
    return before.text.rstrip().endswith(_SENTENCE_ENDS) and bool(step <= 0 or indented)


def _clean(text: str) -> str:
    """Give text without characters that no text may hold."""
    if len(text) == 2:  # a surrogate pair
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(
        "\ufffd" if (c < " " and c != "\t") or "\ud800" <= c <= "\udfff" or c == "\uffff" else c for c in text
    )


class _View:
    """From PDFium's coordinates, upward from the page's origin, to those of the page as it is seen."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._left, self._bottom, self._right, self._top = page.get_bbox()
        self._turned = page.get_rotation()
        self._four = tuple(ctypes.c_double() for _ in range(4))

    def edges(self, text: Any, index: int) -> Edges | None:
        """Give the edges of a character, None where it has none."""
        left, right, bottom, top = self._four
        if not self._pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top):
            return None
        if not (left.value < right.value and bottom.value < top.value):  # nothing to see, or no numbers
            return None
        x, y = self._seen(left.value, bottom.value)
        other_x, other_y = self._seen(right.value, top.value)
        found = Edges(min(x, other_x), min(y, other_y), max(x, other_x), max(y, other_y))
        return found if all(map(math.isfinite, found)) else None

    def base(self, text: Any, index: int) -> float:
        """Give the base line of a character."""
        x, y = self._four[:2]
        self._pdfium.FPDFText_GetCharOrigin(text, index, x, y)
        return self._seen(x.value, y.value)[1]

    def _seen(self, x: float, y: float) -> tuple[float, float]:
        if self._turned == 90:
            return y - self._bottom, x - self._left
        if self._turned == 180:
            return self._right - x, y - self._bottom
        if self._turned == 270:
            return self._top - y, self._right - x
        return x - self._left, self._top - y

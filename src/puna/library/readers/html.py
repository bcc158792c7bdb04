"""HTML: what a page shows, in lines, with where each piece stands in the source.

White space is run together as browsers do it; block elements part lines; scripts, styles and what is hidden are left out.
The cells of a table's row are joined by tabs, and a row is a line.
"""

import re
from html import unescape
from html.parser import HTMLParser
from typing import NamedTuple

from puna.library.limits import Limits
from puna.library.readers.decoding import decoded
from puna.library.readers.extract import Extract
from puna.library.types import Document, Kind

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(_HEADINGS) | frozenset(
    """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure footer
    form header hgroup hr html legend li main menu nav ol p pre search section summary table tbody td tfoot th thead tr ul
    """.split()
)
_HIDDEN = frozenset(
    """
    audio canvas datalist iframe noembed noframes noscript object rp rt script select style svg template textarea title
    video
    """.split()
)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
# What a start tag ends that was left open: these elements, looked for up to those.
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(ended.split()), frozenset(within.split()))
    for names, ended, within in (
        ("li", "li", "ul ol menu dir"),
        ("dt dd", "dt dd", "dl"),
        ("td th", "td th", "tr table"),
        ("tr", "tr", "table"),
        ("tbody thead tfoot", "tbody thead tfoot tr caption", "table"),
        ("rt rp", "rt rp", "ruby"),
    )
    for name in names.split()
}
_PARAGRAPH = (frozenset({"p"}), frozenset("table td th caption".split()))
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_WORDS = re.compile(r"[^ \t\n\r\f]+(?: [^ \t\n\r\f]+)*")
_CODE_WORDS = re.compile(r"\S(?:.*\S)?", re.DOTALL)
_CHARSET = re.compile(
    rb"""<(?:meta[^>]{1,256}charset|\?xml[^>]{1,256}encoding)\s*=\s*["']?([\w-]{1,32})""", re.IGNORECASE
)


class _Element(NamedTuple):
    name: str
    hides: bool


def read(data: bytearray, limits: Limits) -> Document:
    """Read a page; marks point into its source."""
    found = Extract(limits, marks=True)
    source = decoded(data, declared(data))
    found.title = add_html(found, source)
    return found.document()


def declared(data: bytearray) -> str | None:
    """Give the encoding that a page names in its first 2 KiB."""
    match = _CHARSET.search(data[:2048])
    return match[1].decode("ascii", "replace") if match else None


def add_html(found: Extract, source: str) -> str:
    """Add what a page shows, and give its title."""
    reader = _Reader(found, source)
    reader.feed(source + "\n")  # so that nothing at its end is taken for unfinished
    reader.close()
    reader.end_block()
    return " ".join("".join(reader.title).split())


class _Table:
    """An open table. `plain`: its rows are lines; what holds headings or tables is there for the layout."""

    def __init__(self) -> None:
        self.plain = True
        self.cells = 0


class _Reader(HTMLParser):
    def __init__(self, found: Extract, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self.title: list[str] = []
        self._found, self._source = found, source
        self._lines = [0, *(match.end() for match in re.finditer("\n", source))]
        self._open: list[_Element] = []  # what parts lines or hides; others do not matter
        self._counts: dict[str, int] = {}
        self._hidden = 0
        self._in_title = False
        self._level = 0
        self._code = 0
        self._tables: list[_Table] = []
        self._begun = False  # whether the block has text
        self._space: tuple[str, int | None] | None = None  # to be added before the next text of the block

    # What html.parser calls.

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._end_implied(tag)
        if tag == "br":
            self._line_break()
            return
        hides = tag in _HIDDEN or _is_hidden(tag, attributes)
        if tag == "title" and not self._hidden and not self.title:
            self._in_title = True
        if not hides and not self._hidden:
            self._enter(tag)
        if tag not in _VOID and (hides or tag in _BLOCKS or tag == "ruby"):
            self._open.append(_Element(tag, hides))
            self._counts[tag] = self._counts.get(tag, 0) + 1
            self._hidden += hides

    def handle_endtag(self, tag: str) -> None:
        if tag == "p" and not self._counts.get("p"):
            self._part()
        # Whatever heading is open, a heading's end tag ends it.
        names = _HEADINGS if tag in _HEADINGS else (tag,)
        if any(self._counts.get(name) for name in names):
            self._close_to(next(n for n in range(len(self._open) - 1, -1, -1) if self._open[n].name in names))

    def handle_data(self, data: str) -> None:
        self._text(data, self._place())

    def handle_charref(self, name: str) -> None:
        self._reference(f"&#{name}")

    def handle_entityref(self, name: str) -> None:
        self._reference(f"&{name}")

    def unknown_decl(self, data: str) -> None:
        if data.startswith("CDATA["):  # text in XHTML
            self._text(data[6:], self._place() + len("<![CDATA["))

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        # The library's own gives up on sections that it does not know.
        end = "]]>" if self.rawdata.startswith("<![CDATA[", i) else ">"
        at = self.rawdata.find(end, i + 3)
        if at >= 0:
            self.unknown_decl(self.rawdata[i + 3 : at])
        return at + len(end) if at >= 0 else -1

    # Elements.

    def _enter(self, tag: str) -> None:
        table = self._tables[-1] if self._tables else None
        if tag in _HEADINGS or tag in ("pre", "table"):
            if table and table.plain:
                self.end_block()
                table.plain = False
            self.end_block()
            self._level = _HEADINGS.get(tag, self._level)
            self._code += tag == "pre"
            if tag == "table":
                self._tables.append(_Table())
        elif table and table.plain and tag == "tr":
            table.cells = 0
            self._space = ("\n", None)
        elif table and table.plain and tag in ("td", "th"):
            if table.cells:
                before = self._space[0] if self._space else ""
                self._space = ((before if before.strip(" ") else "") + "\t", None)
            table.cells += 1
        elif tag == "caption":
            self.end_block()
        elif tag in _BLOCKS:
            self._part()

    def _leave(self, element: _Element) -> None:
        self._hidden -= element.hides
        tag = element.name
        if tag == "title":
            self._in_title = False
        if element.hides or self._hidden:
            return
        if tag == "table":
            self.end_block()
            self._tables.pop()
        elif tag == "caption":
            self.end_block("text")
        elif tag in _HEADINGS or tag == "pre":
            self.end_block()
            self._code -= tag == "pre"
            self._level = 0 if tag in _HEADINGS else self._level
        elif tag in _BLOCKS and not (tag in ("td", "th", "tr") and self._tables and self._tables[-1].plain):
            self._part()

    def _end_implied(self, tag: str) -> None:
        """End the elements that this tag ends although nothing else does."""
        rules = [_PARAGRAPH] if tag in _BLOCKS else []
        if tag in _ENDS:
            rules.append(_ENDS[tag])
        for ended, within in rules:
            if not any(self._counts.get(name) for name in ended):
                continue
            for n in range(len(self._open) - 1, -1, -1):
                if self._open[n].name in ended:
                    self._close_to(n)
                    break
                if self._open[n].name in within:
                    break

    def _close_to(self, number: int) -> None:
        while len(self._open) > number:
            element = self._open.pop()
            self._counts[element.name] -= 1
            self._leave(element)

    # Text.

    def _place(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _reference(self, name: str) -> None:
        at = self._place()
        source = name + ";" * self._source.startswith(";", at + len(name))
        text = unescape(source)
        # "&ampx" is "&x": what follows the name stands for itself.
        same = next(
            (n for n, (a, b) in enumerate(zip(reversed(text), reversed(source), strict=False)) if a != b), len(text)
        )
        if text == source:
            self._text(text, at)
            return
        self._text(text[: len(text) - same], at, len(source) - same)
        self._text(text[len(text) - same :], at + len(source) - same)

    def _text(self, text: str, at: int, width: int | None = None) -> None:
        """Add text that stands at `at` in the source; `width`: of a reference to it that stands there instead."""
        if self._in_title:
            self.title.append(text)
        if self._hidden or not text:
            return
        if width is not None:
            self._add(text, at, width)
            return
        done = 0
        for match in (_CODE_WORDS if self._code else _WORDS).finditer(text):
            self._white(text[done : match.start()], at + done)
            self._add(match[0], at + match.start())
            done = match.end()
        self._white(text[done:], at + done)

    def _white(self, text: str, at: int) -> None:
        """Take white space: it is added before more text of the block, one character for all of it but in code."""
        if not text or not self._begun:
            return
        if self._code:
            self._flush()
            self._space = (text, at)
        elif self._space is None:
            self._space = (" ", at if text == " " else None)

    def _add(self, text: str, at: int, width: int | None = None) -> None:
        if not self._begun:
            bare = text.lstrip()  # no-break and ideographic spaces
            at += len(text) - len(bare) if width is None else 0
            if not bare:
                return
            text = bare
            if self._found.length:
                self._found.add("\n")
            self._found.open()
            self._begun, self._space = True, None
        self._flush()
        self._found.add(text, at, width)

    def _flush(self) -> None:
        if self._space:
            self._found.add(*self._space)
            self._space = None

    def _line_break(self) -> None:
        if self._hidden or not self._begun:
            return
        if self._tables and self._tables[-1].plain:
            self._part()
        elif self._code:
            self._flush()
            self._space = ("\n", None)
        elif self._space and self._space[0] == "\n":
            self.end_block()
        else:
            self._space = ("\n", None)

    def _part(self) -> None:
        """Part what comes from what was: as words within a cell, else as blocks."""
        if self._tables and self._tables[-1].plain:
            self._space = self._space or (" ", None)
        elif not self._hidden:
            self.end_block()

    def end_block(self, kind: Kind | None = None) -> None:
        """End the block here; white space at its end is left out."""
        if kind is None:
            table = bool(self._tables and self._tables[-1].plain)
            kind = "heading" if self._level else "code" if self._code else "table" if table else "text"
        self._found.close(kind, self._level)
        self._begun, self._space = False, None


def _is_hidden(tag: str, attributes: list[tuple[str, str | None]]) -> bool:
    given = dict(attributes)
    return (
        "hidden" in given
        or bool(_INVISIBLE.search(given.get("style") or ""))
        or (tag == "dialog" and "open" not in given)
    )

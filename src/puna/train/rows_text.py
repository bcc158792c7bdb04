"""Paragraphs of running text from files: plain or Markdown text, and JSON Lines with a text or a context a row."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import IO, NamedTuple

from puna.errors import InputError
from puna.tasks.rows import Fields, objects, opened

_LONGEST_LINE = 1 << 20  # bytes of a line that are read at once; a longer one is cut there
_LONGEST_PARAGRAPH = 1 << 16  # characters of lines that are joined
_WRAPPED = range(40, 101)  # characters of a line that goes on in the next
_HAN = "\u3400-\u9fff"

_FENCE = re.compile(r"(?:```|~~~)")
_LEFT_OUT = re.compile(r"#{1,6} |\||=+ .* =+$|[-=*_]{3,}$|\{[%:#{]|<")  # headings, tables, rules, markup
_ITEM = re.compile(r"(?:[-*+•] |\d+[.)] )")
_TITLE = re.compile(r" ?= ([^=].*[^=]) = ?$")
_MARKS = (
    (re.compile(r"<!--.*?-->|!\[[^\]]*\]\([^)]*\)|\(attribution: [^()]*\)"), ""),
    (re.compile(r"\[([^\]]+)\]\([^)\s]*\)"), r"\1"),
    (re.compile(r"(?<!\w)(\*\*|__|\*|_)(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(rf"(?<=[{_HAN}”」』）])．"), "。"),
)
_TOKENISED = re.compile(r" @[-,.]@ | [,.;] | [.?!]$")
_TOKENS = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" ([,.;:!?%)\]’”]|'(?:s|t|re|ve|ll|d|m)\b|n't\b)"), r"\1"),
    (re.compile(r"([(\[$£“]) "), r"\1"),
    (re.compile(r"(?<=\d) – (?=\d)"), "–"),
    (re.compile(r'" ([^"]*?) ?"'), r'"\1"'),
    (re.compile(r"(?<=s) ' (?=\w)"), "' "),
)


class Paragraph(NamedTuple):
    """A paragraph of the document with this number; one that is `whole` is a passage as it stands."""

    document: int
    title: str | None
    text: str
    whole: bool


def read_paragraphs(path: Path, first: int, report: Callable[[int], None]) -> Iterator[Paragraph]:
    """Read a file piece by piece; its documents are numbered from `first` on.

    `report` gets the bytes of the file that were read. Raises InputError, naming file and line, for what does not fit.
    """
    with opened(path) as (lines, file):
        name = path.name.removesuffix(".gz")
        found = _rows(path, lines, first) if name.endswith(".jsonl") else _texts(path, lines, first)
        for paragraph in found:
            report(file.tell())
            yield paragraph


def _rows(path: Path, lines: IO[bytes], document: int) -> Iterator[Paragraph]:
    """Each `text` is a document. So is each `context`; neighbours with one title are of one document."""
    before: str | None = None
    for row in objects(path, lines):
        title = _title(row)
        if "context" in row:
            document += before is not None and title != before
            before = title
            yield Paragraph(document, title, row.text("context"), whole=True)
            continue
        document += 1
        yield from paragraphs_of(row.text("text", blank=True), title, document)


def paragraphs_of(text: str, title: str | None, document: int) -> Iterator[Paragraph]:
    """Give the paragraphs of one document's text."""
    for each in _joined(text.splitlines()):
        yield Paragraph(document, title, each, whole=False)


def _title(row: Fields) -> str | None:
    return next((row.text(name) for name in ("title", "doc_id") if name in row), None)


def _texts(path: Path, lines: IO[bytes], document: int) -> Iterator[Paragraph]:
    """A file is a document; a heading such as "= Lobster =", as WikiText has them, begins another one."""
    titled = _titled(path.name.partition(".")[0], document, _decoded(path, lines))
    for (number, title), group in groupby(titled, key=lambda line: line[:2]):
        for text in _joined(line for *_, line in group):
            yield Paragraph(number, title, text, whole=False)


def _titled(title: str, document: int, lines: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    for line in lines:
        if heading := _TITLE.match(line):
            document, title = document + 1, _clean(heading[1])
        else:
            yield document, title, line


def _decoded(path: Path, lines: IO[bytes]) -> Iterator[str]:
    """Decode line by line, so that the one with other bytes than UTF-8 can be named."""
    decoder, number = codecs.getincrementaldecoder("utf-8")(), 1
    try:
        while raw := lines.readline(_LONGEST_LINE):
            text = decoder.decode(raw)
            yield text.removeprefix("\ufeff") if number == 1 else text
            number += raw.endswith(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeError:
        raise InputError("E-ROWS-UNICODE", path=path, line=number) from None


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Give paragraphs of running text: wrapped lines joined, marks taken off, headings, tables and code left out."""
    held, wrapped, code = "", False, False
    for raw in lines:
        line = raw.strip()
        if _FENCE.match(line):
            code = not code
        skip = code or not line or _FENCE.match(line) or _LEFT_OUT.match(line)
        if skip or not wrapped or _ITEM.match(line) or len(held) > _LONGEST_PARAGRAPH:
            if held:
                yield held
            held = ""
        if skip:
            wrapped = False
            continue
        held = f"{held} {_clean(line)}".strip()
        wrapped = len(line) in _WRAPPED and line[-1].isascii()
    if held:
        yield held


def _clean(line: str) -> str:
    """Take Markdown's marks off, and give text that was cut into tokens its usual spaces."""
    for pattern, plain in _MARKS:
        line = pattern.sub(plain, line)
    if _TOKENISED.search(line):
        for pattern, plain in _TOKENS:
            line = pattern.sub(plain, line)
    return line.strip()

"""Files of rows, CSV and JSON Lines: a row a block."""

import csv
import json
import re
import sys
from collections.abc import Iterator

from puna.library.limits import Limits
from puna.library.readers.decoding import decoded
from puna.library.readers.extract import Extract, bounded
from puna.library.readers.refused import Refused
from puna.library.types import Block, Document

_LINE = re.compile(r"[^\n\r]*(?:\r\n|\n|\r|\Z)")
_SEPARATORS = ",;\t|"
# In a row that is valid JSON these are its strings from left to right; one before a colon is a name.
_STRING = re.compile(r'"((?:[^"\\]++|\\.)*+)"(\s*:)?', re.ASCII)
_PIECE = re.compile(r"[^\\]+|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.", re.ASCII)
_NEVER = re.compile("[\0\ud800-\udfff]")
_ROW_ENDS = re.compile(r"[\n\r]")


def read_table(data: bytearray, limits: Limits) -> Document:
    """Read CSV, by RFC 4180 or with semicolons, tabs or bars; its offsets are the file's."""
    text = decoded(data)
    return Document(text, blocks=bounded((Block(start, end, "row") for start, end in _table(text)), limits))


def _table(text: str) -> Iterator[tuple[int, int]]:
    """Give where rows are. Line ends within quotes are part of a row, unless a quote is never closed."""
    spans = [match.span() for match in _LINE.finditer(text) if match.end() > match.start()]
    csv.field_size_limit(sys.maxsize)
    first = next((text[start:end] for start, end in spans if text[start:end].strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    separator = max(_SEPARATORS, key=bare.count)
    at = 0
    try:
        reader = csv.reader((text[start:end] for start, end in spans), delimiter=separator, strict=True)
        for _ in reader:
            yield from _stripped(text, spans[at][0], spans[reader.line_num - 1][1])
            at = reader.line_num
    except csv.Error:  # a quote that is not closed, or within a cell: from here on, a row is a line
        for start, end in spans[at:]:
            yield from _stripped(text, start, end)


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    row = text[start:end]
    if bare := row.strip():
        start += len(row) - len(row.lstrip())
        yield start, start + len(bare)


def read_jsonl(data: bytearray, limits: Limits) -> Document:
    """Read JSON Lines: of each row the strings in it, parted by tabs; line n of the text is line n of the file."""
    text = decoded(data)
    found = Extract(limits, marks=True)
    at = 0
    for number, line in enumerate(text.split("\n"), 1):
        if number > 1:
            found.add("\n")
        if line.strip():
            _row(found, line, at, number)
        at += len(line) + 1
    return found.document()


def _row(found: Extract, line: str, at: int, number: int) -> None:
    try:
        json.loads(line, parse_int=len, parse_float=len)  # of a number nothing is wanted, and it may be endless
    except ValueError:
        raise Refused("E-DOCUMENT-DAMAGED", reason=f"line {number} is not JSON") from None
    begun = False
    for match in _STRING.finditer(line):
        if match[2] is not None or not match[1].strip():
            continue
        if begun:
            found.add("\t")
        begun = True
        found.open()
        for piece in _PIECE.finditer(match[1]):
            original = at + match.start(1) + piece.start()
            if piece[0][0] == "\\":
                found.add(_plain(json.loads(f'"{piece[0]}"')), original, len(piece[0]))
            else:
                found.add(_plain(piece[0]), original)
    found.close("row")


def _plain(text: str) -> str:
    """Give the characters without what no text may hold, and without ends of lines: a row stays one line."""
    return _NEVER.sub("\ufffd", _ROW_ENDS.sub(" ", text))

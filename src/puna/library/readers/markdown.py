"""Markdown, as far as it says what belongs together: headings, paragraphs, items, tables, code. After CommonMark 0.31.

Blocks are lines of the file, marks and all: a heading has its `#`, an item its bullet.
"""

import re
from collections.abc import Iterator

from puna.library.limits import Limits
from puna.library.readers.decoding import decoded
from puna.library.readers.extract import bounded
from puna.library.types import Block, Document, Kind

_LINE = re.compile(r"[^\n\r]*(?:\r\n|\n|\r|\Z)")
_PREFIX = re.compile(r"(?: {0,3}> ?)*")  # of quotations
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_DELIMITERS = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_RAW = re.compile(r" {0,3}<(?:!--|(script|pre|style|textarea)(?=[\s>]|$))", re.IGNORECASE)
_TITLE = re.compile(r"title:[ \t]*(['\"]?)(.+?)\1[ \t]*$", re.IGNORECASE)
_CLOSING = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")


def read(data: bytearray, limits: Limits) -> Document:
    """Read Markdown; its offsets are the file's. The title is that of the front matter, else the first heading."""
    text = decoded(data)
    scan = _Scan(text)
    blocks = bounded(scan.blocks(), limits)
    return Document(text, scan.title, blocks)


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.title = ""
        self._spans = [match.span() for match in _LINE.finditer(text) if match.end() > match.start()]
        self._at = 0  # the next line
        self._listed = False  # whether the last block but blank lines was an item, or stands in one

    def blocks(self) -> Iterator[Block]:
        """Give the blocks in order. No line is looked at more than a few times."""
        if len(self._spans) > 1 and self._line(0).rstrip() == "---" and (end := self._front_matter()):
            yield from self._block(0, end, "code")
            self._at = end
        while self._at < len(self._spans):
            start, line = self._at, self._bare(self._at)
            self._at += 1
            if not line.strip():
                continue
            if match := _ATX.match(line):
                self._listed = False
                yield from self._heading(start, len(match[1]), _CLOSING.sub("", line[match.end() :]))
            elif match := _FENCE.match(line):
                self._pass_fence(match[1], self._depth(start))
                yield from self._block(start, self._at, "code")
            elif match := _RAW.match(line):
                self._pass_raw(f"</{match[1]}>" if match[1] else "-->", start)
                yield from self._block(start, self._at, "text")
            elif self._is_table(start):
                self._pass_table()
                yield from self._block(start, self._at, "table")
            elif line.startswith(("    ", "\t")) and not self._listed:
                self._pass_indented()
                yield from self._block(start, self._at, "code")
            else:
                yield from self._paragraph(start, line)

    def _paragraph(self, start: int, first: str) -> Iterator[Block]:
        """Take lines up to one that is blank or begins something else; an underline makes a heading of them."""
        indented = first[0] in " \t"
        rule = bool(_RULE.match(first))
        item = not rule and bool(_ITEM.match(first))
        self._listed = item or (self._listed and indented)
        quoted = self._depth(start)
        while not rule and self._at < len(self._spans):
            line = self._bare(self._at)
            if not line.strip() or self._depth(self._at) > quoted:
                break
            if (match := _SETEXT.match(line)) and not self._listed and self._depth(self._at) == quoted:
                self._at += 1
                said = " ".join(self._bare(n).strip() for n in range(start, self._at - 1))
                yield from self._heading(start, 1 if match[1][0] == "=" else 2, said)
                return
            if self._begins(line, self._at):
                break
            self._at += 1
        yield from self._block(start, self._at, "text")

    def _begins(self, line: str, at: int) -> bool:
        """Tell whether a line ends the paragraph before it."""
        number = re.match(r"[ \t]*(\d+)", line)
        item = bool(_ITEM.match(line)) and (
            self._listed or ((not number or int(number[1]) == 1) and line.strip(" \t-+*"))
        )
        return bool(
            item
            or _ATX.match(line)
            or _FENCE.match(line)
            or _RULE.match(line)
            or _RAW.match(line)
            or self._is_table(at)
        )

    def _heading(self, start: int, level: int, said: str) -> Iterator[Block]:
        self.title = self.title or said.strip()
        yield from self._block(start, self._at, "heading", level)

    def _front_matter(self) -> int:
        """Give the line behind the front matter, 0 where there is none that ends; take the title from it."""
        for number in range(1, len(self._spans)):
            line = self._line(number).rstrip()
            if line in ("---", "..."):
                return number + 1
            if match := _TITLE.match(line):
                self.title = match[2].strip()
        self.title = ""
        return 0

    def _pass_fence(self, fence: str, depth: int) -> None:
        closing = re.compile(rf"[ \t]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
        while self._at < len(self._spans) and self._depth(self._at) >= depth:
            self._at += 1
            if closing.match(self._bare(self._at - 1)):
                return

    def _pass_raw(self, end: str, start: int) -> None:
        self._at = start
        while self._at < len(self._spans):
            self._at += 1
            if end in self._line(self._at - 1).lower():
                return

    def _is_table(self, at: int) -> bool:
        """Tell whether a row of names begins here: the next line is of dashes, for as many columns."""
        if at + 1 >= len(self._spans) or "|" not in (names := self._bare(at)):
            return False
        dashes = self._bare(at + 1)
        return bool(_DELIMITERS.match(dashes)) and _cells(names) == _cells(dashes)

    def _pass_table(self) -> None:
        self._at += 1
        while self._at < len(self._spans):
            line = self._bare(self._at)
            if not line.strip() or self._begins(line, self._at):
                return
            self._at += 1

    def _pass_indented(self) -> None:
        end = self._at
        while self._at < len(self._spans):
            line = self._line(self._at)
            if line.strip():
                if not line.startswith(("    ", "\t")):
                    break
                end = self._at + 1
            self._at += 1
        self._at = end

    def _block(self, first: int, behind: int, kind: Kind, level: int = 0) -> Iterator[Block]:
        """Give the block of lines [first, behind), without the white space around it."""
        start, end = self._spans[first][0], self._spans[behind - 1][1]
        piece = self.text[start:end]
        if bare := piece.strip():
            start += len(piece) - len(piece.lstrip())
            yield Block(start, start + len(bare), kind, level)

    def _line(self, number: int) -> str:
        start, end = self._spans[number]
        return self.text[start:end].rstrip("\n\r")

    def _bare(self, number: int) -> str:
        """Give a line without the marks of quotation before it."""
        line = self._line(number)
        match = _PREFIX.match(line)
        return line[match.end() :] if match else line

    def _depth(self, number: int) -> int:
        match = _PREFIX.match(self._line(number))
        return match[0].count(">") if match else 0


def _cells(line: str) -> int:
    """Count the cells of a row of a table."""
    return len(re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|")))

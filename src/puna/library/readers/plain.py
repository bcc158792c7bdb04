"""Plain text: paragraphs are what blank lines part."""

import re

from puna.library.limits import Limits
from puna.library.readers.decoding import decoded
from puna.library.types import Block, Document

# A paragraph begins and ends with a character that is not white; no line in it is blank.
_PARAGRAPH = re.compile(r"\S[^\n\r]*(?:(?:\r\n|\n|\r)[^\S\n\r]*\S[^\n\r]*)*")


def read(data: bytearray, limits: Limits) -> Document:
    """Read a text; its offsets are the file's."""
    text = decoded(data)
    return Document(text, blocks=tuple(Block(start, end) for start, end in paragraphs(text)))


def paragraphs(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Give where the paragraphs of text[start:end] are, without white space around them."""
    found = []
    for match in _PARAGRAPH.finditer(text, start, len(text) if end is None else end):
        stripped = match[0].rstrip()
        found.append((match.start(), match.start() + len(stripped)))
    return found

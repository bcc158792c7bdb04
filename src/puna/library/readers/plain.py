"""Plain text: paragraphs are what blank lines part."""

import re
from collections.abc import Iterator

from puna.library.limits import Limits
from puna.library.readers.decoding import decoded
from puna.library.readers.extract import bounded
from puna.library.types import Block, Document

# A paragraph begins and ends with a character that is not white; no line in it is blank.
_PARAGRAPH = re.compile(r"\S[^\n\r]*(?:(?:\r\n|\n|\r)[^\S\n\r]*\S[^\n\r]*)*")


def read(data: bytearray, limits: Limits) -> Document:
    """Read a text; its offsets are the file's."""
    text = decoded(data)
    return Document(text, blocks=bounded(_paragraphs(text), limits))


def _paragraphs(text: str) -> Iterator[Block]:
    for match in _PARAGRAPH.finditer(text):
        yield Block(match.start(), match.start() + len(match[0].rstrip()))

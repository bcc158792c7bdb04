"""One reader for each kind of file: bytes → Document. They run in the process of `puna.library.child` only."""

import codecs
from collections.abc import Callable

from puna.library.kinds import KINDS
from puna.library.limits import Limits
from puna.library.readers import markdown, plain, rows
from puna.library.readers.refused import Refused
from puna.library.types import Document

_READERS: dict[str, Callable[[bytearray, Limits], Document]] = {
    "text": plain.read,
    "markdown": markdown.read,
    "csv": rows.read_table,
    "jsonl": rows.read_jsonl,
}


def preload() -> None:
    """Load what reading will need: later no file can be opened any more."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "gb2312", "unicode_escape"):
        codecs.lookup(encoding)


def read(suffix: str, data: bytearray, limits: Limits) -> Document:
    """Read a file of that suffix (".pdf"); raise Refused, and whatever a parser makes of what it does not expect."""
    kind = KINDS.get(suffix)
    if kind is None:
        raise Refused("E-DOCUMENT-UNKNOWN")
    document = _READERS[kind](data, limits)
    if not document.blocks:
        raise Refused("E-DOCUMENT-EMPTY")
    if len(document.text) > limits.characters:
        raise Refused("E-DOCUMENT-LONG", limit=limits.characters)
    if max(map(len, (document.blocks, document.boxes, document.marks))) > limits.pieces:
        raise Refused("E-DOCUMENT-PIECES", limit=limits.pieces)
    return document

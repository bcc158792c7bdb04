"""One reader for each kind of file: bytes → Document. They run in the process of `puna.library.child` only."""

import codecs
import contextlib
from collections.abc import Callable

from puna.library.kinds import KINDS
from puna.library.limits import Limits
from puna.library.readers import docx, epub, html, markdown, pdf, plain, rows
from puna.library.readers.decoding import ENCODINGS
from puna.library.readers.refused import Refused
from puna.library.types import Document

_READERS: dict[str, Callable[[bytearray, Limits], Document]] = {
    "text": plain.read,
    "markdown": markdown.read,
    "html": html.read,
    "pdf": pdf.read,
    "docx": docx.read,
    "epub": epub.read,
    "csv": rows.read_table,
    "jsonl": rows.read_jsonl,
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def preload() -> None:
    """Load what reading will need: later no file can be opened any more."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "gb2312", "cp437", *ENCODINGS.values()):
        codecs.lookup(encoding)
    with contextlib.suppress(ImportError):
        import pypdfium2  # noqa: F401


def read(suffix: str, data: bytearray, limits: Limits) -> Document:
    """Read a file of that suffix (".pdf"); raise Refused, and whatever a parser makes of what it does not expect."""
    document = _READERS[kind_of(suffix, data)](data, limits)
    if not document.blocks:
        raise Refused("E-DOCUMENT-EMPTY")
    if len(document.text) > limits.characters:
        raise Refused("E-DOCUMENT-LONG", limit=limits.characters)
    if max(map(len, (document.blocks, document.boxes, document.marks))) > limits.pieces:
        raise Refused("E-DOCUMENT-PIECES", limit=limits.pieces)
    return document


def kind_of(suffix: str, data: bytearray) -> str:
    """Give a file's kind: by how it begins, for those that say so, else by its suffix. Raises Refused."""
    if data.startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        if b"META-INF/container.xml" in data:
            return "epub"
        if b"[Content_Types].xml" in data and b"word/" in data:
            return "docx"
    elif data.startswith(_OLE) and _OLE_ENCRYPTED in data:
        raise Refused("E-DOCUMENT-ENCRYPTED")
    kind = KINDS.get(suffix)
    if kind is None:
        raise Refused("E-DOCUMENT-UNKNOWN")
    if not data:
        raise Refused("E-DOCUMENT-EMPTY")
    if kind in ("docx", "epub") and not data.startswith(b"PK"):
        raise Refused("E-DOCUMENT-DAMAGED", reason=f"it does not begin as {suffix} files do")
    return kind

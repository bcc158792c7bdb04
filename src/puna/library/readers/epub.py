"""EPUB: the chapters in the order in which they are read; marks name the chapter's file and point into it."""

import posixpath
from urllib.parse import unquote

from puna.library.limits import Limits
from puna.library.readers.archive import Archive
from puna.library.readers.decoding import decoded
from puna.library.readers.extract import Extract
from puna.library.readers.html import add_html, declared
from puna.library.readers.refused import Refused
from puna.library.readers.xml import Handler, parse_xml
from puna.library.types import Document

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_CHAPTERS = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")


def read(data: bytearray, limits: Limits) -> Document:
    """Read a book."""
    archive = Archive(data, limits)
    container = _Container()
    parse_xml(archive.read(_CONTAINER), container, limits)
    if not container.root:
        raise Refused("E-DOCUMENT-DAMAGED", reason="its container names no book")
    package = _Package()
    parse_xml(archive.read(container.root), package, limits)
    encrypted = _Encryption()
    if _ENCRYPTION in archive:
        parse_xml(archive.read(_ENCRYPTION), encrypted, limits)
    found = Extract(limits, marks=True)
    folder = posixpath.dirname(container.root)
    # A chapter is read once, however often it is named.
    for number in dict.fromkeys(package.spine):
        if number not in package.items:
            raise Refused("E-DOCUMENT-DAMAGED", reason=f"chapter {number} is in no list")
        address, kind = package.items[number]
        if kind not in _CHAPTERS:
            continue  # a picture
        # A name to look up in the archive, whatever it looks like.
        name = posixpath.normpath(posixpath.join(folder, unquote(address)))
        if name in encrypted.names:
            raise Refused("E-DOCUMENT-ENCRYPTED")
        raw = archive.read(name)
        found.part = name
        add_html(found, decoded(raw, declared(raw)))
    found.title = " ".join(package.title.split())
    return found.document()


class _Container(Handler):
    def __init__(self) -> None:
        self.root = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "rootfile" and not self.root:
            self.root = attributes.get("full-path", "")


class _Package(Handler):
    """The OPF file: `items` by id, each an address and a media type; `spine`: ids in the order of reading."""

    def __init__(self) -> None:
        self.items: dict[str, tuple[str, str]] = {}
        self.spine: list[str] = []
        self.title = ""
        self._titles = 0
        self._within = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = _local(name)
        self._within = tag == "title" and not self._titles
        self._titles += tag == "title"
        if tag == "item":
            self.items[attributes.get("id", "")] = (attributes.get("href", ""), attributes.get("media-type", ""))
        elif tag == "itemref":
            self.spine.append(attributes.get("idref", ""))

    def end(self, name: str) -> None:
        self._within = False

    def text(self, text: str) -> None:
        if self._within:
            self.title += text


class _Encryption(Handler):
    """What of a book is encrypted: fonts may be, and do not matter."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "CipherReference":
            self.names.add(unquote(attributes.get("URI", "")))


def _local(name: str) -> str:
    return name.rpartition(" ")[2]

"""Word's DOCX: paragraphs, headings, tables, footnotes; deleted text is left out, inserted text is read."""

import posixpath
import re

from puna.library.limits import Limits
from puna.library.readers.archive import Archive
from puna.library.readers.extract import Extract
from puna.library.readers.refused import Refused
from puna.library.readers.xml import Handler, parse_xml
from puna.library.types import Document

# Word writes the first; the other is that of "strict" files.
_WORD = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main ",
    "http://purl.oclc.org/ooxml/wordprocessingml/main ",
)
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006 "
_RELATION = "http://schemas.openxmlformats.org/package/2006/relationships Relationship"
_CORE_TITLE = "http://purl.org/dc/elements/1.1/ title"
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
# Text in these is no part of what a page shows, or is there a second time.
_LEFT_OUT = frozenset({"del", "moveFrom", "instrText", "delText", "pPrChange", "rPrChange", "rt"})


def read(data: bytearray, limits: Limits) -> Document:
    """Read a DOCX file. Its title is that of its properties, else the first paragraph in the style "Title"."""
    archive = Archive(data, limits)
    if "[Content_Types].xml" not in archive:
        raise Refused("E-DOCUMENT-DAMAGED", reason="an archive, but not one of Word")
    main = _target(archive, "_rels/.rels", "", "officeDocument", limits) or "word/document.xml"
    folder, name = posixpath.split(main)
    relations = posixpath.join(folder, "_rels", f"{name}.rels")
    found = Extract(limits)
    styles = _Styles()
    if (path := _target(archive, relations, folder, "styles", limits)) and path in archive:
        parse_xml(archive.read(path), styles, limits)
    body = _Body(found, styles)
    parse_xml(archive.read(main), body, limits)
    for kind in ("footnotes", "endnotes"):
        if (path := _target(archive, relations, folder, kind, limits)) and path in archive:
            parse_xml(archive.read(path), body, limits)
    properties = _target(archive, "_rels/.rels", "", "core-properties", limits)
    title = _Title()
    if properties and properties in archive:
        parse_xml(archive.read(properties), title, limits)
    found.title = " ".join(title.said.split()) or body.title
    return found.document()


def _target(archive: Archive, relations: str, folder: str, kind: str, limits: Limits) -> str | None:
    """Give the member that a relation of that kind names, if there is one."""
    if relations not in archive:
        return None
    handler = _Relations(f"/{kind}")
    parse_xml(archive.read(relations), handler, limits)
    if handler.target is None:
        return None
    return posixpath.normpath(posixpath.join("/" + folder, handler.target)).lstrip("/")


class _Relations(Handler):
    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.target: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        wanted = name == _RELATION and attributes.get("Type", "").endswith(self._kind)
        if wanted and self.target is None and attributes.get("TargetMode") != "External":
            self.target = attributes.get("Target")


class _Title(Handler):
    def __init__(self) -> None:
        self.said = ""
        self._within = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._within = name == _CORE_TITLE

    def end(self, name: str) -> None:
        self._within = False

    def text(self, text: str) -> None:
        if self._within:
            self.said += text


class _Styles(Handler):
    """Which styles of paragraphs are headings, by their names and outline levels, or by those of what they build on."""

    def __init__(self) -> None:
        self._style = ""
        self._levels: dict[str, int] = {}
        self._based: dict[str, str] = {}
        self.titles: set[str] = set()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag, given = _local(name), _values(attributes)
        if tag == "style":
            self._style = given.get("styleId", "")
        elif tag == "name" and (match := _HEADING.fullmatch(given.get("val", ""))):
            self._levels[self._style] = int(match[1])
        elif tag == "name" and given.get("val", "").lower() == "title":
            self._levels[self._style] = 1
            self.titles.add(self._style)
        elif tag == "outlineLvl" and given.get("val", "") in set("012345678"):
            self._levels.setdefault(self._style, int(given["val"]) + 1)
        elif tag == "basedOn":
            self._based[self._style] = given.get("val", "")

    def level(self, style: str) -> int:
        """Give the level of a style, 0 for one that is no heading."""
        seen: set[str] = set()
        while style and style not in seen:
            if style in self._levels:
                return self._levels[style]
            seen.add(style)
            style = self._based.get(style, "")
        return 0


class _Paragraph:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.level = 0
        self.title = False


class _Body(Handler):
    def __init__(self, found: Extract, styles: _Styles) -> None:
        self._found, self._styles = found, styles
        self.title = ""
        self._paragraphs: list[_Paragraph] = []  # those that are open: text boxes stand within one
        self._tables = 0
        self._row: list[list[str]] = []
        self._rows = 0  # of the open table, so far
        self._left_out = 0
        self._text = False
        self._run = False
        self._hidden = False  # the open run

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = _local(name)
        left_out = tag in _LEFT_OUT or name == f"{_COMPATIBILITY}Fallback"
        if self._left_out or left_out or _is_separator(tag, attributes):
            self._left_out += 1
        elif tag == "p":
            self._paragraphs.append(_Paragraph())
        elif tag == "tbl":
            self._tables += 1
        elif tag == "tr" and self._tables == 1:
            self._row = []
        elif tag == "tc" and self._tables == 1:
            self._row.append([])
        elif tag == "r":
            self._run, self._hidden = True, False
        elif tag == "t":
            self._text = not self._hidden
        elif self._paragraphs:
            self._property(tag, _values(attributes))

    def end(self, name: str) -> None:
        tag = _local(name)
        if self._left_out:
            self._left_out -= 1
        elif tag == "t":
            self._text = False
        elif tag == "r":
            self._run = self._hidden = False
        elif tag == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif tag == "tr" and self._tables == 1:
            self._end_row()
        elif tag == "tbl":
            self._tables -= 1
            if not self._tables:
                self._found.close("table")
                self._rows = 0

    def text(self, text: str) -> None:
        if self._text and not self._left_out and self._paragraphs:
            self._paragraphs[-1].pieces.append(text)

    def _property(self, tag: str, given: dict[str, str]) -> None:
        paragraph = self._paragraphs[-1]
        if tag in _BREAKS:
            # A tab of a paragraph's settings (w:tabs) has a place, one of its text has none.
            if not (self._hidden or (tag == "tab" and "pos" in given)):
                paragraph.pieces.append(_BREAKS[tag])
        elif tag == "vanish" and self._run:
            self._hidden = given.get("val", "1") not in ("0", "false", "off")
        elif tag == "pStyle":
            style = given.get("val", "")
            paragraph.level = paragraph.level or self._styles.level(style)
            paragraph.title = style in self._styles.titles
        elif tag == "outlineLvl" and given.get("val", "") in set("012345678"):
            paragraph.level = int(given["val"]) + 1

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.pieces).strip()
        if not text:
            return
        if self._tables and self._row:
            self._row[-1].append(" ".join(text.split()))
            return
        self._begin()
        self._found.add(text)
        self._found.close("heading" if paragraph.level else "text", paragraph.level)
        if paragraph.title and not self.title:
            self.title = " ".join(text.split())

    def _end_row(self) -> None:
        line = "\t".join(" ".join(cell) for cell in self._row)
        self._row = []
        if not line.strip():
            return
        if self._rows:
            self._found.add("\n")
        else:
            line = line.lstrip()
            self._begin()
        self._found.add(line.rstrip())
        self._rows += 1

    def _begin(self) -> None:
        if self._found.length:
            self._found.add("\n")
        self._found.open()


def _local(name: str) -> str:
    """Give the name of an element of Word's, "" for any other."""
    return next((name[len(space) :] for space in _WORD if name.startswith(space)), "")


def _values(attributes: dict[str, str]) -> dict[str, str]:
    return {name.rpartition(" ")[2]: value for name, value in attributes.items()}


def _is_separator(tag: str, attributes: dict[str, str]) -> bool:
    """Tell whether this is no note but the line above notes."""
    return tag in ("footnote", "endnote") and "eparat" in _values(attributes).get("type", "")

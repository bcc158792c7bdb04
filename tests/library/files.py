"""Files of every kind that is read, made by hand."""

import io
import zipfile
from collections.abc import Mapping, Sequence

from puna.library.limits import LIMITS, Limits
from puna.library.readers import read
from puna.library.readers.refused import Refused
from puna.library.types import Document

CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def document(suffix: str, content: str | bytes, limits: Limits = LIMITS) -> Document:
    """Read without a process of its own."""
    return read(suffix, bytearray(content.encode() if isinstance(content, str) else content), limits)


def outcome(suffix: str, content: str | bytes, limits: Limits = LIMITS) -> Document | str:
    """Read as above; give the code where that is refused."""
    try:
        return document(suffix, content, limits)
    except Refused as refused:
        return refused.code


def pieces(found: Document) -> list[str]:
    """Give the text of each block."""
    return [found.text[block.start : block.end] for block in found.blocks]


def pdf(
    contents: Sequence[bytes],
    *,
    page: bytes = b"/MediaBox[0 0 612 792]",
    font: Sequence[bytes] = (b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",),
    trailer: bytes = b"",
    objects: Sequence[bytes] = (),
) -> bytes:
    """Make a PDF with one page a content; its font F1 is the first object of `font`, whose numbers begin with 3."""
    first = 3 + len(font)
    kids = b" ".join(b"%d 0 R" % (first + 2 * n) for n in range(len(contents)))
    made = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(contents), kids),
        *font,
    ]
    for n, content in enumerate(contents):
        made.append(
            b"<</Type/Page/Parent 2 0 R%s/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % (page, first + 2 * n + 1)
        )
        made.append(stream(content))
    return pdf_of([*made, *objects], trailer)


def stream(content: bytes, dictionary: bytes = b"") -> bytes:
    """Make a stream."""
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(content), dictionary, content)


def pdf_of(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Make a PDF of objects, the first of which is the catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, table)
    return bytes(out)


def lines(said: Sequence[str], x: int = 72, y: int = 720, size: int = 12, leading: int = 14) -> bytes:
    """Draw lines of Latin text."""
    drawn = " T* ".join(f"({line}) Tj" for line in said)
    return f"BT /F1 {size} Tf {x} {y} Td {leading} TL {drawn} ET".encode("latin-1")


def boxes_font(characters: str) -> list[bytes]:
    """Make a font whose glyphs are boxes of 0.8 by 0.7 em on the base line; code n, from 1, means characters[n - 1]."""
    count = len(characters)
    names = b"".join(b"/g%d" % n for n in range(1, count + 1))
    procedures = b" ".join(b"/g%d 8 0 R" % n for n in range(1, count + 1))
    widths = b" ".join([b"1000"] * count)
    mapped = b"\n".join(
        b"<%02x> <%s>" % (n, c.encode("utf-16-be").hex().encode()) for n, c in enumerate(characters, 1)
    )
    unicode = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def 1 begincodespacerange <00> <ff> "
        b"endcodespacerange %d beginbfchar\n%s\nendbfchar endcmap end end" % (count, mapped)
    )
    return [
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 1000 1000]/FontMatrix[.001 0 0 .001 0 0]/FirstChar 1/LastChar %d"
        b"/Widths[%s]/Encoding 5 0 R/CharProcs 6 0 R/ToUnicode 7 0 R/Resources<<>>>>" % (count, widths),
        b"null",
        b"<</Type/Encoding/Differences[1 %s]>>" % names,
        b"<<%s>>" % procedures,
        stream(unicode),
        stream(b"1000 0 0 0 800 700 d1 0 0 800 700 re f"),
    ]


def zipped(members: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Make an archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def word_members(body: str, **others: str) -> dict[str, str | bytes]:
    """Give the members of a DOCX file; `others`: parts beside the document, such as styles."""
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{name}" Target="{name}.xml"/>' for n, name in enumerate(others)
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    return {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r" Type="{OFFICE}/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}">{relations}</Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{WORD}" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<w:body>{body}</w:body></w:document>",
        **{f"word/{name}.xml": content for name, content in others.items()},
    }


def word(body: str, **others: str) -> bytes:
    """Make a DOCX file."""
    return zipped(word_members(body, **others))


def book_members(chapters: Mapping[str, str | bytes], title: str = "A book") -> dict[str, str | bytes]:
    """Give the members of an EPUB; names are beside the OPF file."""
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        **{f"OEBPS/{name}": content for name, content in chapters.items()},
    }


def book(chapters: Mapping[str, str | bytes], title: str = "A book") -> bytes:
    """Make an EPUB."""
    return zipped(book_members(chapters, title))

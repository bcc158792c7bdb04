"""Files that are made to break who reads them, and what each is to end in: a code, several, or None where it is read.

After public advisories: loops, bombs and lies in PDF (V35), what a parser runs or fetches (V36), XML (V37), containers
(V38).
"""

import base64
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator

from tests.library.files import (
    CONTAINER,
    WORD,
    book_members,
    boxes_font,
    lines,
    pdf,
    pdf_of,
    stream,
    word,
    word_members,
    zipped,
)

DAMAGED, EMPTY, ARCHIVE, XML = "E-DOCUMENT-DAMAGED", "E-DOCUMENT-EMPTY", "E-DOCUMENT-ARCHIVE", "E-DOCUMENT-XML"
ENCRYPTED, ENCODING, LONG = "E-DOCUMENT-ENCRYPTED", "E-DOCUMENT-ENCODING", "E-DOCUMENT-LONG"
PIECES, PAGES, UNKNOWN = "E-DOCUMENT-PIECES", "E-DOCUMENT-PAGES", "E-DOCUMENT-UNKNOWN"
LIMITED = ("E-DOCUMENT-SLOW", "E-DOCUMENT-MEMORY", "E-DOCUMENT-CRASH", LONG, PIECES)
Expected = tuple[str | None, ...]
READ: Expected = (None,)
Hostile = tuple[str, bytes, Expected]

PARAGRAPH = "<w:p><w:r><w:t>some text</w:t></w:r></w:p>"
GOOD_PDF = pdf([lines(["Some words to be read.", "And more."]), lines(["Another page."])])
LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {name} '{f'&{before};' * 10}'>" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def pdfs() -> Iterator[tuple[str, bytes, Expected]]:
    """V35 and V36."""
    any_end: Expected = (None, DAMAGED, EMPTY, ENCRYPTED, PAGES, *LIMITED)
    for length in range(0, len(GOOD_PDF), len(GOOD_PDF) // 24):
        yield f"cut off after {length} bytes", GOOD_PDF[:length], (None, DAMAGED, EMPTY)
    for seed in range(24):
        draw = random.Random(seed)
        broken = bytearray(GOOD_PDF)
        for _ in range(draw.choice((1, 4, 16))):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        yield f"broken at random, {seed}", bytes(broken), (None, DAMAGED, EMPTY, ENCRYPTED)
    yield (
        "a page tree that is its own child",
        pdf_of([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 5/Kids[2 0 R]>>"]),
        any_end,
    )
    yield (
        "two page trees in a ring",
        pdf_of(
            [
                b"<</Type/Catalog/Pages 2 0 R>>",
                b"<</Type/Pages/Count 9/Kids[3 0 R]/Parent 3 0 R>>",
                b"<</Type/Pages/Count 9/Kids[2 0 R]/Parent 2 0 R>>",
            ]
        ),
        any_end,
    )
    yield "2^31 pages", GOOD_PDF.replace(b"/Count 2", b"/Count 2147483647"), (PAGES, DAMAGED, None)
    yield "10,001 pages", pdf([b""] * 10_001), (PAGES,)
    yield (
        "arrays in arrays",
        pdf_of([b"<</Type/Catalog/Pages 2 0 R/X " + b"[" * 100_000 + b"]" * 100_000 + b">>"]),
        any_end,
    )
    yield "dictionaries in dictionaries", pdf_of([b"<</X " * 50_000 + b">>" * 50_000]), any_end
    bomb = zlib.compress(bytes(300 << 20), 9)
    packed = b"/Filter/FlateDecode"
    yield "a page that unpacks to 300 MiB", _with_content(stream(bomb, packed)), any_end
    twice = zlib.compress(bomb, 9)
    yield "packed twice", _with_content(stream(twice, b"/Filter[/FlateDecode/FlateDecode]")), any_end
    yield (
        "packed a thousand times",
        _with_content(stream(b"x", b"/Filter[" + b"/FlateDecode" * 1000 + b"]")),
        any_end,
    )
    yield "LZW without an end", _with_content(stream(b"\x80\x0b\x60\x50" * 50_000, b"/Filter/LZWDecode")), any_end
    yield "run lengths", _with_content(stream(b"\x81 " * 500_000, b"/Filter/RunLengthDecode")), any_end
    yield "a stream as long as itself", _with_content(b"<</Length 5 0 R>>stream\nx\nendstream"), any_end
    yield "a stream of 2^63 bytes", _with_content(b"<</Length 9223372036854775807>>stream\nx\nendstream"), any_end
    yield "states without end", _with_content(stream(b"q " * 500_000)), any_end
    yield "text objects in text objects", _with_content(stream(b"BT " * 200_000)), any_end
    yield (
        "an image that is never finished",
        _with_content(stream(b"BI /W 9 /H 9 /F /DCT ID " + b"\xff\xd8" * 100_000)),
        any_end,
    )
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</A 6 0 R/B 6 0 R>>>>"
    yield (
        "a form that draws itself twice",
        pdf(
            [b"/A Do"],
            page=b"/MediaBox[0 0 9 9]/Resources<</XObject<</A 6 0 R>>>>",
            objects=[stream(b"/A Do /B Do", form)],
        ),
        any_end,
    )
    rings = [
        stream(
            b"/N Do /N Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</N %d 0 R>>>>" % (7 + n)
        )
        for n in range(40)
    ]
    yield "forms that double 40 times", _with_objects(b"/N Do", b"/XObject<</N 6 0 R>>", rings), any_end
    yield (
        "an xref table that is before itself",
        GOOD_PDF.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev 9"),
        (None, DAMAGED, EMPTY),
    )
    start = GOOD_PDF.rindex(b"startxref\n") + 10
    number = GOOD_PDF[start:].split()[0]
    yield (
        "an xref table before it that is itself",
        GOOD_PDF.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev " + number),
        any_end,
    )
    yield "an xref table of 2^31 entries", GOOD_PDF.replace(b"xref\n0 ", b"xref\n0 2147483647\n0 ", 1), any_end
    yield "a stream of xrefs of no width", _xref_stream(b"/W[0 0 0]/Size 2147483647/Index[0 2147483647]"), any_end
    yield "a stream of xrefs of endless width", _xref_stream(b"/W[2147483647 1 1]/Size 9"), any_end
    yield "a reference to itself", pdf_of([b"1 0 R"]), any_end
    meaning = b"begincmap 1 beginbfrange <0000> <ffffffff> <0000> endbfrange endcmap"
    yield "meanings for 2^32 codes", _font(7, stream(meaning)), any_end
    yield (
        "a million ranges of meanings",
        _font(7, stream(b"begincmap " + b"1 beginbfrange <00> <ff> <0041> endbfrange " * 50_000)),
        any_end,
    )
    yield "a glyph that draws itself", _font(8, stream(b"0 0 0 0 9 9 d1 BT /F1 9 Tf <01> Tj ET")), any_end
    wide = b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType2"
    yield (
        "widths of 2^31 characters",
        pdf([lines(["x"])], font=[wide + b"/BaseFont/X/CIDSystemInfo<<>>/W[0 2147483647 500]>>]>>"]),
        any_end,
    )
    yield "a page as large as numbers go", pdf([lines(["x"])], page=b"/MediaBox[-1e38 -1e38 1e38 1e38]"), any_end
    yield "a page that is nowhere", pdf([lines(["x"])], page=b"/MediaBox[nan inf 5 5]"), any_end
    yield "text at the end of the world", pdf([b"BT /F1 1e30 Tf 1e30 0 0 1e30 1e30 1e30 Tm (x) Tj ET"]), any_end
    action = b"/OpenAction<</S/JavaScript/JS(while\\(true\\){})>>/AA<</O<</S/Launch/F(/bin/true)>>>>"
    yield "actions on opening", GOOD_PDF.replace(b"/Type/Catalog", b"/Type/Catalog" + action), (None, DAMAGED)
    xfa = b"/AcroForm<</XFA 10 0 R/Fields[]>>"
    made = pdf([lines(["x"])], objects=[stream(LAUGHS.encode() + b"]><x>&i;</x>")])
    yield (
        "a form of XML with entities",
        made.replace(b"/Type/Catalog", b"/Type/Catalog" + xfa.replace(b"10", b"6")),
        any_end,
    )
    cmap = b"<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/..#2f..#2fevil/DescendantFonts[4 0 R]>>"
    yield (
        "a character map named like a file",
        pdf([lines(["x"])], font=[cmap, b"<</Type/Font/Subtype/CIDFontType0>>"]),
        any_end,
    )
    standard = b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>" % (b"00" * 32, b"11" * 32)
    yield (
        "a password",
        pdf([lines(["x"])], trailer=b"/Encrypt 6 0 R/ID[<00><00>]", objects=[standard]),
        (ENCRYPTED,),
    )
    yield (
        "an unknown kind of encryption",
        pdf([lines(["x"])], trailer=b"/Encrypt<</Filter/Own>>"),
        (ENCRYPTED, DAMAGED, None),
    )


def _with_content(content: bytes) -> bytes:
    return _replaced(pdf([b"placeholder"]), 5, content)


def _with_objects(content: bytes, resources: bytes, objects: list[bytes]) -> bytes:
    made = pdf([content], objects=objects)
    return made.replace(b"/Resources<<", b"/Resources<<" + resources)


def _replaced(made: bytes, number: int, content: bytes) -> bytes:
    start = made.index(b"\n%d 0 obj\n" % number)
    end = made.index(b"\nendobj", start)
    # The table of places is wrong then, and PDFium looks for objects itself.
    return made[:start] + b"\n%d 0 obj\n" % number + content + made[end:]


def _font(number: int, content: bytes) -> bytes:
    font = boxes_font("ab")
    font[number - 3] = content
    return pdf([b"BT /F1 10 Tf 9 9 Td <0102> Tj ET"], font=font)


def _xref_stream(dictionary: bytes) -> bytes:
    body = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Count 0/Kids[]>>\nendobj\n"
    return body + b"3 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF" % (
        stream(bytes(90), b"/Type/XRef/Root 1 0 R" + dictionary),
        len(body),
    )


def xmls() -> Iterator[Hostile]:
    """V37."""
    declared = {
        "a billion laughs": (LAUGHS + "]>", "&i;"),
        "a long entity again and again": (f"<!DOCTYPE x [<!ENTITY a '{'a' * 50_000}'>]>", "&a;" * 5000),
        "a file's entity": ("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "&a;"),
        "an address's entity": ("<!DOCTYPE x [<!ENTITY a SYSTEM 'http://127.0.0.1:9/x'>]>", "&a;"),
        "an entity of the declarations": ("<!DOCTYPE x [<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;]>", "x"),
        "an entity within itself": ("<!DOCTYPE x [<!ENTITY a '&a;'>]>", "&a;"),
        "an attribute by default": (f"<!DOCTYPE x [<!ATTLIST w:p a CDATA '{'a' * 9}'>]>", "x"),
    }
    for name, (start, said) in declared.items():
        members = word_members(f"<w:p><w:r><w:t>{said}</w:t></w:r></w:p>")
        members["word/document.xml"] = start + str(members["word/document.xml"])
        yield f"DOCX: {name}", ".docx", members, (XML,)  # type: ignore[misc]
        members = book_members({"a.xhtml": "<p>text"}, title=said)
        members["OEBPS/book.opf"] = start + str(members["OEBPS/book.opf"])
        yield f"EPUB: {name}", ".epub", members, (XML,)  # type: ignore[misc]
        members = book_members({"a.xhtml": "<p>text"})
        members["META-INF/container.xml"] = start + CONTAINER.replace('<?xml version="1.0"?>', "")
        yield f"container: {name}", ".epub", members, (XML,)  # type: ignore[misc]


def archives() -> Iterator[tuple[str, str, bytes, Expected]]:
    """V37 and V38: DOCX and EPUB."""
    for name, suffix, members, expected in xmls():  # type: ignore[misc]
        yield name, suffix, zipped(members), expected  # type: ignore[arg-type]
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    yield (
        "DOCX: something to include",
        ".docx",
        word(PARAGRAPH + f"<w:p><w:r><w:t>{include}</w:t></w:r></w:p>"),
        READ,
    )
    yield "EPUB: something to include", ".epub", zipped(book_members({"a": f"<p>x{include}"})), READ
    svg = "<svg><text>&a;</text></svg>"
    page = f"<!DOCTYPE html [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><html><body><p>x{svg}&a;</p></body></html>"
    yield "EPUB: an entity in a chapter", ".epub", zipped(book_members({"a": page})), READ
    yield "DOCX: 100,000 deep", ".docx", _stored(word_members("<w:p>" * 100_000 + "</w:p>" * 100_000)), (DAMAGED,)
    yield "DOCX: unclosed", ".docx", word("<w:p><w:r>"), (DAMAGED,)
    yield "DOCX: an attribute of 5 MiB", ".docx", word(f"<w:p a='{'x' * (5 << 20)}'/>" + PARAGRAPH), (ARCHIVE,)
    broken = word_members(PARAGRAPH)
    yield "DOCX: no UTF-8", ".docx", zipped({**broken, "word/document.xml": b"<a>\xff\xfe</a>"}), (DAMAGED,)
    yield (
        "DOCX: an unknown encoding",
        ".docx",
        zipped({**broken, "word/document.xml": "<?xml version='1.0' encoding='utf-7'?><a/>"}),
        (DAMAGED,),
    )
    members = word_members(PARAGRAPH)
    del members["word/document.xml"]
    yield "DOCX: no document", ".docx", zipped(members), (DAMAGED,)
    members = word_members(PARAGRAPH)
    for target in ("../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "..\\..\\x"):
        members["_rels/.rels"] = str(word_members("")["_rels/.rels"]).replace("word/document.xml", target)
        yield f"DOCX: its document is {target}", ".docx", zipped(members), (DAMAGED,)
    loop = f'<w:styles xmlns:w="{WORD}">' + "".join(
        f'<w:style w:styleId="{a}"><w:basedOn w:val="{b}"/></w:style>' for a, b in ("ab", "bc", "ca")
    )
    styled = '<w:p><w:pPr><w:pStyle w:val="a"/></w:pPr><w:r><w:t>x</w:t></w:r></w:p>'
    yield "DOCX: styles in a ring", ".docx", word(styled, styles=loop + "</w:styles>"), READ
    good = word(PARAGRAPH)
    for length in range(5, len(good), len(good) // 10):
        yield f"DOCX: cut off after {length} bytes", ".docx", good[:length], (DAMAGED,)
    for seed in range(20):
        draw = random.Random(seed)
        flipped = bytearray(good)
        for _ in range(draw.choice((1, 3, 9))):
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        yield (
            f"DOCX: broken at random, {seed}",
            ".docx",
            bytes(flipped),
            (None, DAMAGED, ENCRYPTED, ARCHIVE, XML, EMPTY),
        )
    zeros = zipped({**word_members(PARAGRAPH), "word/media/a.png": bytes(100 << 20)})
    yield "DOCX: 100 MiB of zeros", ".docx", zeros, (ARCHIVE,)
    yield (
        "DOCX: text of 30 MiB that packs well",
        ".docx",
        word(f"<w:p><w:r><w:t>{'a' * (30 << 20)}</w:t></w:r></w:p>"),
        (ARCHIVE,),
    )
    many = {**word_members(PARAGRAPH), **{f"m{n}": "" for n in range(10_001)}}
    yield "DOCX: 10,001 more files", ".docx", zipped(many), (ARCHIVE,)
    yield "DOCX: 300 MiB by claim", ".docx", _claims(good, size=300 << 20), (ARCHIVE, DAMAGED)
    yield "DOCX: less than is there by claim", ".docx", _claims(good, size=10), (DAMAGED,)
    yield "DOCX: more than is there by claim", ".docx", _claims(good, size=5000), (DAMAGED,)
    yield "DOCX: encrypted by claim", ".docx", _claims(good, flags=1), (ENCRYPTED, DAMAGED)
    yield "DOCX: packed by LZMA", ".docx", zipped(word_members(PARAGRAPH), zipfile.ZIP_LZMA), (DAMAGED,)
    yield "DOCX: packed by a way that is none", ".docx", _claims(good, method=77), (DAMAGED,)
    yield "DOCX: files that share their bytes", ".docx", _overlapping(good), (ARCHIVE, DAMAGED, None)
    nested = zipped({"a": bytes(50 << 20)})
    for _ in range(5):
        nested = zipped({"a.zip": nested, "b.zip": nested})
    yield "DOCX: archives in archives", ".docx", zipped({**word_members(PARAGRAPH), "word/a.zip": nested}), READ
    hostile_names = {
        "../../../puna-was-here": "x",
        "/puna-was-here": "x",
        "C:\\x": "x",
        "a\0b": "x",
    }
    yield "DOCX: names like paths", ".docx", zipped({**word_members(PARAGRAPH), **hostile_names}), READ
    yield "DOCX: a comment of 64 KiB behind it", ".docx", good[:-2] + b"\xff\xff" + bytes(65535), (None, DAMAGED)
    own = book_members({"a.xhtml": ""}, title="Its title")
    own["OEBPS/book.opf"] = str(own["OEBPS/book.opf"]).replace("a.xhtml", "book.opf")
    yield "EPUB: a book that is its own chapter", ".epub", zipped(own), (None, EMPTY)
    again = book_members({"a": "<p>" + "text " * 20_000})
    again["OEBPS/book.opf"] = str(again["OEBPS/book.opf"]).replace(
        '<itemref idref="c0"/>', '<itemref idref="c0"/>' * 20_000
    )
    yield "EPUB: a chapter 20,000 times", ".epub", _stored(again), READ
    yield (
        "EPUB: chapters that lead out",
        ".epub",
        zipped(book_members({"..%2f..%2f..%2fetc%2fpasswd": ""})),
        (DAMAGED,),
    )
    yield (
        "EPUB: no container",
        ".epub",
        zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": ""}),
        (DAMAGED,),
    )


def _stored(members: dict[str, str | bytes]) -> bytes:
    return zipped(members, zipfile.ZIP_STORED)


def _claims(made: bytes, *, size: int | None = None, flags: int | None = None, method: int | None = None) -> bytes:
    """Change what the list of members says of the document itself."""
    out = bytearray(made)
    at = out.rindex(b"PK\x01\x02", 0, out.rindex(b"word/document.xml"))
    if size is not None:
        struct.pack_into("<I", out, at + 24, size)
    if flags is not None:
        struct.pack_into("<H", out, at + 8, flags)
    if method is not None:
        struct.pack_into("<H", out, at + 10, method)
    return bytes(out)


def _overlapping(made: bytes) -> bytes:
    """Let every member be the bytes of the last one."""
    out = bytearray(made)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        last = archive.infolist()[-1]
    at = out.index(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<III", out, at + 16, last.CRC, last.compress_size, last.file_size)
        struct.pack_into("<I", out, at + 42, last.header_offset)
        at = out.find(b"PK\x01\x02", at + 1)
    return bytes(out)


def texts() -> Iterator[tuple[str, str, bytes, Expected]]:
    """V38, and lines and nesting without end."""
    yield "HTML: 100,000 deep", ".html", b"<div>" * 100_000 + b"text", READ
    yield "HTML: 20,000 tables deep", ".html", b"<table><tr><td>" * 20_000 + b"text", READ
    yield "HTML: 100,000 elements left open", ".html", b"<b><i>" * 50_000 + b"text", READ
    yield "HTML: lists without end", ".html", b"<ul><li>" * 50_000 + b"text", READ
    yield "HTML: paragraphs in hidden ones", ".html", b"<p hidden>" * 100_000 + b"</p>text", (None, EMPTY)
    yield "HTML: comments left open", ".html", b"text" + b"<!--" * 5_000, (None, *LIMITED)
    yield "HTML: declarations left open", ".html", b"text" + b"<![CDATA[" * 5_000, (None, *LIMITED)
    yield "HTML: tags left open", ".html", b"text" + b"<a " * 2_000, (None, EMPTY, *LIMITED)
    yield "HTML: an attribute of 5 MiB", ".html", b"<p a='" + b"x" * (5 << 20) + b"'>text", READ
    yield "HTML: 100,000 attributes", ".html", b"<p" + b" a=b" * 100_000 + b">text", READ
    yield "HTML: a script left open", ".html", b"text<script>" + b"</scrip" * 50_000, (None, *LIMITED)
    yield "HTML: characters that are none", ".html", b"text&#99999999999999999999;&#xD800;&#0;&#x110000;", READ
    yield "HTML: declared entities", ".html", LAUGHS.encode() + b"]><p>text &i;", (None, EMPTY)
    yield (
        "HTML: a file to include",
        ".html",
        b"<iframe src='file:///etc/passwd'></iframe><object data=/etc/passwd></object>text",
        READ,
    )
    yield "HTML: 100,000 references", ".html", b"<p>" + b"&#20013;" * 100_000, READ
    yield "HTML: no text", ".html", b"<p> <br>" * 50_000, (EMPTY,)
    yield "text: a line of 20 MB", ".txt", b"word " * 4_000_000, READ
    yield "text: 5,000,000 empty lines", ".txt", b"\n" * 5_000_000 + b"x", READ
    yield "text: spaces without end", ".txt", (b" " * 50_000 + b"\n") * 100 + b"x", READ
    yield "text: too many paragraphs", ".txt", b"x\n\n" * 1_000_001, (PIECES,)
    yield "text: too many characters", ".txt", b"x" * 50_000_001, (LONG,)
    yield "text: NUL characters", ".txt", b"x\0" * 1000, (DAMAGED,)
    yield "text: bytes of no encoding", ".txt", b"\xff" * 100_000, (ENCODING,)
    yield "text: half a character of UTF-16", ".txt", b"\xff\xfex", (ENCODING,)
    yield "text: surrogates in UTF-16", ".txt", b"\xff\xfe\x00\xd8\x00\xd8", (ENCODING,)
    yield "text: surrogates in UTF-8", ".txt", b"x\xed\xa0\x80x", (ENCODING,)
    yield "text: GB18030 cut off", ".txt", "中文网".encode("gb18030")[:-1], (ENCODING,)
    yield "text: overlong UTF-8", ".txt", b"x\xc0\xaf\xff", (ENCODING,)
    yield "text: a compressed file", ".txt", b"\x1f\x8b" + zlib.compress(bytes(1000)), (ENCODING, DAMAGED)
    yield "text: nothing", ".txt", b"", (EMPTY,)
    yield "Markdown: marks without end", ".md", b"#" * 1_000_000, READ
    yield "Markdown: quotations in quotations", ".md", b">" * 200_000 + b" text", READ
    yield "Markdown: lines of quotation", ".md", (b"> " * 500 + b"x\n") * 500, READ
    yield "Markdown: fences left open", ".md", b"```x\n\n~~~\n" * 30_000, READ
    yield "Markdown: a table of 100,000 columns", ".md", b"|a" * 100_000 + b"|\n" + b"|-" * 100_000 + b"|\n", READ
    yield "Markdown: nearly tables", ".md", (b"|-" * 200 + b"-x\n") * 1000, READ
    yield "Markdown: brackets", ".md", b"[" * 500_000, READ
    yield "Markdown: front matter left open", ".md", b"---\n" + b"title: x\n" * 100_000, READ
    yield "Markdown: comments left open", ".md", b"<!-- x\n\n" * 50_000, READ
    yield "CSV: a quote left open", ".csv", b'a,b\n"' + b"1,2\n" * 200_000, READ
    yield "CSV: quotes left open in every row", ".csv", b'a,"b\n' * 50_001, READ
    yield "CSV: a million columns", ".csv", b"," * 1_000_000 + b"x", READ
    yield "CSV: a cell of 5 MiB", ".csv", b'"' + b"x" * (5 << 20) + b'"', READ
    yield "JSON Lines: 100,000 deep", ".jsonl", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, (DAMAGED,)
    yield "JSON Lines: lists in lists", ".jsonl", b"[" * 1_000_000, (DAMAGED,)
    yield "JSON Lines: a number of a million digits", ".jsonl", b'{"a": ' + b"9" * 1_000_000 + b', "t": "x"}', READ
    yield "JSON Lines: a string of 10 MB", ".jsonl", b'{"t": "' + b"x" * 10_000_000 + b'"}', READ
    yield "JSON Lines: surrogates", ".jsonl", b'{"t": "x\\ud800\\udc00\\ud800\\u0000"}', READ
    yield "JSON Lines: escapes left open", ".jsonl", b'{"t": "' + b"\\" * 99_999, (DAMAGED,)
    yield "JSON Lines: no JSON", ".jsonl", b"x\n", (DAMAGED,)
    yield "an archive called a page", ".html", zipped({"a": "b"}), (ENCODING, DAMAGED)
    yield "a page called a document of Word", ".docx", b"<html>text", (DAMAGED,)
    yield (
        "a picture called PDF",
        ".pdf",
        base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptV"),
        (DAMAGED,),
    )
    yield "a program", ".exe", b"MZ" + bytes(100), (UNKNOWN,)


def everything() -> list[tuple[str, str, bytes, Expected]]:
    """Make all of them; the same bytes each time."""
    found = [(f"PDF: {name}", ".pdf", content, expected) for name, content, expected in pdfs()]
    return [*found, *archives(), *texts()]

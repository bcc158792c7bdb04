"""EPUB: chapters in order, with places in the chapters' own sources."""

from tests.library.files import book, book_members, document, outcome, pieces, zipped
from tests.library.test_html import runs

CHAPTERS = {
    "one.xhtml": "<html xmlns='http://www.w3.org/1999/xhtml'><head><title/></head><body><h1>一</h1>"
    "<p>First &amp; text</p></body></html>",
    "b%20c/two.xhtml": "\ufeff<html><body><p>Second<![CDATA[ <cut>]]></p><script/><p>end</p></body></html>",
}


def test_chapters_in_order_with_their_places() -> None:
    made = book_members({"one.xhtml": CHAPTERS["one.xhtml"], "b%20c/two.xhtml": ""}, "The book")
    made["OEBPS/b c/two.xhtml"] = CHAPTERS["b%20c/two.xhtml"]
    found = document(".epub", zipped(made))
    assert found.title == "The book"
    assert found.text == "一\nFirst & text\nSecond <cut>\nend"
    assert [(block.kind, piece) for block, piece in zip(found.blocks, pieces(found), strict=True)] == [
        ("heading", "一"),
        ("text", "First & text"),
        ("text", "Second <cut>"),
        ("text", "end"),
    ]
    sources = {"OEBPS/one.xhtml": CHAPTERS["one.xhtml"], "OEBPS/b c/two.xhtml": CHAPTERS["b%20c/two.xhtml"][1:]}
    seen = set()
    for text, mark in runs(found):
        if mark.original is not None:
            seen.add(mark.part)
            there = sources[mark.part][mark.original :]
            assert there.startswith("&amp;" if mark.width == 5 else text)
    assert seen == set(sources)


def test_a_chapter_that_is_missing_is_no_silent_cut() -> None:
    members = book_members({"a.xhtml": "<p>a", "b.xhtml": "<p>b"})
    del members["OEBPS/b.xhtml"]
    assert outcome(".epub", zipped(members)) == "E-DOCUMENT-DAMAGED"
    members = book_members({"a.xhtml": "<p>a"})
    members["OEBPS/book.opf"] = str(members["OEBPS/book.opf"]).replace('id="c0"', 'id="d"')
    assert outcome(".epub", zipped(members)) == "E-DOCUMENT-DAMAGED"


def test_encrypted_chapters_but_not_fonts() -> None:
    def encrypted(name: str) -> bytes:
        return zipped(
            {
                **book_members({"a.xhtml": "<p>text"}),
                "META-INF/encryption.xml": '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
                'xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData><e:CipherData>'
                f'<e:CipherReference URI="{name}"/></e:CipherData></e:EncryptedData></encryption>',
            }
        )

    assert outcome(".epub", encrypted("OEBPS/a.xhtml")) == "E-DOCUMENT-ENCRYPTED"
    assert document(".epub", encrypted("OEBPS/font.otf")).text == "text"


def test_names_are_looked_up_and_lead_nowhere() -> None:
    members = book_members({"../../../../etc/passwd": ""})
    del members["OEBPS/../../../../etc/passwd"]
    assert outcome(".epub", zipped(members)) == "E-DOCUMENT-DAMAGED"
    members["../../../etc/passwd"] = "<p>of the archive"
    assert document(".epub", zipped(members)).text == "of the archive"


def test_an_old_package_with_a_public_name() -> None:
    members = book_members({"a.xhtml": "<p>text"})
    members["OEBPS/book.opf"] = (
        '<?xml version="1.0"?><!DOCTYPE package PUBLIC "+//ISBN 0-9673008-1-9//DTD OEB 1.2 Package//EN" '
        '"http://openebook.org/dtds/oeb-1.2/oebpkg12.dtd">' + str(members["OEBPS/book.opf"])
    )
    assert document(".epub", zipped(members)).text == "text"


def test_what_is_no_book() -> None:
    assert outcome(".epub", b"PK plain") == "E-DOCUMENT-DAMAGED"
    assert outcome(".epub", zipped({"mimetype": "application/epub+zip"})) == "E-DOCUMENT-DAMAGED"
    assert outcome(".epub", book({})) == "E-DOCUMENT-EMPTY"

"""PDF: text, pages and boxes, beside a font of known geometry and PDFium's own picture of the page."""

import re

import numpy as np
import pypdfium2
import pytest

from puna.library.limits import Limits
from puna.library.types import Box, Document
from tests.library.files import boxes_font, document, lines, outcome, pdf, pieces, stream


def said(found: Document, box: Box) -> str:
    return found.text[box.start : box.end]


def shown(codes: bytes, x: float, y: float, size: float = 10) -> bytes:
    return b"BT /F1 %g Tf %g %g Td <%s> Tj ET " % (size, x, y, codes.hex().encode())


def test_text_pages_and_boxes() -> None:
    found = document(".pdf", pdf([lines(["The first line.", "The second line."]), b"", lines(["Page three."])]))
    assert found.text == "The first line.\nThe second line.\n\nPage three."
    assert found.pages == (0, 33, 34)
    assert [(said(found, box), box.page) for box in found.boxes] == [
        ("The first line.", 1),
        ("The second line.", 1),
        ("Page three.", 3),
    ]
    assert found.marks == ()


def test_boxes_of_a_font_whose_geometry_is_known_chinese_too() -> None:
    text = "珠穆朗玛峰很高"
    found = document(".pdf", pdf([shown(b"\1\2\3\4\5\6\7", 100, 700)], font=boxes_font(text)))
    assert found.text == text
    (box,) = found.boxes
    # Seven glyphs of 10 points, the last one 8 wide; 7 above the base line, which is 700 above a page of 792.
    assert (box.left, box.right, box.top, box.bottom) == pytest.approx((100, 168, 85, 92), abs=0.05)


def test_characters_beyond_the_first_plane_keep_offsets_right() -> None:
    text = "a😀𠮷b"
    found = document(".pdf", pdf([shown(b"\1\2\3\4", 100, 700) + shown(b"\4\1", 100, 680)], font=boxes_font(text)))
    assert found.text == "a😀𠮷b\nba"
    assert [said(found, box) for box in found.boxes] == ["a😀𠮷b", "ba"]


# What turns text so that a page that is turned as well shows it upright: by 90, 180, 270 degrees.
UPRIGHT = {0: b"1 0 0 1 100 300", 90: b"0 1 -1 0 300 100", 180: b"-1 0 0 -1 400 300", 270: b"0 -1 1 0 200 400"}


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [b"", b"/CropBox[50 60 400 500]"])
@pytest.mark.parametrize("upright", [False, True])
def test_boxes_are_where_the_page_is_black(turned: int, crop: bytes, upright: bool) -> None:
    text = lines(["gap of lines, Ay", "jumping (quick) fox"], x=0, y=0, size=20, leading=40)
    made = pdf(
        [b"%s cm %s" % (UPRIGHT[turned if upright else 0], text)],
        page=b"/MediaBox[20 30 500 520]%s/Rotate %d" % (crop, turned),
    )
    found = document(".pdf", made)
    assert sorted(said(found, box) for box in found.boxes) == ["gap of lines, Ay", "jumping (quick) fox"]
    if upright:
        assert found.text == "gap of lines, Ay\njumping (quick) fox"
        assert found.boxes[0].bottom < found.boxes[1].top
    with pypdfium2.PdfDocument(made) as file:
        scale = 4
        dark = np.array(file[0].render(scale=scale, grayscale=True).to_numpy()).squeeze() < 128
    outside = dark.copy()
    for box in found.boxes:
        top, bottom, left, right = (round(v * scale) for v in (box.top, box.bottom, box.left, box.right))
        outside[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3] = False
        rows, columns = np.nonzero(dark[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3])
        # What is drawn reaches the edges of its box, give or take a point.
        assert rows.max() - rows.min() == pytest.approx(bottom - top, abs=scale * 1.5)
        assert columns.max() - columns.min() == pytest.approx(right - left, abs=scale * 1.5)
    assert not outside.any()


def test_divided_words_are_put_together() -> None:
    drawn = lines(["some exam-", "ple words", "and well-", "Known", "x -", "y"])
    # With something to the right of it, PDFium takes even the dash that stands alone for a hyphen.
    made = pdf([drawn.removesuffix(b" ET") + b" 0 -14 Td (last) Tj 200 0 Td (right) Tj ET"])
    found = document(".pdf", made)
    assert found.text == "some example words\nand well-Known\nx - y\nlast right"
    wanted = ["some exam", "ple words", "and well-", "Known", "x -", "y", "last right"]
    assert [said(found, box).strip() for box in found.boxes] == wanted
    tops = [box.top for box in found.boxes]
    assert tops == sorted(tops)
    assert len(set(tops)) == len(tops)


def test_paragraphs() -> None:
    two = lines(["One goes on", "and ends."], y=720) + lines(["Two begins far", "below."], y=660)
    indented = (
        lines(["Three ends."], y=600) + lines(["Four is indented"], x=92, y=586) + lines(["and goes on."], y=572)
    )
    assert pieces(document(".pdf", pdf([two + b" " + indented]))) == [
        "One goes on\nand ends.",
        "Two begins far\nbelow.",
        "Three ends.",
        "Four is indented\nand goes on.",
    ]


def test_two_columns_make_two_runs_of_lines() -> None:
    left, right = lines(["left one", "left two"]), lines(["right one", "right two"], x=350)
    found = document(".pdf", pdf([left + b" " + right]))
    assert found.text.split("\n") == ["left one", "left two", "right one", "right two"]
    assert len(found.boxes) == 4


def test_title() -> None:
    info = "标题 one".encode("utf-16")
    made = pdf([lines(["x"])], trailer=b"/Info 6 0 R", objects=[b"<</Title<%s>>>" % info.hex().encode()])
    # UTF-16 in PDF has its high byte first.
    made = made.replace(info.hex().encode(), ("\ufeff标题 one".encode("utf-16-be")).hex().encode())
    assert document(".pdf", made).title == "标题 one"


def test_without_text() -> None:
    assert outcome(".pdf", pdf([b"0 0 100 100 re f"])) == "E-DOCUMENT-EMPTY"


def test_too_many_pages() -> None:
    assert outcome(".pdf", pdf([lines(["x"])] * 4), Limits(pages=3)) == "E-DOCUMENT-PAGES"
    assert not isinstance(outcome(".pdf", pdf([lines(["x"])] * 3), Limits(pages=3)), str)


def test_encrypted() -> None:
    # The password of the user is not empty: PDFium cannot find the key.
    standard = b"<</Filter/Standard/V 1/R 2/O<%s>/U<%s>/P -4>>" % (b"00" * 32, b"11" * 32)
    made = pdf([lines(["x"])], trailer=b"/Encrypt 6 0 R/ID[<00><00>]", objects=[standard])
    assert outcome(".pdf", made) == "E-DOCUMENT-ENCRYPTED"


def test_a_pdf_under_another_name_is_one() -> None:
    assert document(".txt", pdf([lines(["text"])])).text == "text"


def test_characters_without_a_meaning() -> None:
    font = boxes_font("ab")
    unmapped = stream(b"begincmap 1 beginbfchar <01> <0007> endbfchar endcmap")
    found = document(".pdf", pdf([shown(b"\1\2", 100, 700)], font=[*font[:4], unmapped, font[5]]))
    assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff\uffff]", found.text)

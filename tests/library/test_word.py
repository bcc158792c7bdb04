"""DOCX beside python-docx, which writes some and reads others."""

import io

import docx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puna.library.limits import Limits
from tests.library.files import WORD, document, outcome, pieces, word, word_members, zipped

TEXT = st.text(st.sampled_from([*"abc 中文。é😀<&>"]), min_size=1, max_size=8).map(lambda s: f"x{s}x")


def saved(made: "docx.document.Document") -> bytes:
    kept = io.BytesIO()
    made.save(kept)
    return kept.getvalue()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 3), st.lists(TEXT, min_size=4, max_size=4)), min_size=1, max_size=6))
def test_what_python_docx_writes(parts: list[tuple[int, list[str]]]) -> None:
    made = docx.Document()
    wanted = []
    for kind, texts in parts:
        if kind == 0:
            made.add_heading(texts[0], 2)
            wanted.append(("heading", 2, texts[0]))
        elif kind == 1:
            table = made.add_table(2, 2)
            for n, text in enumerate(texts):
                table.cell(n // 2, n % 2).text = text
            cells = [" ".join(text.split()) for text in texts]
            wanted.append(("table", 0, "\t".join(cells[:2]) + "\n" + "\t".join(cells[2:])))
            made.add_paragraph("")
        elif kind == 2:
            paragraph = made.add_paragraph(texts[0])
            paragraph.add_run(texts[1]).bold = True
            wanted.append(("text", 0, paragraph.text))
        else:
            paragraph = made.add_paragraph(f"{texts[0]}\t{texts[1]}\n{texts[2]}", style="List Bullet")
            wanted.append(("text", 0, paragraph.text))
    found = document(".docx", saved(made))
    assert [(b.kind, b.level, piece) for b, piece in zip(found.blocks, pieces(found), strict=True)] == wanted
    assert found.marks == found.boxes == ()


def test_title_and_styles_that_build_on_headings() -> None:
    made = docx.Document()
    made.add_heading("The title", 0)
    style = made.styles.add_style("Own", docx.enum.style.WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = made.styles["Heading 3"]
    made.add_paragraph("Below", style="Own")
    found = document(".docx", saved(made))
    assert found.title == "The title"
    assert [(block.kind, block.level) for block in found.blocks] == [("heading", 1), ("heading", 3)]
    made.core_properties.title = "Of the properties"
    assert document(".docx", saved(made)).title == "Of the properties"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>a</w:t></w:r><w:del><w:r><w:delText>no</w:delText></w:r></w:del></w:p>", "a"),
        ("<w:p><w:ins><w:r><w:t>a</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>no</w:t></w:r></w:moveFrom></w:p>", "a"),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText><w:t>7</w:t></w:r></w:p>", "7"),
        ("<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>no</w:t></w:r><w:r><w:t>a</w:t></w:r></w:p>", "a"),
        (
            "<w:p><w:pPr><w:tabs><w:tab w:pos='9'/></w:tabs></w:pPr><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p>",
            "a\tb",
        ),
        (
            "<w:p><w:r><w:t>a</w:t><w:br w:type='page'/><w:t>b</w:t><w:noBreakHyphen/><w:t>c</w:t></w:r></w:p>",
            "a\nb-c",
        ),
        ("<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink></w:p>", "link"),
        ("<w:sdt><w:sdtContent><w:p><w:r><w:t>a</w:t></w:r></w:p></w:sdtContent></w:sdt>", "a"),
        (
            "<w:p><w:r><w:t>out</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>box</w:t>"
            "</w:r></w:p></w:txbxContent></mc:Choice><mc:Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Fallback>"
            "</mc:AlternateContent></w:r></w:p>",
            "box\nout",
        ),
        (
            "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>in</w:t></w:r></w:p>"
            "</w:tc></w:tr></w:tbl></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
            "a in\tb",
        ),
    ],
)
def test_text(body: str, text: str) -> None:
    assert document(".docx", word(body)).text == text


def test_notes_come_last() -> None:
    notes = (
        f'<w:footnotes xmlns:w="{WORD}"><w:footnote w:type="separator"><w:p><w:r><w:t>no</w:t></w:r></w:p></w:footnote>'
        "<w:footnote><w:p><w:r><w:t>note</w:t></w:r></w:p></w:footnote></w:footnotes>"
    )
    assert document(".docx", word("<w:p><w:r><w:t>a</w:t></w:r></w:p>", footnotes=notes)).text == "a\nnote"


def test_what_is_no_docx() -> None:
    assert outcome(".docx", b"plain") == "E-DOCUMENT-DAMAGED"
    assert outcome(".docx", zipped({"a": "b"})) == "E-DOCUMENT-DAMAGED"
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
    assert outcome(".docx", ole) == "E-DOCUMENT-DAMAGED"
    assert outcome(".docx", ole + "EncryptedPackage".encode("utf-16-le")) == "E-DOCUMENT-ENCRYPTED"


def test_bounds() -> None:
    body = "<w:p><w:r><w:t>some text</w:t></w:r></w:p>" * 5
    assert outcome(".docx", word(body), Limits(characters=40)) == "E-DOCUMENT-LONG"
    assert outcome(".docx", word(body), Limits(pieces=4)) == "E-DOCUMENT-PIECES"
    assert outcome(".docx", word(body), Limits(members=3)) == "E-DOCUMENT-ARCHIVE"
    assert outcome(".docx", word(body), Limits(unpacked=500)) == "E-DOCUMENT-ARCHIVE"
    assert outcome(".docx", word(body), Limits(depth=3)) == "E-DOCUMENT-DAMAGED"
    members = word_members(body)
    assert outcome(".docx", zipped({**members, "pad": bytes(3 << 20)})) == "E-DOCUMENT-ARCHIVE"
    assert outcome(".docx", zipped({**members, "pad": bytes(1 << 19)})) != "E-DOCUMENT-ARCHIVE"

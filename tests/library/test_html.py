"""HTML: what a page shows, and where it stands in the source."""

import html as library

import lxml.html
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puna.library.types import Document, Mark
from tests.library.files import document, outcome, pieces

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def runs(found: Document) -> list[tuple[str, Mark]]:
    """Give each marked run, and its mark."""
    ends = [mark.start for mark in found.marks[1:]] + [len(found.text)]
    return [(found.text[mark.start : end], mark) for mark, end in zip(found.marks, ends, strict=True)]


def check_marks(found: Document, source: str) -> None:
    """Every run is a piece of the source, or what a reference there stands for, or white space between."""
    for text, mark in runs(found):
        if mark.original is None:
            assert not text.strip()
            continue
        there = source[mark.original :]
        if not there.startswith(text) or mark.width > 1:
            assert len(text) == 1
            assert there[0] == "&"
            # A reference with its semicolon, or as much of it as is one.
            assert text in library.unescape(there[: mark.width])
            assert there[mark.width - 1] == ";" or library.unescape(there[: mark.width - 1]) != text
    assert found.marks[0].start == 0


def test_blocks_and_kinds() -> None:
    source = """<html><head><title> A &amp;\n B </title></head><body><h1>Big <b>one</b></h1>
    <p>One\n two.<p>Three<ul><li>a<li>b <i>c</i></ul><pre>x =  1

  y</pre><table><caption>Cap</caption><tr><th>n<th>m<tr><td><td><p>1</p><p>2</p></table><h3>Last</h3></body></html>"""
    found = document(".html", source)
    assert found.title == "A & B"
    assert list(
        zip((b.kind for b in found.blocks), (b.level for b in found.blocks), pieces(found), strict=True)
    ) == [
        ("heading", 1, "Big one"),
        ("text", 0, "One two."),
        ("text", 0, "Three"),
        ("text", 0, "a"),
        ("text", 0, "b c"),
        ("code", 0, "x =  1\n\n  y"),
        ("text", 0, "Cap"),
        ("table", 0, "n\tm\n\t1 2"),
        ("heading", 3, "Last"),
    ]
    check_marks(found, source)


@pytest.mark.parametrize(
    "source",
    [
        "<p>seen</p><script>if (a < b) document.write('<p>no</p>')</script>",
        "<style>p { color: red }</style><p>seen",
        "<p hidden>no<p>seen",
        "<div style='DISPLAY : none'>no<div>no</div>no</div>seen",
        "<template><p>no</p></template>seen<noscript>no</noscript>",
        "<p>seen<!-- no --><svg><title>no</title><text>no</text></svg>",
        "<select><option>no</select>seen<dialog>no</dialog>",
        "<p>seen</p><span style='visibility:hidden'>no</span>",
        "<iframe>no</iframe><textarea>no</textarea>seen",
        "seen<p hidden>no",
        "<li hidden>no<li>seen",
        "<!DOCTYPE html><?php no ?><![if no]><p>seen<![endif]>",
    ],
)
def test_what_is_not_shown_is_left_out(source: str) -> None:
    found = document(".html", source)
    assert found.text == "seen"
    check_marks(found, source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>a&nbsp;&lt;b&gt; &amp;amp; &#20013;&#x6587;&copy", "a\xa0<b> &amp; 中文©"),
        ("<p>AT&T &unknown; & &ampx &#0; &#xD800; &notit;", "AT&T &unknown; & &x \ufffd \ufffd ¬it;"),
        ("<p>&NotEqualTilde;x", "≂̸x"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字</ruby>", "漢字"),
        ("<p>　　中文。</p>", "中文。"),
        ("one<br>two<br><br>three", "one\ntwo\nthree"),
        ("<p> a <b> b </b> c </p>", "a b c"),
        ("a<wbr>b<b>c</b>", "abc"),
        ("<table><tr><td><h2>Lay</h2>out</td><td>two</td></tr></table>", "Lay\nout\ntwo"),
        ("<table><tr><td>a</td><td></td><td>c</td></tr><tr></tr><tr><td>d<br>e</td></tr></table>", "a\t\tc\nd e"),
        ("<table><tr><td>a<table><tr><td>x<td>y</table></table>", "a\nx\ty"),
        ("<h2>open<p>text</h3><p>after", "open\ntext\nafter"),
        ("x&am", "x&am"),
        ("x&amp", "x&"),
        ("x<", "x<"),
        ("1 < 2 <3", "1 < 2 <3"),
    ],
)
def test_text(source: str, text: str) -> None:
    found = document(".html", source)
    assert found.text == text
    check_marks(found, source)


WORD = st.text("abcdefgh中文字。é😀", min_size=1, max_size=6)
SPACE = st.sampled_from([" ", "\n", "  ", "\t\n "])
REFERENCES = {"&amp;": "&", "&#65;": "A", "&#x4e2d;": "中", "&eacute;": "é", "&lt": "<"}


@st.composite
def inline(draw: st.DrawFn) -> tuple[str, str]:
    """Give words as a source and as what is seen."""
    source, seen = "", ""
    for n in range(draw(st.integers(1, 4))):
        if n:
            source, seen = source + draw(SPACE), seen + " "
        kind = draw(st.integers(0, 3))
        word = draw(WORD)
        if kind == 1:
            reference = draw(st.sampled_from(sorted(REFERENCES)))
            # A semicolon behind it, or it could take the next letters in.
            source, seen = source + reference.removesuffix(";") + ";" + word, seen + REFERENCES[reference] + word
        elif kind == 2:
            source, seen = f"{source}<b class='x>y'>{word}</b>", seen + word
        elif kind == 3:
            source, seen = f"{source}{word}<!-- a > b --><script>'{word}'</script>", seen + word
        else:
            source, seen = source + word, seen + word
    return source, seen


@st.composite
def page(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """Give a page, and the kinds and texts of its blocks."""
    source, seen = draw(st.sampled_from(["", "<!DOCTYPE html><title>no</title>", "<html><head></head><body>"])), []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.integers(0, 5))
        inner, text = draw(inline())
        white = draw(st.sampled_from(["", "\n", " \t"]))
        if kind == 0:
            level = draw(st.integers(1, 6))
            source += f"<h{level}>{white}{inner}</H{level}>{white}"
            seen.append(("heading", text))
        elif kind == 1:
            source += f"<p>{inner}{white}" + draw(st.sampled_from(["", "</p>"]))
            seen.append(("text", text))
        elif kind == 2:
            source += f"<div>{white}<div>{inner}</div>{white}</div>"
            seen.append(("text", text))
        elif kind == 3:
            second, other = draw(inline())
            source += f"<ul>{white}<li>{inner}{white}<li>{second}</ul>"
            seen += [("text", text), ("text", other)]
        elif kind == 4:
            second, other = draw(inline())
            source += f"<table>{white}<tr><td>{inner}{white}</td>{white}<th>{second}</tr>{white}<tr><td>x</table>"
            seen.append(("table", f"{text}\t{other}\nx"))
        else:
            source += f"<div hidden><p>{inner}</div>"
    return source, seen


@SETTINGS
@given(page())
def test_pages_of_known_text(made: tuple[str, list[tuple[str, str]]]) -> None:
    source, seen = made
    found = outcome(".html", source)
    if isinstance(found, str):
        assert (found, seen) == ("E-DOCUMENT-EMPTY", [])
        return
    assert list(zip((b.kind for b in found.blocks), pieces(found), strict=True)) == seen
    check_marks(found, source)


@SETTINGS
@given(page())
def test_the_words_are_those_of_another_parser(made: tuple[str, list[tuple[str, str]]]) -> None:
    source, seen = made
    if not seen:
        return
    tree = lxml.html.document_fromstring(source)
    for element in tree.xpath("//script|//title|//*[@hidden]|//comment()"):
        element.drop_tree()
    for element in tree.iter():
        if element.tag in {"p", "div", "li", "td", "th", "tr", "ul", "table", *(f"h{n}" for n in range(1, 7))}:
            element.text = " " + (element.text or "")
            element.tail = " " + (element.tail or "")
    assert document(".html", source).text.split() == tree.text_content().split()


@SETTINGS
@given(
    st.lists(
        st.sampled_from([*"<>&;#x/!-[]='\" \nabdilprtv中", "<td>", "<table>", "&lt;", "<!--", "</p"]), max_size=80
    )
)
def test_no_source_is_too_strange(strange: list[str]) -> None:
    source = "".join(strange)
    found = outcome(".html", source)
    if isinstance(found, str):
        assert found == "E-DOCUMENT-EMPTY"
    else:
        check_marks(found, source)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<p>中文".encode(), "中文"),
        ("\ufeff<p>中文".encode(), "中文"),
        ("<p>中文".encode("utf-16"), "中文"),
        ("<p>中文网页".encode("gb18030"), "中文网页"),
        ('<meta charset="gb2312"><p>中文 镕'.encode("gbk"), "中文 镕"),
        ('<meta http-equiv=Content-Type content="text/html; charset=iso-8859-1"><p>déjà'.encode("latin-1"), "déjà"),
        ('<meta charset="utf-7"><p>é'.encode(), "é"),
        ('<?xml version="1.0" encoding="Shift_JIS"?><p>日本'.encode("shift_jis"), "日本"),
        ('<meta charset="big5"><p>臺灣'.encode("big5"), "臺灣"),
    ],
)
def test_encodings(raw: bytes, text: str) -> None:
    assert document(".html", raw).text == text


def test_an_encoding_that_nobody_named() -> None:
    assert outcome(".html", "<p>déjà vu, élève, façade".encode("latin-1")) == "E-DOCUMENT-ENCODING"

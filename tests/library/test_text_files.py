"""Plain text, CSV and JSON Lines: what a block is, and that offsets are the file's."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from puna.library.readers.refused import Refused
from puna.library.types import Document
from tests.library.files import document, outcome, pieces
from tests.library.test_html import runs

SETTINGS = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
STRANGE = st.text(st.sampled_from([*"ab中😀é.,;\"'|\t \n\r", "\u3000", "\u2028", "\x0b", "\x85"]), max_size=60)


def test_paragraphs() -> None:
    source = "\n  one\ntwo  \n \t\nthree\r\n\r\n\u3000四\n五\n"
    found = document(".txt", source)
    assert found.text == source
    assert pieces(found) == ["one\ntwo", "three", "四\n五"]


@SETTINGS
@given(STRANGE)
def test_what_lies_between_paragraphs_is_white(source: str) -> None:
    for suffix in (".txt", ".csv", ".md"):
        found = outcome(suffix, source)
        if isinstance(found, str):
            assert (found, source.strip()) == ("E-DOCUMENT-EMPTY", "")
            continue
        assert found.text == source
        end = 0
        for block in found.blocks:
            assert end <= block.start < block.end
            assert not source[end : block.start].strip()
            piece = source[block.start : block.end]
            assert piece == piece.strip()
            end = block.end
        assert not source[end:].strip()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings(encoding: str) -> None:
    source = "青藏高原上的羊驼。\r\n\r\n它们住在这里，\n而且很多。"
    found = document(".txt", source.encode(encoding))
    assert found.text == source
    assert len(found.blocks) == 2


def test_traditional_chinese_in_gb18030() -> None:
    source = "臺灣的玉山是東亞最高的山，海拔三千九百五十二公尺，與雪山、大霸尖山齊名。"
    assert document(".txt", source.encode("gb18030")).text == source


def test_utf_16_of_either_order_and_other_planes() -> None:
    source = "a 😀 中"
    assert document(".txt", b"\xfe\xff" + source.encode("utf-16-be")).text == source
    assert document(".txt", b"\xff\xfe" + source.encode("utf-16-le")).text == source


@pytest.mark.parametrize(
    "raw",
    [
        "déjà vu, élève, façade, où".encode("latin-1"),
        "Привет, мир, как дела".encode("cp1251"),
        b"abc \xff\xff",
        b"\xff\xfea",  # half a character
        b"\xef\xbb\xbfabc\xff",
        "日本語のテキストです".encode("shift_jis"),
        "臺灣的玉山是最高的山，海拔很高。".encode("big5"),
    ],
)
def test_what_is_in_no_encoding_that_is_known_is_not_guessed(raw: bytes) -> None:
    assert outcome(".txt", raw) == "E-DOCUMENT-ENCODING"


def test_nul_is_no_text() -> None:
    assert outcome(".txt", b"abc\0def") == "E-DOCUMENT-DAMAGED"


CELL = st.text(st.sampled_from([*'ab中,;"\n ', "x"]), max_size=6)


@SETTINGS
@given(st.lists(st.lists(CELL, min_size=2, max_size=3), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_rows_of_a_table_are_those_that_were_written(rows: list[list[str]], end: str) -> None:
    # White space at a row's ends is not in its block.
    rows = [["name", "其他"], *([f".{cell}." for cell in row] for row in rows)]
    made = io.StringIO(newline="")
    csv.writer(made, lineterminator=end).writerows(rows)
    source = made.getvalue()
    found = document(".csv", source)
    assert found.text == source
    assert {block.kind for block in found.blocks} == {"row"}
    assert [next(csv.reader(io.StringIO(piece, newline=""))) for piece in pieces(found)] == rows


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators(separator: str) -> None:
    source = f'a{separator}b\n"x, y\nz"{separator}2\n'
    assert pieces(document(".csv", source)) == [f"a{separator}b", f'"x, y\nz"{separator}2']


def test_a_quote_that_is_never_closed_takes_no_rows_in() -> None:
    source = 'a,b\n1,"x\n2,y\n3,z\n'
    assert pieces(document(".csv", source)) == ["a,b", '1,"x', "2,y", "3,z"]


def check_marks(found: Document, source: str) -> None:
    """Every run is a piece of the file, an escape there, or a tab or line end between."""
    for piece, mark in runs(found):
        if mark.original is None:
            assert set(piece) <= {"\t", "\n"}
            continue
        there = source[mark.original : mark.original + len(piece) + mark.width - 1]
        if there[0] == "\\":
            said = json.loads(f'"{there}"')
            never = said == "\0" or "\ud800" <= said <= "\udfff"
            assert piece == ("\ufffd" if never else " " if said in "\r\n" else said)
        else:
            assert piece == there


VALUE = st.text(st.characters(codec=None, categories=["L", "N", "P", "S", "Zs", "Cc", "Cs"]), max_size=12)


@SETTINGS
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["text", "标题", 'a"b', "x\\"]), VALUE | st.integers() | st.lists(VALUE), max_size=3
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_strings_of_rows(rows: list[dict[str, object]], escaped: bool) -> None:
    source = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows)
    if any("\ud800" <= c <= "\udfff" for c in source):  # UTF-8 has none
        source = "".join(json.dumps(row) + "\n" for row in rows)

    def strings(value: object) -> list[str]:
        if isinstance(value, dict | list):
            return [s for each in (value.values() if isinstance(value, dict) else value) for s in strings(each)]
        return [value] if isinstance(value, str) else []

    found = outcome(".jsonl", source)
    if isinstance(found, str):
        assert found == "E-DOCUMENT-EMPTY"
        return
    text = found.text.split("\n")
    assert len(text) == source.count("\n") + 1
    for line, row in zip(text, rows, strict=False):
        # Pairs of surrogates are one character however they are written.
        wanted = [s.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for s in strings(row)]
        squeezed = "".join("".join(wanted).replace("\0", "\ufffd").split())
        assert "".join(line.split()) == squeezed
    assert all(block.kind == "row" for block in found.blocks)
    check_marks(found, source)


def test_rows_keep_their_lines_and_point_into_the_file() -> None:
    source = '{"id": 7, "text": "one\\ntwo \\u4e2d"}\n\n["x", {"name": "y"}]\n"bare"\n7\n'
    found = document(".jsonl", source)
    assert found.text == "one two 中\n\nx\ty\nbare\n\n"
    assert pieces(found) == ["one two 中", "x\ty", "bare"]
    check_marks(found, source)


@pytest.mark.parametrize("row", ['{"a": "b"', "{'a': 1}", "NaN,", '{"a": "\t"}', "text"])
def test_a_row_that_is_no_json_is_named(row: str) -> None:
    with pytest.raises(Refused) as refused:
        document(".jsonl", '{"a": "b"}\n' + row + "\n")
    assert refused.value.code == "E-DOCUMENT-DAMAGED"
    assert "line 2" in refused.value.parameters["reason"]


def test_numbers_that_do_not_end_are_read() -> None:
    assert document(".jsonl", '{"n": ' + "9" * 100_000 + ', "t": "x"}').text == "x"

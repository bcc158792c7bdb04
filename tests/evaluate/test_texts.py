"""Texts of files: what is read, and what is said of rows that cannot be."""

import csv
import gzip
import json
import random
from pathlib import Path

import pytest

from puna.errors import InputError
from puna.evaluate.texts import TextRow, labelled_rows, read_examples, read_labelled, read_labels, read_texts
from puna.tasks.labels import Example, Label


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def codes(errors: list[InputError]) -> list[tuple[str, object]]:
    return [(error.code, error.parameters["line"]) for error in errors]


@pytest.mark.parametrize("name", ["a.txt", "a.TXT", "a.txt.gz"])
def test_a_text_a_line(tmp_path: Path, name: str) -> None:
    found, wrong = read_texts(written(tmp_path, name, b"\xef\xbb\xbfone\r\n\n \nt\xffwo\nthree, \xe4\xb8\x89"))
    assert found == [TextRow(1, "one"), TextRow(5, "three, 三")]
    assert codes(wrong) == [("E-ROWS-UNICODE", 4)]


def test_tables_as_python_writes_them(tmp_path: Path) -> None:
    """Commas, quotes and line breaks in cells, at random."""
    rng = random.Random(3)
    texts = ["".join(rng.choice('a,"\n\r 三') for _ in range(rng.randint(1, 12))) + "." for _ in range(300)]
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "body", "more"])
        writer.writerows([n, text, "x"] for n, text in enumerate(texts))
    found, wrong = read_texts(path, "body")
    assert wrong == []
    assert [(row.text, row.id) for row in found] == [(text, str(n)) for n, text in enumerate(texts)]
    lines = path.read_bytes().decode().splitlines(keepends=True) if "\r" not in "".join(texts) else None
    assert lines is None or len(lines) >= len(found)


def test_the_rest_of_a_broken_table_is_read(tmp_path: Path) -> None:
    lines = [
        "text,more",
        "good,1",
        '"open quote,2',
        "good too,3",
        '"closed" badly,4',
        "one cell",
        "three,cells,here",
        ",blank",
        "",
        '"two',
        'lines",5',
        "last,6",
    ]
    found, wrong = read_texts(written(tmp_path, "a.csv", "\n".join(lines)))
    assert [(row.line, row.text) for row in found] == [
        (2, "good"),
        (4, "good too"),
        (10, "two\nlines"),
        (12, "last"),
    ]
    assert codes(wrong) == [
        ("E-TEXTS-QUOTES", 3),
        ("E-TEXTS-QUOTES", 5),
        ("E-TEXTS-CELLS", 6),
        ("E-TEXTS-CELLS", 7),
        ("E-ROWS-BLANK", 8),
    ]


def test_a_line_of_a_table_that_is_no_text(tmp_path: Path) -> None:
    found, wrong = read_texts(written(tmp_path, "a.csv", b"text\ngood\nb\xffad\nlast\n"))
    assert [row.text for row in found] == ["good", "last"]
    assert codes(wrong) == [("E-ROWS-UNICODE", 3)]


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        '{"text": "one", "id": 7}',
        "{",
        "[]",
        '{"body": "x"}',
        '{"text": " "}',
        '{"text": 3}',
        '{"text": "二"}',
    ]
    found, wrong = read_texts(written(tmp_path, "a.jsonl.gz", "\n".join(rows)))
    assert found == [TextRow(1, "one", "7"), TextRow(7, "二")]
    assert codes(wrong) == [
        ("E-ROWS-JSON", 2),
        ("E-ROWS-OBJECT", 3),
        ("E-ROWS-FIELD", 4),
        ("E-ROWS-BLANK", 5),
        ("E-ROWS-TYPE", 6),
    ]


BAD = {
    "kind": ("a.pdf", "x", "E-TEXTS-KIND"),
    "no row": ("a.txt", "\n \n", "E-ROWS-NONE"),
    "no row of a table": ("a.csv", "text\n", "E-ROWS-NONE"),
    "column": ("a.csv", "body,more\nx,y\n", "E-TEXTS-COLUMN"),
    "damaged": ("a.txt", b"\x1f\x8b\x08 no gzip", "E-ROWS-DAMAGED"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    file, content, code = BAD[name]
    with pytest.raises(InputError) as caught:
        read_texts(written(tmp_path, file, content))
    assert caught.value.code == code


LABELLED = [
    '{"text": "one", "label": "a  b"}',
    '{"text": "two"}',
    '{"label": "c"}',
    '{"text": "three", "label": 3}',
    '{"text": "four", "label": "c"}',
]


def test_rows_without_text_or_label(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", "\n".join(LABELLED))
    rows, wrong = read_labelled([path], strict=False)
    assert [(row.text, row.label) for row in rows] == [("one", "a b"), ("four", "c")]
    assert codes(wrong) == [("E-ROWS-FIELD", 2), ("E-ROWS-FIELD", 3), ("E-ROWS-TYPE", 4)]
    with pytest.raises(InputError) as caught:
        read_labelled([path])
    assert (caught.value.code, caught.value.parameters["line"]) == ("E-ROWS-FIELD", 2)
    with pytest.raises(InputError) as caught:
        read_labelled([written(tmp_path, "b.jsonl", LABELLED[1])], strict=False)
    assert caught.value.code == "E-TRAIN-USABLE"


def test_labels_of_rows_or_given(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", LABELLED[4] + "\n" + LABELLED[0])
    assert labelled_rows(path, [])[1] == (Label("a b"), Label("c"))
    given = [Label("d"), Label("c", "x"), Label("a b")]
    assert labelled_rows(path, given)[1] == (Label("a b"), Label("c", "x"), Label("d"))
    with pytest.raises(InputError) as caught:
        labelled_rows(path, given[:2])
    assert (caught.value.code, caught.value.parameters["line"]) == ("E-ROWS-LABEL", 2)
    with pytest.raises(InputError) as caught:
        labelled_rows(written(tmp_path, "one.jsonl", LABELLED[4]), [])
    assert caught.value.code == "E-LABEL-ONE"


def test_examples_and_labels(tmp_path: Path) -> None:
    rows = [{"text": "one", "label": "a"}, {"text": "two", "labels": ["a", "b"]}, {"text": "three", "labels": []}]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert read_examples(path) == [Example("one", ("a",)), Example("two", ("a", "b")), Example("three", ())]
    assert read_labels(written(tmp_path, "l.txt", "a\n\nb: x\n")) == [Label("a\n"), Label("b", "x\n")]
    rows = [{"label": "a: b"}, {"label": "c", "description": "d"}]
    path = written(tmp_path, "l.jsonl", "\n".join(map(json.dumps, rows)))
    assert read_labels(path) == [Label("a: b"), Label("c", "d")]

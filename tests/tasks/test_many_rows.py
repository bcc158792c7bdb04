"""The rows of a file of questions: how they are read, and in which order they are asked."""

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from puna.errors import InputError
from puna.tasks.many_rows import ManyRows, many_row
from puna.tasks.rows import fields_of
from tests.tasks.many import BAD, good_rows, write_lines


def texts(line: bytes) -> tuple[str, ...]:
    row = json.loads(line)
    return tuple(row.get("texts") or [row.get("text") or row["context"]])


@pytest.mark.parametrize("seed", range(5))
def test_rows_about_one_text_follow_one_another(seed: int, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", good_rows(60, seed))
    lines = rows.read_bytes().splitlines()
    every = ManyRows(rows, tmp_path)
    skipped = np.array([random.Random(seed + n).random() < 0.3 for n in range(60)])
    # Brute force: by the first row with the same texts, then by place.
    first = {texts(line): place for place, line in reversed(list(enumerate(lines)))}
    expected = sorted(np.flatnonzero(~skipped), key=lambda place: (first[texts(lines[place])], place))
    waiting = list(every.waiting(skipped))
    assert [row.number for row in waiting] == [place + 1 for place in expected]
    assert [row.raw for row in waiting] == [lines[place] for place in expected]
    assert len({row.key for row in waiting}) == len({texts(row.raw) for row in waiting})
    in_order = ManyRows(rows, tmp_path, library=True).waiting(skipped)
    assert [row.number - 1 for row in in_order] == list(np.flatnonzero(~skipped))


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    plain, packed = tmp_path / "rows.jsonl", tmp_path / "rows.jsonl.gz"
    content = b'\xef\xbb\xbf{"question": "a"}\r\n\n  \n{broken\n\xff\xfe\n{"question": "b", "text": "c"}'
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    one, other = ManyRows(plain, tmp_path), ManyRows(packed, tmp_path)
    plain.write_bytes(b"something else")  # the rows are those that stood there
    nothing_done = np.zeros(4, bool)
    expected = {1: b'{"question": "a"}', 4: b"{broken", 5: b"\xff\xfe", 6: b'{"question": "b", "text": "c"}'}
    for rows in (one, other):
        assert {row.number: row.raw for row in rows.waiting(nothing_done)} == expected
        assert [rows.place(number) for number in range(8)] == [None, 0, None, None, 1, 2, 3, None]
    assert one.digest == other.digest
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "rows.jsonl.gz"}


def test_the_digest_is_of_all_that_counts(tmp_path: Path) -> None:
    def digest(*lines: str) -> str:
        return ManyRows(write_lines(tmp_path / "rows.jsonl", lines), tmp_path).digest

    same = digest("a", "b")
    assert digest("a", "b", "", " ") == same
    assert (
        len({same, digest("b", "a"), digest("a", "", "b"), digest("ab"), digest("a"), digest("a", "b", "c")}) == 6
    )


@pytest.mark.parametrize("line", [line for line, code in BAD.items() if code.startswith(("E-ROWS", "E-MANY"))])
def test_what_is_no_row_is_told(line: str) -> None:
    with pytest.raises(InputError) as caught:
        many_row(fields_of(Path("rows.jsonl"), 7, line.encode()), library=False)
    assert caught.value.code == BAD[line]
    assert str(caught.value).startswith("rows.jsonl, line 7")


def test_a_library_needs_no_text() -> None:
    row = many_row(fields_of(Path("r"), 3, b'{"question": "Who?", "id": 5, "context": " "}'), library=True)
    assert (row.id, row.question, row.sources, row.candidates) == ("5", "Who?", (), None)


def test_several_texts_have_names() -> None:
    row = many_row(
        fields_of(Path("r"), 3, b'{"question": "Who?", "texts": ["a", "b"], "text": null}'), library=False
    )
    assert [(source.name, source.text) for source in row.sources] == [("text 1", "a"), ("text 2", "b")]
    assert row.id == "line 3"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n \n")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"question": "a"}\n' * 99)[:-9])
    for name, code in (
        ("none", "E-FILE-MISSING"),
        ("empty.jsonl", "E-ROWS-NONE"),
        ("cut.jsonl.gz", "E-ROWS-DAMAGED"),
    ):
        with pytest.raises(InputError) as caught:
            ManyRows(tmp_path / name, tmp_path)
        assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        ManyRows(tmp_path / "empty.jsonl", tmp_path / "nowhere")
    assert caught.value.code == "E-OUTPUT-WRITE"

"""Labelled rows: what is read, and one clear error for each way a file can be wrong."""

import gzip
import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from puna.errors import InputError
from puna.evaluate.rows import QuestionRow, data_file, question_row, read_rows, sample
from puna.tasks.rows import Fields

GOOD: dict[str, Any] = {
    "id": "a",
    "context": "Ann led the walk. 安走在前面。",
    "question": "Who?",
    "answers": [{"text": "Ann", "start": 0}, {"text": "安", "start": 18}],
    "unanswerable": False,
}


def rows_of(path: Path, *lines: str | bytes | dict[str, Any]) -> list[QuestionRow]:
    path.write_bytes(b"".join(encoded(line) + b"\n" for line in lines))
    return read_rows(path, question_row)


def encoded(line: str | bytes | dict[str, Any]) -> bytes:
    if isinstance(line, dict):
        line = json.dumps(line)
    return line.encode() if isinstance(line, str) else line


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def answer(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "answers": [{"text": "Ann", "start": 0}, {"text": "Ann", **changes}]}


def test_random_rows_come_back(tmp_path: Path) -> None:
    rng = random.Random(3)
    wanted, lines = [], []
    for n in range(200):
        context = "".join(rng.choices(string.ascii_letters + " 安走在前面。😀\u2028\u0085\r\n", k=40)) + "x"
        spans = [sorted(rng.sample(range(len(context) + 1), 2)) for _ in range(rng.randrange(4))]
        spans = [(start, end) for start, end in spans if context[start:end].strip()]
        answers = [{"text": context[start:end], "start": rng.choice([start, -1])} for start, end in spans]
        row = {"id": f"q{n}", "context": context, "question": f"{n}？", "answers": answers}
        lines.append(json.dumps(row, ensure_ascii=bool(rng.randrange(2))))
        wanted.append(QuestionRow(f"q{n}", context, f"{n}？", tuple(a["text"] for a in answers), not answers))
    assert rows_of(tmp_path / "plain.jsonl", *lines) == wanted
    packed = tmp_path / "named-as-it-may.txt"
    packed.write_bytes(gzip.compress("\r\n".join(lines).encode()))
    assert read_rows(packed, question_row) == wanted


def test_what_may_be_left_out(tmp_path: Path) -> None:
    bare = {"context": "Ann led.", "question": "Who?", "answers": [{"text": "Ann"}], "title": None}
    none = {"context": "Ann led.", "question": "Why?", "answers": [], "id": 7}
    found = rows_of(tmp_path / "a", b"\xef\xbb\xbf" + encoded(bare), "", "  \t", {**bare, "id": None}, none)
    assert [row.id for row in found] == ["line 1", "line 4", "7"]
    assert [row.unanswerable for row in found] == [False, False, True]


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("{'id': 1}", "E-ROWS-JSON", {"column": 2}),
        ('{"id": 1', "E-ROWS-JSON", {}),
        ("[" * 100_000, "E-ROWS-JSON", {}),
        ("9" * 5000, "E-ROWS-JSON", {}),
        ("[1]", "E-ROWS-OBJECT", {}),
        ('"text"', "E-ROWS-OBJECT", {}),
        ("null", "E-ROWS-OBJECT", {}),
        (b'{"question": "\xff"}', "E-ROWS-UNICODE", {}),
        ("安".encode("gb18030"), "E-ROWS-UNICODE", {}),
        ({**GOOD, "question": "\ud800"}, "E-ROWS-UNICODE", {}),
        (without("context"), "E-ROWS-FIELD", {"field": "context"}),
        (without("question"), "E-ROWS-FIELD", {"field": "question"}),
        (without("answers"), "E-ROWS-FIELD", {"field": "answers"}),
        ({**GOOD, "context": None}, "E-ROWS-FIELD", {"field": "context"}),
        ({**GOOD, "context": ["a"]}, "E-ROWS-TYPE", {"field": "context", "wanted": "string"}),
        ({**GOOD, "answers": {"text": "Ann"}}, "E-ROWS-TYPE", {"field": "answers", "wanted": "array"}),
        ({**GOOD, "answers": ["Ann"]}, "E-ROWS-TYPE", {"field": "answers[0]", "wanted": "object"}),
        ({**GOOD, "unanswerable": 0}, "E-ROWS-TYPE", {"field": "unanswerable", "wanted": "boolean"}),
        ({**GOOD, "id": 1.5}, "E-ROWS-TYPE", {"field": "id", "wanted": "string"}),
        ({**GOOD, "question": " \n"}, "E-ROWS-BLANK", {"field": "question"}),
        ({**GOOD, "context": ""}, "E-ROWS-BLANK", {"field": "context"}),
        ({**GOOD, "id": ""}, "E-ROWS-BLANK", {"field": "id"}),
        (answer(text=None), "E-ROWS-FIELD", {"field": "answers[1].text"}),
        (answer(text=3), "E-ROWS-TYPE", {"field": "answers[1].text", "wanted": "string"}),
        (answer(text=""), "E-ROWS-BLANK", {"field": "answers[1].text"}),
        (answer(start="0"), "E-ROWS-TYPE", {"field": "answers[1].start", "wanted": "integer"}),
        (answer(start=True), "E-ROWS-TYPE", {"field": "answers[1].start", "wanted": "integer"}),
        (answer(start=1), "E-ROWS-START", {"answer": "Ann", "start": 1}),
        (answer(text="led\x1b[2J", start=10**30), "E-ROWS-START", {"answer": "led\\x1b[2J"}),
        ({**GOOD, "unanswerable": True}, "E-ROWS-UNANSWERABLE", {}),
        ({**GOOD, "answers": []}, "E-ROWS-UNANSWERABLE", {}),
    ],
)
def test_wrong_lines(line: Any, code: str, told: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        rows_of(tmp_path / "rows.jsonl", GOOD, "", line)
    assert caught.value.code == code
    assert caught.value.parameters["line"] == 3
    assert {name: caught.value.parameters[name] for name in told} == told
    assert all(text.isprintable() for language in ("en", "zh") for text in caught.value.describe(language))


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"")])
def test_no_rows(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(content)
    assert refusal(tmp_path / "rows") == "E-ROWS-NONE"


def test_damaged_gzip(tmp_path: Path) -> None:
    whole = gzip.compress("\n".join([json.dumps(GOOD)] * 50).encode())
    path = tmp_path / "rows.gz"
    for size in range(2, len(whole)):
        path.write_bytes(whole[:size])
        assert refusal(path) == "E-ROWS-DAMAGED"
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(flipped)
    assert refusal(path).startswith("E-ROWS-")


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "E-FILE-READ"
    assert refusal(tmp_path / "none") == "E-FILE-MISSING"
    assert refusal(Path("a\0b")) == "E-FILE-READ"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_rows(path, question_row)
    return caught.value.code


def test_a_parser_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('{"choices": ["a", "b"], "right": 1}\n{"choices": ["a", " "], "right": 1}', "utf-8")

    def parse(row: Fields) -> tuple[str, ...]:
        if row.integer("right") > 1:
            raise row.error("E-ROWS-FIELD", field="right")
        return row.texts("choices")

    with pytest.raises(InputError) as caught:
        read_rows(path, parse)
    assert caught.value.parameters == {"path": path, "line": 2, "field": "choices[1]"}


def test_samples() -> None:
    rows = list(range(1000))
    assert sample(rows, None) == sample(rows, 1000) == sample(rows, 5000) == rows
    drawn = {seed: sample(rows, 20, seed) for seed in range(50)}
    for seed, some in drawn.items():
        assert some == sorted(set(some))
        assert len(some) == 20
        assert some == sample(rows, 20, seed)
        assert set(some) <= set(sample(rows, 21, seed))
    assert len({tuple(some) for some in drawn.values()}) == 50
    assert 400 < sum(sum(some) for some in drawn.values()) / 1000 < 600


def test_data_sets_are_found_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PUNA_DATA", str(tmp_path))
    assert data_file("sst2/dev") == tmp_path / "sst2" / "dev.jsonl.gz"
    for unset in (lambda: monkeypatch.setenv("PUNA_DATA", ""), lambda: monkeypatch.delenv("PUNA_DATA")):
        unset()
        with pytest.raises(InputError) as caught:
            data_file("sst2/dev")
        assert caught.value.code == "E-DATA-FOLDER"

"""Many questions: each row once, in order, with what `ask` gives; resumed, damaged, refused."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import puna
from puna.answer.types import Source
from puna.errors import InputError, LibraryError
from puna.tasks.ask_many import Run, Summary, ask_here
from puna.tasks.ask_row import Asker
from puna.tasks.many_rows import ManyRows
from tests.cli.tiny_file import write_tiny
from tests.tasks.many import BAD, good_rows, how, write_lines


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("many") / "tiny.gguf")


def begin(rows: Path, output: Path, asker: Asker) -> Run:
    return Run(ManyRows(rows, output.parent), output, asker.identity)


def ask_all(rows: Path, model: Path, output: Path) -> Summary:
    asker = how(rows, model).asker()
    run = begin(rows, output, asker)
    list(ask_here(run, asker))
    return run.finish()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_row_is_what_ask_gives(model: Path, tmp_path: Path) -> None:
    rows = good_rows(20)
    summary = ask_all(write_lines(tmp_path / "rows.jsonl", rows), model, tmp_path / "out.jsonl")
    assert summary == Summary(20, 0, {})
    found = lines_of(tmp_path / "out.jsonl")
    assert [row["row"] for row in found] == list(range(1, 21))
    for number, (row, line) in enumerate(zip(rows, found, strict=True), 1):
        texts = row.get("texts")
        sources = [Source(f"text {n}", text) for n, text in enumerate(texts, 1)] if texts else None
        fresh = puna.load(model, adapter=None, device="cpu")  # nothing read before
        text = sources or row.get("text") or row["context"]
        expected = fresh.ask(row["question"], text, row.get("candidates"), top=3).to_dict()
        assert line.pop("row") == number
        assert line.pop("id") == str(row.get("id", f"line {number}"))
        assert line.keys() == expected.keys() - {"model", "threshold", "elapsed_ms"}
        for answer in expected["answers"]:
            del answer["why"]
            for place in answer["evidence"]:
                del place["loss"]
        assert line == json.loads(json.dumps({name: expected[name] for name in line}))


def test_bad_rows_take_no_other_with_them(model: Path, tmp_path: Path) -> None:
    good = good_rows(len(BAD))
    mixed = [line for pair in zip(good, BAD, strict=True) for line in pair]
    rows = write_lines(tmp_path / "rows.jsonl", mixed)
    summary = ask_all(rows, model, tmp_path / "out.jsonl")
    found = lines_of(tmp_path / "out.jsonl")
    assert [row["row"] for row in found] == list(range(1, len(mixed) + 1))
    assert [row["error"]["code"] for row in found[1::2]] == list(BAD.values())
    assert all(row.keys() == {"row", "error"} and row["error"].keys() == {"code", "message"} for row in found[1::2])
    assert not any("error" in row for row in found[::2])
    assert (summary.rows, summary.failed) == (len(mixed), len(BAD))
    assert summary.errors == {code: [*BAD.values()].count(code) for code in BAD.values()}


def test_stopped_anywhere_it_goes_on(model: Path, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", [*good_rows(11), "{"])
    ask_all(rows, model, tmp_path / "whole.jsonl")
    asker = how(rows, model).asker()
    list(ask_here(begin(rows, tmp_path / "out.jsonl", asker), asker))
    part = tmp_path / "out.jsonl.part"
    every = part.read_bytes()
    for cut in random.Random(4).sample(range(len(every)), 12):
        part.write_bytes(every[:cut])
        run = begin(rows, tmp_path / "out.jsonl", asker)
        kept = max(every[:cut].count(b"\n") - 1, 0)
        assert run.done == kept
        assert len(list(ask_here(run, asker))) == 12 - kept  # none is asked again
        run.finish()
        assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        assert not part.exists()


def test_whatever_the_order_and_however_often(model: Path, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", good_rows(9))
    ask_all(rows, model, tmp_path / "whole.jsonl")
    asker = how(rows, model).asker()
    run = begin(rows, tmp_path / "out.jsonl", asker)
    lines = [
        (row["row"], json.dumps(row, ensure_ascii=False).encode()) for row in lines_of(tmp_path / "whole.jsonl")
    ]
    order = random.Random(6).sample(lines * 2, 18)
    for number, line in order[:7]:
        run.add(number, line)
    with (tmp_path / "out.jsonl.part").open("ab") as part:  # of another process with the same output
        part.write(order[0][1] + b"\n")
    run = begin(rows, tmp_path / "out.jsonl", asker)
    for number, line in order:
        run.add(number, line)
    assert (run.done, list(run.waiting())) == (9, [])
    run.finish()
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_for_anything_else_it_is_refused(model: Path, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", good_rows(4))
    asker, output = how(rows, model).asker(), tmp_path / "out.jsonl"
    run = begin(rows, output, asker)
    next(ask_here(run, asker))
    before = (tmp_path / "out.jsonl.part").read_bytes()
    other = write_lines(tmp_path / "other.jsonl", good_rows(5))
    renamed = write_tiny(tmp_path / "renamed.gguf")
    for again, asked in (
        (other, asker),
        (rows, how(rows, model, top=4).asker()),
        (rows, how(rows, model, max_words=3).asker()),
        (rows, how(rows, renamed).asker()),
    ):
        with pytest.raises(InputError) as caught:
            begin(again, output, asked)
        assert caught.value.code == "E-PART-OTHER"
    assert (tmp_path / "out.jsonl.part").read_bytes() == before
    moved = write_lines(tmp_path / "moved.jsonl", good_rows(4))
    assert begin(moved, output, how(moved, model).asker()).done == 1


class Failing:
    """A reader that fails as a reader can."""

    def __init__(self, reader: puna.Reader, error: Exception) -> None:
        self._reader, self._error, self.name = reader, error, reader.name
        self.own_calibration = reader.own_calibration

    def ask(self, question: str, *arguments: Any, **options: Any) -> puna.Answers:
        if question == "fail":
            raise self._error
        return self._reader.ask(question, *arguments, **options)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("no\nmemory \x1b"), MemoryError(), ZeroDivisionError("7"), RecursionError("deep")],
    ids=lambda error: type(error).__name__,
)
def test_what_was_not_foreseen_costs_one_row(error: Exception, model: Path, tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "rows.jsonl", [*good_rows(2), {"question": "fail", "text": "Ann won."}])
    reader: Any = Failing(puna.load(model, adapter=None, device="cpu"), error)
    asker = Asker(how(rows, model), reader)
    run = begin(rows, tmp_path / "out.jsonl", asker)
    list(ask_here(run, asker))
    assert run.finish() == Summary(3, 1, {"E-ROW-FAILED": 1})
    told = lines_of(tmp_path / "out.jsonl")[2]["error"]["message"]
    assert type(error).__name__ in told
    assert told.isprintable()


def test_what_is_no_fault_of_the_row_ends_the_run(model: Path, tmp_path: Path) -> None:
    """A database that is gone must not turn a million questions into errors."""
    rows = write_lines(tmp_path / "rows.jsonl", [*good_rows(2), {"question": "fail", "text": "他来了。"}])
    lost: Any = Failing(puna.load(model, adapter=None, device="cpu"), LibraryError("E-ROWS-NONE", path="library"))
    asker = Asker(how(rows, model), lost)
    run = begin(rows, tmp_path / "out.jsonl", asker)
    with pytest.raises(LibraryError):
        list(ask_here(run, asker))
    assert run.done == 2


def tokens_read(rows: Sequence[dict[str, Any]], model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many tokens the model reads for these rows, if nothing but the present question's text is kept."""
    file = write_lines(folder / "rows.jsonl", rows)
    reader = puna.load(model, adapter=None, device="cpu", memory=0)
    read, counts = reader.model.read, [0]

    def counted(tokens: Sequence[int], *arguments: Any, **options: Any) -> Any:
        counts[0] += len(tokens)
        return read(tokens, *arguments, **options)

    monkeypatch.setattr(reader.model, "read", counted)
    asker = Asker(how(file, model), reader)
    list(ask_here(begin(file, folder / "out.jsonl", asker), asker))
    return counts[0]


def test_a_text_is_read_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Several hundred tokens each, so that a text weighs more than the examples before it.
    by_text = [
        [
            {"question": f"Who won {n}?", "text": f"Ann won game {text}. " * 20, "candidates": ["Ann"]}
            for n in range(4)
        ]
        for text in range(4)
    ]
    together = [row for rows in by_text for row in rows]
    scattered = [row for rows in zip(*by_text, strict=True) for row in rows]
    counts = []
    for name, rows in (("together", together), ("scattered", scattered), ("each", [rows[0] for rows in by_text])):
        (tmp_path / name).mkdir()
        counts.append(tokens_read(rows, model, tmp_path / name, monkeypatch))
    assert counts[0] == counts[1]
    assert counts[0] == pytest.approx(counts[2], rel=0.2)


def test_of_a_library_every_row_is_what_it_gives(model: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name, text in (
        ("walk.txt", "Ann led the walk. It rained."),
        ("game.md", "# Game\n\nBob won the game in 1840."),
    ):
        (tmp_path / "files" / name).write_text(text)
    where = tmp_path / "a.library"
    with puna.Library.open(where) as library:
        library.add(tmp_path / "files")
    questions = ["Who led the walk?", "Who won the game?", "Unheard-of?"]
    lines = [{"question": question, "context": "not this"} for question in questions]
    rows = write_lines(tmp_path / "rows.jsonl", [*lines, {"question": questions[0], "candidates": ["Bob", "Ann"]}])
    asked = replace(how(rows, model), library=str(where), passages=2)
    asker = asked.asker()
    run = Run(ManyRows(rows, tmp_path, library=True), tmp_path / "out.jsonl", asker.identity)
    list(ask_here(run, asker))
    assert run.finish() == Summary(4, 0, {})
    found = lines_of(tmp_path / "out.jsonl")
    with puna.Library.open(where, reader=puna.load(model, adapter=None, device="cpu")) as library:
        for line, question, candidates in zip(
            found, [*questions, questions[0]], [None, None, None, ["Bob", "Ann"]], strict=True
        ):
            answers = library.ask(question, candidates, passages=2, top=3)
            assert line["no_answer_probability"] == answers.no_answer_probability
            assert [one["text"] for one in line["answers"]] == [one.text for one in answers]
            assert [one["probability"] for one in line["answers"]] == [one.probability for one in answers]
            assert [place["source"] for one in line["answers"] for place in one["evidence"]] == [
                place.source for one in answers for place in one.evidence
            ]
            assert len(line["passages"]) == len(answers.passages)
            assert all("text" not in passage and passage["source"] for passage in line["passages"])
    assert found[0]["answers"]
    assert found[2]["answers"] == []
    others = [replace(asked, passages=1), how(rows, model)]
    assert len({asker.identity, *(other.asker().identity for other in others)}) == 3
    with pytest.raises(LibraryError):
        replace(asked, library=str(tmp_path / "none")).asker()

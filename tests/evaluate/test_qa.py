"""Asking labelled rows, keeping what comes, and taking up a run that was cut off; with a model of random weights."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

import puna
from puna.answer.reader import Reader
from puna.errors import InputError
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.qa import Run, observe
from puna.evaluate.rows import QuestionRow
from tests.cli.tiny_file import write_tiny

ROWS = [
    QuestionRow("1", "Ann led the walk.", "Who led?", ("Ann",), False),
    QuestionRow("2", "安走在前面，来了。", "谁来了？", ("安", "来了"), False),
    QuestionRow("3", "Bob came late.", "Why?", (), True),
    QuestionRow("4", "!!! ... ???", "No word?", ("...",), False),
    QuestionRow("5", "Cyd sang twice.", "Who " * 900, ("Cyd",), False),
    QuestionRow("6", "Dan wrote it.", "Who wrote it?", ("Dan", "Dan wrote"), False),
]
DOUBLE = [*ROWS[:2], *ROWS[:2]]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return puna.load(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))


def timeless(observations: list[Any]) -> list[Any]:
    return [
        tuple(getattr(one, name) for name in one.__slots__ if name not in ("seconds", "nodes", "passes"))
        for one in observations
    ]


@pytest.mark.parametrize("row", [row for row in ROWS if row.id not in "45"], ids=lambda row: row.id)
@pytest.mark.parametrize("refusing", [True, False])
def test_an_observation_is_what_asking_gives(row: QuestionRow, refusing: bool, reader: Reader) -> None:
    found, seen = reader.ask(row.question, row.context, top=5), observe(reader, row, refusing)
    assert (seen.id, seen.question, seen.gold, seen.model) == (row.id, row.question, row.answers, "tiny")
    assert [(a.text, a.probability) for a in seen.answers] == [(a.text, a.probability) for a in found]
    assert seen.no_answer_probability == found.no_answer_probability
    assert seen.exact == found.certificate.exact
    assert seen.unanswerable == row.unanswerable
    refused = refusing and found.no_answer_probability > 0.5
    assert seen.prediction == ("" if refused else found.answers[0].text)
    assert (seen.em, seen.f1) == exact_match_and_f1(row.question, seen.prediction, row.answers)
    for answer in seen.answers:
        assert (answer.em, answer.f1) == exact_match_and_f1(row.question, answer.text, row.answers)
    assert seen.seconds > 0
    assert seen.nodes >= seen.passes > 0


def test_a_refusal_is_an_empty_prediction(reader: Reader) -> None:
    """The random model's refusal is made likely by a text whose one word it hardly writes."""
    rng, refused = random.Random(1), 0
    for n in range(40):
        word = "".join(rng.choices("abcdefghij", k=rng.randrange(4, 60)))
        row = QuestionRow(str(n), word, "Q?", (), True)
        seen = observe(reader, row, refusing=True)
        certain = seen.no_answer_probability > 0.5
        refused += certain
        assert (seen.prediction == "", seen.em, seen.f1) == (certain, float(certain), float(certain))
        assert observe(reader, row, refusing=False).prediction == seen.answers[0].text
    assert refused > 0


@pytest.mark.parametrize(("row", "code"), [(ROWS[3], "E-TEXT-NO-WORDS"), (ROWS[4], "E-QUESTION-LONG")])
def test_what_cannot_be_asked_counts_as_wrong(row: QuestionRow, code: str, reader: Reader) -> None:
    seen = observe(reader, row, refusing=True)
    assert (seen.error, seen.prediction, seen.em, seen.f1, seen.answers) == (code, "", 0, 0, ())


def test_kept_observations_come_back(reader: Reader, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    first, reports = Run(ROWS, True, output), []
    first.go(reader, lambda found: reports.append(len(found)))
    assert reports == [1, 2, 3, 4, 5, 6]
    written = output.read_bytes()
    assert [json.loads(line)["id"] for line in written.splitlines()] == ["1", "2", "3", "4", "5", "6"]
    again = Run(ROWS, True, output)
    assert again.observations == first.observations
    again.go(reader, lambda found: pytest.fail("nothing was left to ask"))
    assert output.read_bytes() == written
    unkept = Run(ROWS, True)
    unkept.go(reader)
    assert timeless(unkept.observations) == timeless(first.observations)


def test_a_run_goes_on_after_a_cut_anywhere(reader: Reader, tmp_path: Path) -> None:
    output, rng = tmp_path / "out.jsonl", random.Random(2)
    whole = Run(DOUBLE, False, output)
    whole.go(reader)
    written = output.read_bytes()
    ends = [place + 1 for place, byte in enumerate(written) if byte == ord("\n")]
    for cut in {0, 1, 5, *ends, *(end - 1 for end in ends), *rng.sample(range(len(written)), 12)}:
        output.write_bytes(written[:cut])
        run = Run(DOUBLE, False, output)
        assert len(run.observations) == sum(end <= cut for end in ends)
        run.go(reader)
        assert timeless(run.observations) == timeless(whole.observations)
        assert len(output.read_bytes().splitlines()) == len(DOUBLE)


def test_a_larger_sample_takes_in_a_smaller_one(reader: Reader, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    Run([ROWS[1], ROWS[5]], False, output).go(reader)
    run = Run(ROWS, False, output)
    assert [one.id for one in run.observations] == ["2", "6"]
    run.go(reader)
    assert [one.id for one in run.observations] == ["2", "6", "1", "3", "4", "5"]


def refusal(output: Path, rows: list[QuestionRow] = ROWS, refusing: bool = True) -> InputError:
    before = output.read_bytes() if output.is_file() else None
    with pytest.raises(InputError) as caught:
        Run(rows, refusing, output)
    assert before == (output.read_bytes() if output.is_file() else None)
    return caught.value


def test_files_of_something_else(reader: Reader, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    Run(ROWS[:3], True, output).go(reader)
    assert refusal(output, ROWS[1:3]).parameters == {"path": output, "count": 1}
    assert refusal(output, ROWS[:3], refusing=False).code == "E-OUTPUT-ROWS"
    assert refusal(output, DOUBLE).code == "E-OUTPUT-ROWS"
    other = Reader(reader.model, reader.tokenizer, "other")
    with pytest.raises(InputError) as caught:
        Run(ROWS, True, output).go(other)
    assert caught.value.code == "E-OUTPUT-MODEL"
    good = output.read_bytes().splitlines(keepends=True)
    record = json.loads(good[0])
    strange: list[dict[str, Any]] = [
        {**record, name: []} for name in record if name not in ("gold", "answers", "error")
    ]
    strange += [{k: v for k, v in record.items() if k != name} for name in record if name != "error"]
    strange += [
        {**record, "answers": [{"text": "a", "probability": "1", "em": 0.0, "f1": 0.0}]},
        {**record, "gold": [1]},
    ]
    for line in [b"[]", b"{", b"\xff", b"a,b", *(json.dumps(one).encode() for one in strange)]:
        output.write_bytes(good[0] + line + b"\n" + good[1])
        assert refusal(output).parameters == {"path": output, "line": 2}
    for text in (b"notes", b'{"context": "Ann', b"a\nb", good[0] + b"notes", b"\x1f\x8b"):
        output.write_bytes(text)
        assert refusal(output).code == "E-OUTPUT-OTHER"


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no-such-folder" / "out.jsonl", Path("a\0b")):
        with pytest.raises(InputError) as caught:
            Run(ROWS, True, path)
        assert caught.value.code == "E-OUTPUT-WRITE"

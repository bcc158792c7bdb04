"""Wrong answers beside the right ones: which they are, that a stopped search goes on, and how they are laid out."""

import itertools
import json

import pytest

import puna
from puna.train.negatives import find_negatives, wrong_answers
from puna.train.rows import SpanRow, read_spans
from puna.train.trees import grow, passages
from tests.cli.run import puna as command
from tests.cli.tiny_file import write_tiny
from tests.train.rows import walks, write_rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def reader(tiny):
    return puna.load(tiny, adapter=None)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    right, _ = read_spans([write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", walks(6))])
    return right


def never() -> bool:
    return False


@pytest.mark.parametrize("count", [1, 3])
def test_they_are_the_most_probable_spans_that_do_not_match(reader, rows, count):
    for row in rows:
        every = reader.ask(row.question, row.context, top=1000, group=False, exact=True, calibration=None)
        right = {text.lower() for text, _ in row.answers}
        wrong = [answer.text for answer in every if answer.text.lower().strip(".") not in right]
        assert list(wrong_answers(reader, row, count)) == wrong[:count]


def test_a_stopped_search_goes_on_and_ends_with_the_same_bytes(reader, rows, tmp_path):
    seen: list[int] = []
    whole, parted = tmp_path / "whole.jsonl", tmp_path / "parted.jsonl"
    total = find_negatives(reader, rows, 2, whole, seen.append, never)
    assert total == sum(len(json.loads(line)["wrong"]) for line in whole.read_text().splitlines()) > len(rows)
    turns = itertools.count()
    assert find_negatives(reader, rows, 2, parted, seen.append, lambda: next(turns) == 4) is None
    part = parted.with_name("parted.jsonl.part")
    part.write_bytes(part.read_bytes()[:-3])  # the last line is cut off, as by a kill
    seen.clear()
    assert find_negatives(reader, rows, 2, parted, seen.append, never) == total
    assert seen[0] == 4  # three were found whole
    assert parted.read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_another_search_does_not_go_on_from_it(reader, rows, tmp_path):
    turns = itertools.count()
    output = tmp_path / "out.jsonl"
    assert find_negatives(reader, rows, 2, output, lambda done: None, lambda: next(turns) == 4) is None
    seen: list[int] = []
    find_negatives(reader, rows, 1, output, seen.append, never)
    assert seen[0] == 1


def test_what_is_written_can_be_learned_from(tiny, rows, tmp_path):
    source = write_rows(tmp_path / "rows.jsonl", walks(6))
    hard, output = tmp_path / "hard.jsonl", tmp_path / "reader"
    given = ("--model", str(tiny), "--json")
    done = command("make-negatives", str(source), "-o", str(hard), "--adapter", "none", "--count", "2", *given)
    assert done.returncode == 0, done.stderr
    found, wrong = read_spans([hard])
    assert (json.loads(done.stdout)["wrong"], wrong) == (sum(len(row.wrong) for row in found), [])
    assert [(row.context, row.question, row.answers) for row in found] == [
        (row.context, row.question, row.answers) for row in rows
    ]
    losses = []
    for epochs in ("0.2", "20"):
        done = command(
            *("train", "reader", str(hard), "--valid", str(hard), "--among", "1", "--rate", "0.02"),
            *("-o", f"{output}{epochs}", "--epochs", epochs, *given),
        )
        assert done.returncode == 0, done.stderr
        losses.append(json.loads(done.stdout)["among"])
    assert losses[1] < losses[0]


def test_right_ones_come_first_and_the_refusal_competes(reader):
    row = SpanRow("1", "Ann met Bob in Rome.", "Who met Bob?", (("Ann", 0),), ("Bob", "Ann", "in Rome", "Paris"))
    (passage,) = passages([row], reader.tokenizer, 1024)
    (question,) = passage.questions
    texts = [reader.tokenizer.decode(tokens[:-1]).strip() for tokens in question.candidates]
    assert (texts, question.right) == (["Ann", "Bob", "in Rome", "not in the text"], 1)
    tree = grow(passage)
    for candidate, tokens in enumerate(question.candidates):
        nodes = [node for node, _, owner in tree.wanted if owner == candidate]
        assert [token for _, token, owner in tree.wanted if owner == candidate] == tokens
        assert nodes[0] == tree.ends[0]
        assert [tree.tokens[node] for node in nodes[1:]] == tokens[:-1]


def test_a_row_without_wrong_ones_is_as_before(reader):
    row = SpanRow("1", "Ann met Bob.", "Who met Bob?", (("Ann", 0),))
    (passage,) = passages([row], reader.tokenizer, 1024)
    assert len(passage.questions[0].candidates) == 1

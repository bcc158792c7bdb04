"""Multiple choice: rows, prompts and boundaries as lm-evaluation-harness has them, scores against Transformers."""

import gzip
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import puna
from puna.answer.reader import Reader
from puna.errors import InputError
from puna.evaluate.choice import Choice, best, choose, encode, summarise_choices
from puna.evaluate.choice_rows import ChoiceRow, choice_row
from puna.evaluate.rows import read_rows
from puna.tokens.tokenizer import Tokenizer
from tests.cli.tiny_file import write_tiny
from tests.tokens.vocabularies import (
    byte_level_metadata,
    sentence_piece_metadata,
    train_byte_level,
    train_sentence_piece,
)

GOOD: dict[str, Any] = {"question": "Which shines?", "candidates": ["a stone", "a star"], "answer_index": 1}
ROWS = [
    ChoiceRow("1", None, "What is the capital of France?", ("London", "Paris", "Rome", "a very large city"), 1),
    ChoiceRow("2", None, "Which of these gives light?", ("a stone", "a star", "the deep sea"), 1),
    ChoiceRow("3", "Ann led the walk. Bob came late.", "did Bob lead the walk?", ("no", "yes"), 0),
    ChoiceRow("4", "The man turned on the tap, therefore", None, ("water flowed out.", "it began to snow."), 0),
    ChoiceRow("5", None, None, ("The cup fell and broke.", "The cup fell and sang."), 0),
    ChoiceRow("6", "安走在前面，鲍勃迟到了。", "谁走在前面？", ("安", "鲍勃", "没有人"), 0),
    ChoiceRow("7", "The first line.\n", None, ("Then 12 more 😀", "Then"), 1),
]


def parsed(path: Path, *lines: dict[str, Any]) -> list[ChoiceRow]:
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return read_rows(path, choice_row)


def test_fields(tmp_path: Path) -> None:
    more = {"context": None, "id": "q", "genre": "mixed"}
    assert parsed(
        tmp_path / "rows", GOOD, {**GOOD, **more}, {**GOOD, "context": "It shines.", "question": None}
    ) == [
        ChoiceRow("line 1", None, "Which shines?", ("a stone", "a star"), 1),
        ChoiceRow("q", None, "Which shines?", ("a stone", "a star"), 1),
        ChoiceRow("line 3", "It shines.", None, ("a stone", "a star"), 1),
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"candidates": None}, "E-ROWS-FIELD"),
        ({"candidates": "a stone"}, "E-ROWS-TYPE"),
        ({"candidates": ["a stone", 2]}, "E-ROWS-TYPE"),
        ({"candidates": ["a stone", " "]}, "E-ROWS-BLANK"),
        ({"candidates": []}, "E-CHOICE-FEW"),
        ({"candidates": ["a stone"], "answer_index": 0}, "E-CHOICE-FEW"),
        ({"answer_index": None}, "E-ROWS-FIELD"),
        ({"answer_index": True}, "E-ROWS-TYPE"),
        ({"answer_index": "1"}, "E-ROWS-TYPE"),
        ({"answer_index": 2}, "E-CHOICE-INDEX"),
        ({"answer_index": -1}, "E-CHOICE-INDEX"),
        ({"question": ""}, "E-ROWS-BLANK"),
        ({"context": 3}, "E-ROWS-TYPE"),
        ({"context": "It", "activity_label": ["a"]}, "E-ROWS-TYPE"),
    ],
)
def test_bad_rows_are_told(changes: dict[str, Any], code: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        parsed(tmp_path / "rows", GOOD, {**GOOD, **changes})
    assert caught.value.code == code
    assert caught.value.parameters["line"] == 2


@pytest.mark.parametrize(
    ("row", "prompt", "prior", "lead"),
    [
        (ROWS[0], "Question: What is the capital of France?\nAnswer:", "Answer:", " "),
        (
            ROWS[2],
            "Ann led the walk. Bob came late.\nQuestion: did Bob lead the walk?\nAnswer:",
            "Answer:",
            " ",
        ),
        (ROWS[3], "The man turned on the tap, therefore", "", " "),
        (ROWS[4], "", None, ""),
        (ROWS[5], "安走在前面，鲍勃迟到了。\n问题：谁走在前面？\n答案：", "答案：", ""),
        (ChoiceRow("", "他拿起伞，", None, ("走了", "睡了"), 0), "他拿起伞，", "", ""),
    ],
)
def test_prompts(row: ChoiceRow, prompt: str, prior: str | None, lead: str) -> None:
    continuations = tuple(lead + candidate for candidate in row.candidates)
    assert row.asked() == (prompt, continuations)
    assert row.unasked() == (None if prior is None else (prior, continuations))


def hellaswag(label: str, ctx_a: str, ctx_b: str) -> str:
    """The harness's `process_docs`, for the query."""
    text = (label + ": " + ctx_a + " " + ctx_b.capitalize()).strip().replace(" [title]", ". ")
    return re.sub("\\[.*?\\]", "", text).replace("  ", " ")


@pytest.mark.parametrize(
    ("label", "ctx_a", "ctx_b"),
    [
        ("Roof shingle removal", "A man is sitting on a roof.", "he"),
        ("Tango", "A man comes. He dances!", "a woman in a NY shirt"),
        ("Violin", ".", "a girl dressed in white"),
        ("Karate", 'He says "now." (They go.)', "the man"),
        ("Baking", "What a cake? Yes.", "after"),
        ("Health", "How to sleep. Go to bed. Close the door.", ""),
        ("Youth", "How to win. Play", ""),
    ],
)
def test_hellaswag(label: str, ctx_a: str, ctx_b: str, tmp_path: Path) -> None:
    row = {**GOOD, "question": None, "context": f"{ctx_a} {ctx_b}".strip(), "activity_label": label}
    assert parsed(tmp_path / "rows", row)[0].asked()[0] == hellaswag(label, ctx_a, ctx_b)


def harness_pair(tokenizer: Tokenizer, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Where the harness parts prompt and continuation (0.4: `loglikelihood` and `_encode_pair`), written anew."""
    if context == "":
        prefix = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.end_id
        return [prefix], tokenizer.encode(continuation)
    while context[-1].isspace():
        context, continuation = context[:-1], context[-1] + continuation
    length = len(tokenizer.encode_prompt(context))
    whole = tokenizer.encode_prompt(context + continuation)
    return tokenizer.encode_prompt(context), whole[length:]


@pytest.fixture(scope="module")
def tokenizers(default_tokenizer) -> list[Tokenizer]:
    """The default one; byte-level BPE without BOS; SentencePiece, with BOS and a dummy space."""
    nameless = byte_level_metadata(train_byte_level(r" ?\S+|\s+"), "gpt-2")
    del nameless["tokenizer.ggml.bos_token_id"]
    spaced = sentence_piece_metadata(train_sentence_piece())
    return [default_tokenizer, Tokenizer.from_gguf(nameless), Tokenizer.from_gguf(spaced)]


def test_boundaries(tokenizers: list[Tokenizer]) -> None:
    texts = [row.asked() for row in ROWS] + [one for row in ROWS if (one := row.unasked())]
    texts += [("Trailing \n ", (" spaces", "x")), ("a  ", ("b",))]
    for tokenizer in tokenizers:
        for prompt, continuations in texts:
            before, found = encode(tokenizer, prompt, continuations)
            for tokens, continuation in zip(found, continuations, strict=True):
                assert (before, tokens) == harness_pair(tokenizer, prompt, continuation)


@pytest.mark.skipif("PUNA_DATA" not in os.environ, reason="PUNA_DATA names no folder of evaluation data")
@pytest.mark.parametrize(
    "name", ["arc_challenge/test", "piqa/val", "hellaswag/val_a", "copa/val", "boolq/val", "c3/dev"]
)
def test_boundaries_of_real_rows(name: str, default_tokenizer) -> None:
    rows = read_rows(Path(os.environ["PUNA_DATA"], f"{name}.jsonl.gz"), choice_row)
    for row in random.Random(name).sample(rows, 60):
        prompt, continuations = row.asked()
        before, found = encode(default_tokenizer, prompt, continuations)
        wanted = [harness_pair(default_tokenizer, prompt, continuation) for continuation in continuations]
        assert [(before, tokens) for tokens in found] == wanted
        assert all(found)


def test_a_continuation_that_melts_into_the_prompt_stands_for_itself(default_tokenizer) -> None:
    assert len(default_tokenizer.encode("world")) == len(default_tokenizer.encode("wo")) == 1
    assert encode(default_tokenizer, "wo", ["rld"]) == (
        default_tokenizer.encode("wo"),
        [default_tokenizer.encode("rld")],
    )


@torch.inference_mode()
def test_scores_are_transformers(default_fp32, default_hf, default_tokenizer) -> None:
    """One forward a candidate, and one for its prior, there."""

    def wanted(prompt: str, continuation: str) -> float:
        context, tokens = harness_pair(default_tokenizer, prompt, continuation)
        logits = default_hf(torch.tensor([context + tokens])).logits[0].double().log_softmax(-1)
        rows = range(len(context) - 1, len(context) + len(tokens) - 1)
        return sum(float(logits[row, token]) for row, token in zip(rows, tokens, strict=True))

    done = list(choose(Reader(default_fp32, default_tokenizer, "default"), ROWS))
    assert [one.row for one in done] == ROWS
    for one in done:
        prompt, continuations = one.row.asked()
        assert one.log_probabilities == pytest.approx([wanted(prompt, text) for text in continuations], abs=1e-3)
        assert one.tokens == tuple(len(harness_pair(default_tokenizer, prompt, text)[1]) for text in continuations)
        unasked = one.row.unasked()
        if unasked:
            assert one.priors == pytest.approx([wanted(unasked[0], text) for text in continuations], abs=1e-3)
        else:
            assert one.priors is None
    assert best(done[0].log_probabilities) == 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return puna.load(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))


def test_default_model_chooses_the_same_in_any_company(default_bf16, default_tokenizer) -> None:
    reader = Reader(default_bf16, default_tokenizer, "default")
    together = {one.row.id: one for one in choose(reader, ROWS)}
    for one in choose(reader, [*ROWS[5:], *ROWS[:2]]):
        assert one == together[one.row.id]
    for row in ROWS[2:4]:
        assert list(choose(reader, [row])) == [together[row.id]]


def test_many_rows_in_order_with_reports(tiny: Reader) -> None:
    rows = [ChoiceRow(str(n), None, f"Who is {n}?", (f"walker {n}", "nobody"), n % 2) for n in range(150)]
    reports: list[float] = []
    done = list(choose(tiny, rows, report=reports.append))
    assert [one.row for one in done] == rows
    assert reports == sorted(reports)
    assert reports[-1] == 150
    without = list(choose(tiny, rows, priors=False))
    assert [one.priors for one in without] == [None] * 150
    assert summarise_choices(without, 1.0).accuracy_prior_corrected is None
    for a, b in zip(done, without, strict=True):
        assert a.log_probabilities == pytest.approx(b.log_probabilities, abs=1e-3)


def test_rows_too_long_for_the_model_are_wrong(tiny: Reader) -> None:
    """The tiny model has room for 1024 bytes, of which the last is not read."""
    frame = len("Question: \nAnswer:")
    rows = [ChoiceRow(str(n), None, "x" * (n - frame), ("ab", "c"), 0) for n in (1021, 1022, 1023)]
    done = list(choose(tiny, rows))
    assert [len(one.log_probabilities) for one in done] == [2, 2, 0]
    found = summarise_choices(done, 2.0)
    assert (found.n, found.failed) == (3, 1)
    assert found.accuracy <= 2 / 3
    assert found.accuracy_prior_corrected is not None
    assert summarise_choices(done[2:], 1.0).accuracy == 0


def test_metrics() -> None:
    row = ChoiceRow("", None, "?", ("a", "bb", "好"), 0)
    choices = [
        Choice(row, (-1.0, -3.0, -4.0), (-1.0, -4.0, -4.0), (1, 2, 4)),
        Choice(row, (-2.0, -2.0, -3.0), (-2.0, -9.0, -9.0), (1, 1, 1)),
        Choice(row, (-5.0, -4.0, -6.0), (-7.0, -1.0, -9.0), (5, 4, 5)),
    ]
    found = summarise_choices(choices, 1.5)
    assert (found.n, found.failed, found.questions_per_second) == (3, 0, 2)
    assert found.accuracy == pytest.approx(2 / 3)  # the first of two equals in the second row
    assert found.accuracy_per_byte == pytest.approx(1 / 3)  # -1 -1.5 -1.33, -2 -1 -1, -5 -2 -2
    assert found.accuracy_per_token == 1  # -1 -1.5 -1, -2 -2 -3, -1 -1 -1.2
    assert found.accuracy_prior_corrected == 0  # 0 1 0, 0 7 6, 2 -3 3


def test_gzip_and_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps({**GOOD, "id": str(n)}) for n in range(30)).encode()))
    assert [row.id for row in read_rows(path, choice_row)] == [str(n) for n in range(30)]

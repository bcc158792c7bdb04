"""Hiding parts of what was read, against one dense forward of Transformers under an explicit mask."""

import random

import pytest
import torch

from puna.answer.reader import Reader
from puna.llama.model import Llama
from puna.rank.hide import score_hiding
from puna.rank.score import read, score
from puna.rank.shelf import Shelf
from puna.tokens.tokenizer import Tokenizer
from tests.oracle.tiny import SHAPES, Pair, make_pair

END = 3


def forced(pair: Pair, prefix: list[int], tail: list[int], candidate: list[int], hidden: tuple[int, int]) -> float:
    """One chain; from the tail on no row sees the hidden keys."""
    tokens = [*prefix, *tail, *candidate, END]
    seen = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
    seen[len(prefix) :, hidden[0] : hidden[1]] = False
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    logits = pair.hf(torch.tensor([tokens]), attention_mask=mask[None, None]).logits[0].double().log_softmax(-1)
    behind = len(prefix) + len(tail)
    return float(sum(logits[place - 1, tokens[place]] for place in range(behind, len(tokens))))


def ranges(rng: random.Random, length: int, count: int) -> list[tuple[int, int]]:
    """Random ranges, empty ones and the whole among them."""
    found = [(0, 0), (0, length), (length, length)]
    return found + [tuple(sorted(rng.choices(range(length + 1), k=2))) for _ in range(count)]


def few_letters(rng: random.Random, count: int) -> list[list[int]]:
    return [[4 + rng.randrange(4) for _ in range(rng.randint(1, 7))] for _ in range(count)]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_a_dense_forward_under_a_mask(shape: str) -> None:
    pair, rng = make_pair(SHAPES[shape]), random.Random(shape)
    prefix, tail = ([rng.randrange(97) for _ in range(size)] for size in (31, rng.randint(1, 9)))
    candidates, hidden = few_letters(rng, 4), ranges(rng, len(prefix), 3)
    found = score_hiding(read(pair.puna, prefix), tail, candidates, hidden, end=END)
    want = [[forced(pair, prefix, tail, candidate, part) for candidate in candidates] for part in hidden]
    torch.testing.assert_close(found.double(), torch.tensor(want, dtype=torch.double), atol=5e-5, rtol=1e-5)
    assert (found[1:] - found[0]).abs().max() > 0.01  # hiding does something here


@pytest.mark.parametrize("chunk", [1, 50, 512])
def test_more_variants_than_one_forward_holds(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puna.rank.hide.CHUNK", chunk)
    pair, rng = make_pair(), random.Random(chunk)
    prefix, tail = ([rng.randrange(97) for _ in range(size)] for size in (60, 8))
    candidates, hidden = few_letters(rng, 4), ranges(rng, len(prefix), 40)
    found = score_hiding(read(pair.puna, prefix), tail, candidates, hidden, end=END)
    for at in rng.sample(range(len(hidden)), 4):
        want = [forced(pair, prefix, tail, candidate, hidden[at]) for candidate in candidates]
        assert found[at].tolist() == pytest.approx(want, abs=5e-5)


def test_hiding_nothing_gives_the_scores_themselves() -> None:
    """Also that of a candidate without a token, the end alone."""
    pair, rng = make_pair(), random.Random(4)
    prefix, tail = ([rng.randrange(97) for _ in range(size)] for size in (80, 11))
    candidates = [*few_letters(rng, 8), []]
    found = score_hiding(read(pair.puna, prefix), tail, candidates, [(0, 0), (7, 7)], end=END)
    want = [float(each.sum()) for each in score(read(pair.puna, prefix + tail), candidates, end=END)]
    for row in found:
        assert row.tolist() == pytest.approx(want, abs=5e-5)


def test_the_reading_stays_as_it_was() -> None:
    puna, tokens = make_pair().puna, list(range(10, 50))
    shelf = Shelf(puna)
    before = score(shelf.read(tokens, [30]), [[4, 5]], end=END)[0]
    reading = shelf.read(tokens, [30]).until(30)
    score_hiding(reading, tokens[30:], [[4, 5], [6]], [(3, 9)] * 100, end=END)
    assert reading.cache.length == 30
    assert torch.equal(score(shelf.read(tokens, [30]), [[4, 5]], end=END)[0], before)


def test_no_range_gives_no_row() -> None:
    assert score_hiding(read(make_pair().puna, [5, 6]), [7], [[4], [8]], [], end=END).shape == (0, 2)


def test_an_outlived_reading_raises() -> None:
    shelf = Shelf(make_pair().puna)
    old = shelf.read(list(range(10, 30)))
    shelf.read(list(range(20, 40)))
    with pytest.raises(RuntimeError):
        score_hiding(old, [5], [[4]], [(0, 3)], end=END)


CARRIED = [
    (
        "Who designed the lighthouse?",
        "The lighthouse stands on a rock in the bay. It was designed by Ingrid Solberg. Ships pass it every day. "
        "The paint is white and red.",
        "Ingrid Solberg",
    ),
    (
        "When was the school opened?",
        "The school lies in the old town. Its roof was repaired twice. The school was opened in 1952. "
        "About three hundred pupils go there.",
        "1952",
    ),
    ("这座桥是谁设计的？", "这座桥很长。它由李春设计。每天有很多人走过这座桥。桥下有一条河。", "李春"),
    ("学校是哪一年建成的？", "学校在老城区。学校建成于1952年。那里有三百多名学生。屋顶修过两次。", "1952年"),
]


@pytest.fixture(scope="module")
def reader(default_bf16: Llama, default_tokenizer: Tokenizer) -> Reader:
    return Reader(default_bf16, default_tokenizer, "SmolLM2")


@pytest.mark.parametrize(("question", "text", "answer"), CARRIED, ids=["lighthouse", "school", "桥", "学校"])
def test_the_sentence_with_the_answer_carries_it(reader: Reader, question: str, text: str, answer: str) -> None:
    found = reader.ask(question, text, [answer], why=True).answers[0]
    assert found.why
    assert answer in found.why[0].sentence.text
    assert found.why[0].loss > 1
    assert [support.loss for support in found.why] == sorted((s.loss for s in found.why), reverse=True)
    assert found.evidence[0].loss == found.why[0].loss


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        (
            "Who designed the lighthouse?",
            "Ingrid Solberg likes to eat fish. The weather is mild in May. "
            "The lighthouse was designed by Ingrid Solberg. The paint is white.",
            "Ingrid Solberg",
        ),
        ("这座桥是谁设计的？", "李春喜欢吃鱼。五月天气很好。这座桥由李春设计。油漆是白色的。", "李春"),
    ],
    ids=["English", "Chinese"],
)
def test_places_are_ordered_by_what_they_carry(reader: Reader, question: str, text: str, answer: str) -> None:
    """The answer stands first in a sentence that has nothing to do with the question."""
    plain = reader.ask(question, text, [answer]).answers[0].evidence
    assert [place.start for place in plain] == [text.index(answer), text.rindex(answer)]
    assert {place.loss for place in plain} == {None}
    places = reader.ask(question, text, [answer], why=True).answers[0].evidence
    assert [place.start for place in places] == [text.rindex(answer), text.index(answer)]
    assert places[0].loss > places[1].loss

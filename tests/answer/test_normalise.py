"""Each normalisation against its formula, and what the switch does to a ranking."""

import math
import random

import pytest

from puna.answer.inquiry import _TOLERANCE
from puna.answer.normalise import COMPARED, NORMALISATIONS, normalised
from puna.answer.prompt import Prompts, wording_for
from puna.answer.reader import Reader
from puna.llama.model import Llama
from puna.rank.score import read, score
from puna.tokens.tokenizer import Tokenizer

TEXT = "The walk was led by Ann. It took three hours and forty minutes and ended in Bergen."
QUESTION = "How long did it take?"
ANSWERS = ["three hours and forty minutes", "three hours", "forty", "Ann", "Bergen"]


def random_scores(seed: int) -> tuple[dict[str, float], dict[str, int]]:
    rng = random.Random(seed)
    texts = {"".join(rng.choices("ab 山é😀", k=rng.randint(1, 12))) for _ in range(rng.randint(1, 9))}
    return {text: -rng.expovariate(0.1) for text in texts}, {text: rng.randint(1, 20) for text in texts}


def nothing(_):
    raise AssertionError("asked for what is not needed")


@pytest.mark.parametrize("seed", range(20))
def test_formulas(seed: int) -> None:
    scores, tokens = random_scores(seed)
    rng, count = random.Random(seed), len(scores)
    assert normalised(scores, "sum", tokens, nothing) == scores
    mean = normalised(scores, "mean", tokens, nothing)
    byte = normalised(scores, "byte", tokens, nothing)
    for text, value in scores.items():
        assert mean[text] == pytest.approx(value / tokens[text] * sum(tokens.values()) / count)
        size = sum(len(each.encode("utf-8")) for each in scores) / count
        assert byte[text] == pytest.approx(value / len(text.encode("utf-8")) * size)
    alone = {text: -rng.expovariate(0.1) for text in [*scores, "another"]}
    prior = normalised(scores, "prior", tokens, lambda texts: {text: alone[text] for text in texts})
    assert prior == {text: pytest.approx(value - alone[text]) for text, value in scores.items()}


def test_equal_lengths_are_left_alone() -> None:
    scores = {"ab": -1.0, "cd": -2.5, "ef": -7.0}
    for how in ("mean", "byte"):
        assert normalised(scores, how, dict.fromkeys(scores, 4), nothing) == pytest.approx(scores)


@pytest.fixture(scope="module")
def reader(default_bf16: Llama, default_tokenizer: Tokenizer) -> Reader:
    return Reader(default_bf16, default_tokenizer, "SmolLM2")


@pytest.mark.parametrize("how", NORMALISATIONS)
def test_candidates_by_formula(reader: Reader, how: str) -> None:
    """From the log-probabilities that `sum` gives, and for the prior from scoring behind the question alone."""
    refusal = wording_for(QUESTION).refusal
    plain = reader.ask(QUESTION, TEXT, ANSWERS)
    prompts = Prompts(reader.tokenizer, wording_for(QUESTION), QUESTION)
    scores = {answer.text: answer.log_probability for answer in plain}
    # The refusal's score, from the odds between it and an answer.
    first = plain.answers[0]
    scores[refusal] = first.log_probability + math.log(plain.no_answer_probability / first.probability)
    tokens = dict(zip(scores, prompts.answers(scores), strict=True))
    alone = score(read(reader.model, prompts.alone()), list(tokens.values()), end=prompts.end)
    counted = {
        "sum": scores,
        "mean": {t: v / (len(tokens[t]) + 1) for t, v in scores.items()},
        "byte": {t: v / len(t.encode()) for t, v in scores.items()},
        "prior": {t: v - float(p.sum()) for (t, v), p in zip(scores.items(), alone, strict=True)},
    }[how]
    if how in ("mean", "byte"):
        sizes = [len(ids) + 1 for ids in tokens.values()] if how == "mean" else [len(t.encode()) for t in scores]
        counted = {t: v * sum(sizes) / len(sizes) for t, v in counted.items()}
    whole = math.fsum(map(math.exp, counted.values()))
    found = reader.ask(QUESTION, TEXT, ANSWERS, normalise=how)
    assert {a.text: a.probability for a in found} == pytest.approx(
        {t: math.exp(v) / whole for t, v in counted.items() if t != refusal}, rel=1e-3
    )
    assert found.no_answer_probability == pytest.approx(math.exp(counted[refusal]) / whole, rel=1e-3)
    assert {a.text: a.log_probability for a in found} == {a.text: a.log_probability for a in plain}


def test_the_mean_favours_long_answers(reader: Reader) -> None:
    """Of two answers, one a beginning of the other, the longer gains on the shorter."""
    long, short = ANSWERS[:2]
    ratio = {}
    for how in ("sum", "mean", "byte"):
        found = {a.text: a.probability for a in reader.ask(QUESTION, TEXT, [long, short], normalise=how)}
        ratio[how] = found[long] / found[short]
    assert ratio["mean"] > ratio["sum"]
    assert ratio["byte"] > ratio["sum"]


@pytest.mark.parametrize("how", ["sum", "prior"])
def test_spans_are_ranked_by_what_counts(reader: Reader, how: str) -> None:
    """Candidates named one by one rank as the same spans do when they are searched for."""
    found = reader.ask(QUESTION, TEXT, normalise=how, group=False, top=COMPARED)
    values = [answer.probability for answer in found]
    assert values == sorted(values, reverse=True)
    assert sum(values) + found.no_answer_probability <= 1 + 1e-6
    judged = reader.ask(QUESTION, TEXT, [a.text for a in found], normalise=how, top=COMPARED)
    assert [a.text for a in judged] == [a.text for a in found]
    if how != "sum":  # what counts is the same then
        assert judged.no_answer_probability == pytest.approx(found.no_answer_probability, rel=1e-2)


@pytest.mark.parametrize("how", ["sum", "byte"])
def test_the_refusal_may_be_a_candidate(reader: Reader, how: str) -> None:
    found = reader.ask(QUESTION, TEXT, ["three hours", "not in the text"], normalise=how)
    assert {a.text for a in found} == {"three hours", "not in the text"}
    same = {a.text: a.probability for a in found}["not in the text"]
    assert same == pytest.approx(found.no_answer_probability, rel=1e-4)


@pytest.mark.parametrize("how", ["sum", "byte"])
def test_how_many_are_asked_for_hardly_moves_a_probability(reader: Reader, how: str) -> None:
    """Not by more than the share that the search may leave unvisited."""
    text = f"{TEXT} The next walk will be led by Bob Lee on 3 May. Nobody knows how long that one will take."
    few, many = (reader.ask(QUESTION, text, normalise=how, top=top, group=False) for top in (1, 40))
    known = {answer.text: answer.probability for answer in many}
    share = _TOLERANCE if how == "sum" else 1e-9
    assert few.answers[0].probability == pytest.approx(known[few.answers[0].text], rel=share)
    assert few.no_answer_probability == pytest.approx(many.no_answer_probability, rel=share)
    if how != "sum":
        assert len(many) == COMPARED

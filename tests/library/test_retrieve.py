"""Which passages are read for a question, and how probable each is beforehand."""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from puna.library.retrieve import FUSED_TEMPERATURE, SPREAD, TEMPERATURE, fit, fused, priors, retrieve
from puna.library.segment import query_terms
from puna.library.store import open_store
from puna.library.types import Document, Hit, Passage, Store


def hit(passage: int, score: float = 1.0) -> Hit:
    return Hit(passage, passage % 3, passage, passage + 5, score)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "library", create=True)
    yield opened
    opened.close()


def put(store: Store, path: str, text: str, vector: list[float] | None = None) -> None:
    passage = Passage(0, len(text), text)
    store.put(path, "ab" * 32, len(text), Document(text), [passage], None if vector is None else [vector])


@pytest.mark.parametrize("seed", range(10))
def test_fusion_is_the_sum_of_reciprocal_ranks(seed: int) -> None:
    rng = random.Random(seed)
    rankings = [[hit(n, rng.random()) for n in rng.sample(range(30), rng.randint(0, 20))] for _ in range(3)]
    want = {
        n: sum(1 / (61 + [h.passage for h in each].index(n)) for each in rankings if n in [h.passage for h in each])
        for n in {h.passage for each in rankings for h in each}
    }
    found = fused(rankings)
    assert {each.passage: each.score for each in found} == pytest.approx(want)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all((h.document, h.start, h.end) == (h.passage % 3, h.passage, h.passage + 5) for h in found)


@pytest.mark.parametrize("seed", range(10))
def test_priors_are_a_softmax_of_shares(seed: int) -> None:
    rng = random.Random(seed)
    scores = sorted((rng.uniform(0.1, 30) for _ in range(rng.randint(1, 20))), reverse=True)
    temperature = rng.uniform(0.02, 2)
    found = priors(scores, temperature)
    assert math.fsum(found) == pytest.approx(1)
    plain = [chance - SPREAD / len(scores) for chance in found]
    assert math.fsum(plain) == pytest.approx(1 - SPREAD)
    for one, other, p, q in zip(scores, scores[1:], plain, plain[1:], strict=False):
        assert p / math.exp((one - other) / scores[0] / temperature) == pytest.approx(q, abs=1e-12)
    assert priors([7 * score for score in scores], temperature) == pytest.approx(found)


def test_priors_of_little() -> None:
    assert priors([], 1) == []
    assert priors([3.0], 0.01) == [1.0]
    assert priors([0.0, 0.0], 0.01) == [0.5, 0.5]
    assert priors([-1.0, -2.0, -3.0, -4.0], 0.01) == [0.25] * 4


@pytest.mark.parametrize("temperature", [0.03, 0.09, 0.5])
def test_fitting_finds_the_likeliest_temperature(temperature: float) -> None:
    """Near the one that rows were drawn with, and no worse than any on a grid."""
    rng = random.Random(4)
    rows = []
    for _ in range(3000):
        scores = sorted((rng.uniform(1, 20) for _ in range(15)), reverse=True)
        weights = [math.exp(score / scores[0] / temperature) for score in scores]
        rows.append((scores, rng.choices(range(15), weights)[0]))
    found, scores_of = fit(rows), [scores for scores, _ in rows]

    def likelihood(at: float) -> float:
        chances = (np.exp((scores - scores[0]) / scores[0] / at) for scores in map(np.array, scores_of))
        return math.fsum(math.log(each[right] / each.sum()) for each, (_, right) in zip(chances, rows, strict=True))

    assert found == pytest.approx(temperature, rel=0.15)
    best = likelihood(found)
    assert all(likelihood(temperature * 1.1**step) <= best + 1e-6 for step in range(-8, 9))


def test_the_best_passages_by_words_with_their_priors(store: Store) -> None:
    put(store, "a", "The walk was led by Ann. The walk was long.")
    put(store, "b", "The bridge is red.")
    put(store, "c", "Nobody led a walk to the bridge.")
    for n in range(20):
        put(store, f"filler {n}", f"Something else stands here, number {n}.")
    found = retrieve(store, "Who led the walk?", 3)
    hits = store.search(query_terms("Who led the walk?"), 3)
    assert [each.hit for each in found] == hits
    assert [each.prior for each in found] == priors([h.score for h in hits], TEMPERATURE)
    assert store.held(found[0].hit.document).path == "a"
    assert retrieve(store, "Who led the walk?", 1)[0].prior == 1
    assert [each.prior for each in retrieve(store, "Who led the walk?", 3, temperature=1e9)] == pytest.approx(
        [1 / 2] * 2
    )
    assert retrieve(store, "Zebra?", 3) == []
    assert retrieve(store, "?!", 3) == []


def test_chinese_is_found(store: Store) -> None:
    put(store, "山", "珠穆朗玛峰是世界上最高的山峰，海拔8848米。")
    put(store, "桥", "大桥于1937年5月通车。")
    for n in range(5):
        put(store, f"{n}", f"第{n}周没有别的记录。")
    assert store.held(retrieve(store, "世界上最高的山峰是什么？", 2)[0].hit.document).path == "山"
    assert store.held(retrieve(store, "大桥什么时候通车？", 2)[0].hit.document).path == "桥"


class Toward:
    """An embedder that sees one direction in every question."""

    name = "toward"

    def query(self, question: str) -> np.ndarray:
        return np.array([1.0, 0.0], np.float32)


def test_words_and_vectors_together(store: Store) -> None:
    """What only one of the two finds comes behind what both find."""
    put(store, "both", "The walk was led by Ann.", [1.0, 0.0])
    put(store, "words", "A walk is a walk.", [-1.0, 0.0])
    put(store, "sense", "She guided the hike.", [0.9, 0.1])
    put(store, "neither", "Boil the potatoes.", [-1.0, -0.2])
    found = retrieve(store, "Who led the walk?", 3, embedder=Toward())
    assert store.held(found[0].hit.document).path == "both"
    assert found[0].hit.score == pytest.approx(2 / 61)
    want = fused([store.search(query_terms("Who led the walk?"), 100), store.near([1.0, 0.0], 100)])[:3]
    assert [each.hit for each in found] == want
    assert [each.prior for each in found] == priors([h.score for h in want], FUSED_TEMPERATURE)

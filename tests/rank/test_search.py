"""The search against brute force: scoring every sequence."""

import math
import random

import pytest
import torch

from puna.rank.score import Reading, read, score
from puna.rank.search import search
from tests.oracle.tiny import make_pair

END = 3


def random_case(seed: int) -> tuple[Reading, list[list[int]]]:
    """A tiny model and all sub-sequences of a short random text, as spans are; many share beginnings."""
    rng = random.Random(seed)
    reading = read(make_pair(seed=seed % 7).puna, [rng.randrange(97) for _ in range(rng.randint(1, 20))])
    text = [4 + rng.randrange(rng.choice((3, 60))) for _ in range(rng.randint(1, 40))]
    found = {tuple(text[i:j]) for i in range(len(text)) for j in range(i + 1, min(len(text), i + 9) + 1)}
    return reading, [list(s) for s in sorted(found, key=lambda _: rng.random())]


@pytest.mark.parametrize("seed", range(60))
def test_equals_brute_force(seed: int) -> None:
    reading, sequences = random_case(seed)
    every = torch.stack([s.sum() for s in score(reading, sequences, end=END)])
    top = random.Random(seed).choice((1, 3, 10))
    found = search(reading, sequences, end=END, top=top, gap=1.0)
    want = every.sort(descending=True)
    assert [value for _, value in found.best] == pytest.approx(want.values[:top].tolist(), abs=1e-4)
    for index, value in found.best:
        assert float(every[index]) == pytest.approx(value, abs=1e-4)
    total = float(every.exp().sum())
    assert found.mass <= total + 1e-6
    assert total <= found.mass + found.unvisited + 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_runs_to_the_gap(seed: int) -> None:
    reading, sequences = random_case(seed)
    total = math.fsum(float(s.sum().exp()) for s in score(reading, sequences, end=END))
    found = search(reading, sequences, end=END, top=1, gap=0.0)
    assert found.unvisited == 0
    assert found.mass == pytest.approx(total, rel=1e-4)
    assert found.outside == pytest.approx(1 - total, abs=1e-4)


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_budget_bounds_the_work_and_says_what_is_missing(passes: int) -> None:
    reading, sequences = random_case(5)
    total = math.fsum(float(s.sum().exp()) for s in score(reading, sequences, end=END))
    found = search(reading, sequences, end=END, top=5, gap=0.0, max_passes=passes)
    assert found.passes <= passes
    assert found.mass <= total + 1e-6 <= found.mass + found.unvisited + 2e-6


def test_opens_no_more_than_it_must() -> None:
    """With one very likely sequence the rest is not read: the reason for searching instead of scoring all."""
    reading, sequences = random_case(1)
    assert search(reading, sequences, end=END, top=1, gap=1.0).nodes < len(sequences) * 4

"""Candidates behind many tails at once: what `score` gives behind each alone, the same bits in any company."""

import random

import pytest
import torch

from puna.rank.branches import room, score_behind
from puna.rank.score import read, score
from tests.oracle.tiny import make_pair
from tests.rank.test_score import END, forced

CANDIDATES = [[4, 5], [4, 6, 7], [8]]


def tails_of(rng: random.Random, count: int, longest: int = 40) -> list[list[int]]:
    """Few tokens, so that tails share beginnings, and some are a part of others or equal."""
    return [[4 + rng.randrange(3) for _ in range(rng.randint(1, longest))] for _ in range(count)] + [
        [4],
        [4, 5],
        [4],
    ]


@pytest.mark.parametrize("past", [1, 30])
def test_equals_teacher_forcing(past: int) -> None:
    pair, rng = make_pair(), random.Random(past)
    prefix = [rng.randrange(97) for _ in range(past)]
    tails = tails_of(rng, 20)
    for tail, scores in zip(tails, score_behind(read(pair.puna, prefix), tails, CANDIDATES, end=END), strict=True):
        for candidate, got in zip(CANDIDATES, scores, strict=True):
            wanted = forced(pair, [*prefix, *tail], candidate, END)
            torch.testing.assert_close(got.double(), wanted, atol=2e-5, rtol=1e-5)


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_company_and_order_do_not_matter() -> None:
    pair, rng = make_pair(), random.Random(1)
    reading = read(pair.puna, [rng.randrange(97) for _ in range(30)])
    tails = tails_of(rng, 30)
    together = score_behind(reading, tails, CANDIDATES, end=END)
    order = rng.sample(range(len(tails)), len(tails))
    shuffled = score_behind(reading, [tails[n] for n in order], CANDIDATES, end=END)
    assert all(same(shuffled[place], together[n]) for place, n in enumerate(order))
    for n in range(0, len(tails), 5):
        assert same(score_behind(reading, [tails[n]], CANDIDATES, end=END)[0], together[n])
    assert reading.length == 30


@pytest.mark.parametrize("model", ["default_bf16", "default_torch"])
def test_company_does_not_matter_to_the_default_model(model: str, request: pytest.FixtureRequest) -> None:
    """By the kernels of this machine and by torch; near to what is read as a chain."""
    llama, rng = request.getfixturevalue(model), random.Random(2)
    words = [[rng.randrange(500, 9000) for _ in range(rng.randint(1, 5))] for _ in range(3)]
    head = [rng.randrange(500, 9000) for _ in range(20)]
    tails = [[rng.randrange(500, 9000) for _ in range(rng.randint(1, 70))] for _ in range(12)]
    reading = read(llama, head)
    assert room(reading, words) >= 70
    together = score_behind(reading, tails, words, end=END)
    for n in rng.sample(range(12), 4):
        alone = score_behind(reading, [tails[n]], words, end=END)[0]
        assert same(alone, together[n])
        chained = score(read(llama, [*head, *tails[n]]), words, end=END)
        for one, other in zip(alone, chained, strict=True):
            torch.testing.assert_close(one, other, atol=0.5, rtol=0)


def test_room() -> None:
    reading = read(make_pair().puna, [1])
    assert room(reading, CANDIDATES) == 128 - 5
    assert room(reading, [[n, *range(4, 60)] for n in range(4, 8)]) < 1

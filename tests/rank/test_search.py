"""The search against brute force: scoring every sequence."""

import math
import random

import pytest

from puna.rank.score import Reading, read, score
from puna.rank.search import Search
from tests.oracle.tiny import make_pair

END = 3


def random_case(seed: int) -> tuple[Reading, list[list[int]]]:
    """A tiny model and all sub-sequences of a short random text, as spans are; many share beginnings."""
    rng = random.Random(seed)
    reading = read(make_pair(seed=seed % 7).puna, [rng.randrange(97) for _ in range(rng.randint(1, 20))])
    text = [4 + rng.randrange(rng.choice((3, 60))) for _ in range(rng.randint(1, 40))]
    found = {tuple(text[i:j]) for i in range(len(text)) for j in range(i + 1, min(len(text), i + 9) + 1)}
    return reading, [list(s) for s in sorted(found, key=lambda _: rng.random())]


def scored(reading: Reading, sequences: list[list[int]]) -> list[float]:
    return [float(s.sum()) for s in score(reading, sequences, end=END)]


@pytest.mark.parametrize("seed", range(300))
def test_equals_brute_force(seed: int) -> None:
    reading, sequences = random_case(seed)
    every = scored(reading, sequences)
    top = random.Random(seed).choice((1, 3, 10))
    found = Search(reading, sequences, end=END).run(top)
    assert found.proves(top)
    want = sorted(every, reverse=True)
    assert [value for _, value in found.complete[:top]] == pytest.approx(want[:top], abs=1e-4)
    known = dict(found.complete)
    for index, value in enumerate(every):
        if index in known:
            assert known[index] == pytest.approx(value, abs=1e-4)
        else:
            assert value <= found.bound + 1e-4
    total = math.fsum(math.exp(v) for v in every)
    assert found.mass <= total + 1e-6
    assert total <= found.mass + found.unvisited + 1e-6


@pytest.mark.parametrize("seed", range(60))
def test_with_weights_it_equals_brute_force(seed: int) -> None:
    reading, sequences = random_case(seed)
    rng = random.Random(seed)
    weights = [-rng.choice((0.0, 1.0, 8.0)) * rng.random() for _ in sequences]
    every = [value + weight for value, weight in zip(scored(reading, sequences), weights, strict=True)]
    top = rng.choice((1, 3, 10))
    search = Search(reading, sequences, end=END, weights=[*weights, 0.0])
    found = search.run(top)
    assert found.proves(top)
    assert [value for _, value in found.complete[:top]] == pytest.approx(
        sorted(every, reverse=True)[:top], abs=1e-4
    )
    known = dict(found.complete)
    assert all(value <= found.bound + 1e-4 for index, value in enumerate(every) if index not in known)
    total = math.fsum(map(math.exp, every))
    assert found.mass <= total + 1e-6
    assert total <= found.mass + found.unvisited + 1e-6
    plain = math.fsum(map(math.exp, scored(reading, sequences)))
    assert found.outside <= 1 - plain + 1e-6
    assert search.run(1, tolerance=0.0).outside == pytest.approx(1 - plain, abs=1e-4)


def test_the_sequence_aside_has_a_weight_of_its_own() -> None:
    reading, sequences = random_case(3)
    weights = [0.0] * len(sequences)
    found = [
        Search(reading, sequences, end=END, aside=[95, 96], weights=[*weights, weight]).run(3)
        for weight in (0.0, -2.5)
    ]
    assert found[1].aside == pytest.approx(found[0].aside - 2.5)
    assert found[1].complete == found[0].complete


@pytest.mark.parametrize("seed", range(12))
def test_runs_to_the_tolerance_and_to_the_floor(seed: int) -> None:
    reading, sequences = random_case(seed)
    every = scored(reading, sequences)
    total = math.fsum(math.exp(v) for v in every)
    search = Search(reading, sequences, end=END)
    floor = sorted(every)[len(every) // 2]
    assert search.run(1, floor=floor).bound <= floor
    found = search.run(1, tolerance=0.2)
    assert found.unvisited <= 0.2 * found.mass
    found = search.run(1, tolerance=0.0)
    assert found.unvisited == 0
    assert found.mass == pytest.approx(total, rel=1e-4)
    assert found.outside == pytest.approx(1 - total, abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_running_on_equals_running_at_once(seed: int) -> None:
    reading, sequences = random_case(seed)
    search = Search(reading, sequences, end=END)
    for top in (1, 2, 5):
        found = search.run(top)
    assert found.complete[:5] == Search(reading, sequences, end=END).run(5).complete[:5]


@pytest.mark.parametrize("budget", [0, 1, 7, 128, 300])
def test_budget_bounds_the_work_and_says_what_is_missing(budget: int) -> None:
    reading, sequences = random_case(5)
    every = scored(reading, sequences)
    total = math.fsum(math.exp(v) for v in every)
    found = Search(reading, sequences, end=END).run(5, tolerance=0.0, max_nodes=budget)
    assert found.nodes <= budget
    assert found.mass <= total + 1e-6 <= found.mass + found.unvisited + 2e-6
    left_out = max(
        (value for index, value in enumerate(every) if index not in dict(found.complete)), default=-math.inf
    )
    assert left_out <= found.bound + 1e-4


def test_stopped_at_once_it_claims_nothing() -> None:
    reading, sequences = random_case(5)
    found = Search(reading, sequences, end=END).run(1, stop=lambda: True)
    assert (found.complete, found.bound, found.mass, found.unvisited) == ([], 0.0, 0.0, 1.0)
    assert not found.proves(1)


def test_stopped_later_it_keeps_what_it_has() -> None:
    reading, sequences = random_case(5)
    calls = iter([False, False, True])
    search = Search(reading, sequences, end=END)
    found = search.run(len(sequences), stop=lambda: next(calls))
    assert found.passes == 1
    assert search.run(len(sequences)).proves(len(sequences))


@pytest.mark.parametrize("seed", range(30))
def test_a_sequence_aside_is_scored_and_changes_nothing(seed: int) -> None:
    """New ones, one of the sequences itself, a beginning of one, one that goes on from one."""
    reading, sequences = random_case(seed)
    rng = random.Random(seed)
    some = rng.choice(sequences)
    aside = rng.choice(([95, 96, 95], some, some[: len(some) // 2 + 1], [*some, 96]))
    found = Search(reading, sequences, end=END, aside=aside).run(3)
    alone = Search(reading, sequences, end=END).run(3)
    assert found.aside == pytest.approx(scored(reading, [aside])[0], abs=1e-4)
    assert found.complete[:3] == alone.complete[:3]
    assert found.mass + found.unvisited <= 1 + 1e-6


def test_opens_no_more_than_it_must() -> None:
    """With one very likely sequence the rest is not read: the reason for searching instead of scoring all."""
    reading, sequences = random_case(1)
    assert Search(reading, sequences, end=END).run(1).nodes < len(sequences) * 4

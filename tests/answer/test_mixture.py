"""The mixture over windows is Bayes' rule."""

import math
import random
from fractions import Fraction

import pytest

from puna.answer.mixture import Window, holding, log_sum, mix
from puna.errors import ModelFileError


def window(answers: dict[str, float], refusal: float) -> Window:
    logs = {key: math.log(value) for key, value in answers.items()}
    return Window(logs, log_sum(list(logs.values())), math.log(refusal), 1)


def test_one_window_is_renormalised() -> None:
    found, nothing = mix([window({"a": 0.2, "b": 0.1}, 0.1)])
    assert found == pytest.approx({"a": 0.5, "b": 0.25})
    assert nothing == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(20))
def test_equals_bayes_by_hand(seed: int) -> None:
    rng = random.Random(seed)
    raw = [({k: rng.random() for k in rng.sample("abcde", 3)}, rng.random()) for _ in range(rng.randint(1, 6))]
    found, nothing = mix([window(*pair) for pair in raw])
    prior = 1 / len(raw)
    weights = {k: sum(prior * p.get(k, 0) / r for p, r in raw) for k in "abcde"}
    whole = 1 + sum(weights.values())
    assert nothing == pytest.approx(1 / whole)
    assert found == pytest.approx({k: w / whole for k, w in weights.items() if w})
    assert math.fsum([*found.values(), nothing]) == pytest.approx(1)


def test_absurd_scores_stay_probabilities() -> None:
    """Damaged weights give scores of 1e36, where the sum of all is rounded to less than its parts."""
    rng = random.Random(3)
    for _ in range(200):
        scores = {key: rng.uniform(-1, 1) * 10 ** rng.uniform(0, 38) for key in "abcde"}
        total = log_sum([*scores.values()]) * (1 - 1e-6 * rng.random())
        found, nothing = mix([Window(scores, total, rng.uniform(-1, 1) * 10 ** rng.uniform(0, 38), 1)])
        assert all(0 <= value <= 1 for value in [*found.values(), nothing])


@pytest.mark.parametrize("place", ["candidates", "total", "refusal"])
def test_scores_that_are_no_numbers_are_refused(place: str) -> None:
    good = {"candidates": {"a": -1.0}, "total": -0.5, "refusal": -2.0, "length": 1}
    mix([Window(**good)])
    bad = (
        {**good, "candidates": {"a": math.nan}, "total": math.nan}
        if place == "candidates"
        else {**good, place: math.nan}
    )
    with pytest.raises(ModelFileError) as caught:
        mix([Window(**good), Window(**bad)])
    assert caught.value.code == "E-MODEL-NUMBERS"


def test_empty_windows_do_not_outvote_the_one_that_knows() -> None:
    windows = [window({"right": 0.99}, 0.0001)] + [window({"x": 0.0001}, 0.9)] * 9
    found, nothing = mix(windows)
    assert max(found, key=lambda k: found[k]) == "right"
    assert nothing < 0.01


def test_extreme_log_probabilities_do_not_overflow() -> None:
    found, nothing = mix([Window({"a": -3000.0}, -3000.0, -10.0, 1), Window({"a": -10.0}, -10.0, -3000.0, 1)])
    assert found["a"] == pytest.approx(1)
    assert nothing == pytest.approx(0)
    assert log_sum([]) == -math.inf


def pairs(rng: random.Random, count: int) -> list[tuple[dict[str, float], float, float]]:
    """Windows as (probabilities of the answers in them, of the refusal, the prior)."""
    return [
        ({k: rng.random() for k in rng.sample("abcde", rng.randint(1, 5))}, rng.random(), rng.random() ** 3)
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_weights_equal_every_pair_of_window_and_answer(seed: int) -> None:
    """Each (window, answer) is a hypothesis of its own beside "none"; weighed exactly, then summed."""
    raw = pairs(random.Random(seed), 1 + seed % 7)
    whole = sum(Fraction(prior) for _, _, prior in raw)
    mass = {
        (w, key): Fraction(prior) / whole * Fraction(p) / Fraction(refusal)
        for w, (answers, refusal, prior) in enumerate(raw)
        for key, p in answers.items()
    }
    everything = 1 + sum(mass.values())
    windows, weights = [window(answers, refusal) for answers, refusal, _ in raw], [prior for _, _, prior in raw]
    found, nothing = mix(windows, weights)
    for key in {key for _, key in mass}:
        want = sum(value for (_, each), value in mass.items() if each == key) / everything
        assert found[key] == pytest.approx(float(want), rel=1e-12)
    assert nothing == pytest.approx(float(1 / everything), rel=1e-12)
    held = holding(windows, weights)
    for w, value in enumerate(held):
        want = sum(each for (order, _), each in mass.items() if order == w) / everything
        assert value == pytest.approx(float(want), rel=1e-12)
    assert math.fsum([*held, nothing]) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_it_is_a_mixture_over_windows(seed: int) -> None:
    """P(answer) = Σ P(window holds it) P(answer | it does): what each window says among its own answers."""
    raw = pairs(random.Random(seed), 5)
    windows, weights = [window(answers, refusal) for answers, refusal, _ in raw], [prior for _, _, prior in raw]
    found, held = mix(windows, weights)[0], holding(windows, weights)
    for key, value in found.items():
        parts = (h * a.get(key, 0) / sum(a.values()) for h, (a, _, _) in zip(held, raw, strict=True))
        assert value == pytest.approx(math.fsum(parts))


@pytest.mark.parametrize("seed", range(5))
def test_equal_weights_are_no_weights(seed: int) -> None:
    windows = [window(answers, refusal) for answers, refusal, _ in pairs(random.Random(seed), 7)]
    assert mix(windows, [1.0] * 7) == mix(windows)
    for weight in (0.1, 3.0, 1e-300):
        found, nothing = mix(windows, [weight] * 7)
        assert found == pytest.approx(mix(windows)[0])
        assert nothing == pytest.approx(mix(windows)[1])


@pytest.mark.parametrize("seed", range(5))
def test_a_part_that_stands_twice_is_one_with_both_weights(seed: int) -> None:
    raw = pairs(random.Random(seed), 4)
    windows = [window(answers, refusal) for answers, refusal, _ in raw]
    one = mix([*windows, windows[0]], [0.2, 0.1, 0.4, 0.1, 0.2])
    other = mix(windows, [0.4, 0.1, 0.4, 0.1])
    assert one[0] == pytest.approx(other[0])
    assert one[1] == pytest.approx(other[1])


@pytest.mark.parametrize("seed", range(5))
def test_order_changes_no_bit(seed: int) -> None:
    rng = random.Random(seed)
    raw = pairs(rng, 9)
    windows, weights = [window(answers, refusal) for answers, refusal, _ in raw], [prior for _, _, prior in raw]
    order = rng.sample(range(9), 9)
    moved = [windows[n] for n in order], [weights[n] for n in order]
    assert mix(*moved) == mix(windows, weights)
    assert holding(*moved) == [holding(windows, weights)[n] for n in order]


def test_a_window_of_little_weight_hardly_counts() -> None:
    raw = pairs(random.Random(1), 4)
    windows = [window(answers, refusal) for answers, refusal, _ in raw]
    before, nothing = mix(windows, [0.4, 0.3, 0.2, 0.1])
    noise = window({"noise": 0.4, "a": 0.1}, 0.1)
    found, without = mix([*windows, noise], [0.4, 0.3, 0.2, 0.1, 1e-6])
    assert found.pop("noise") < 1e-5
    assert found == pytest.approx(before, abs=1e-5)
    assert without == pytest.approx(nothing, abs=1e-5)

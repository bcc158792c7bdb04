"""The mixture over windows is Bayes' rule."""

import math
import random

import pytest

from puna.answer.mixture import Window, log_sum, mix
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

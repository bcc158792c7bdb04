"""The mixture over windows is Bayes' rule."""

import math
import random

import pytest

from puna.answer.mixture import Window, log_sum, mix


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

"""The fit: its likelihood is that of the mixture itself, it is a maximum, it finds what made the data."""

import math
import random
from dataclasses import asdict, replace

import pytest
import torch

from puna.answer.calibration import KEPT, LOW, Calibration, Coefficients
from puna.answer.mixture import Window, log_sum, mix
from puna.evaluate.calibrate import outcome
from puna.evaluate.fit import _RIDGE, Example, _Padded, first_right, fit
from puna.evaluate.reliability import calibration_error

START = Coefficients(a=1.0, b0=-2.0, d1=1.0)


def random_window(rng: random.Random, answers: int | None = None) -> Window:
    count = rng.randint(0, KEPT) if answers is None else answers
    scores = {f"a{n}": -rng.expovariate(0.3) for n in rng.sample(range(2 * KEPT), count)}
    total = log_sum([*scores.values(), -1 - rng.expovariate(0.3)])
    return Window(scores, total, -rng.expovariate(0.3), rng.randint(1, 9))


def random_example(rng: random.Random) -> Example:
    windows = tuple(random_window(rng) for _ in range(rng.randint(1, 3)))
    texts = sorted({text for window in windows for text in window.candidates})
    right = frozenset(rng.sample(texts, min(len(texts), rng.randint(0, 3))))
    none = rng.random() < 0.3
    return Example(windows, frozenset() if none else right, none)


def likelihood(example: Example, coefficients: Coefficients) -> float:
    """Log-probability of what is true, from what `ask` would print."""
    calibration = Calibration("m", "sum", 1, coefficients, (), {})
    chances, nothing = mix([calibration.apply(window) for window in example.windows])
    if example.unanswerable:
        return math.log(nothing)
    raw, _ = mix(example.windows)
    first = sorted(example.right, key=lambda text: -raw[text])[:1]
    return math.log(chances[first[0]] if first else 1 - nothing - math.fsum(chances.values()))


def objective(examples: list[Example], coefficients: Coefficients) -> float:
    away = sum((value - asdict(START)[name]) ** 2 for name, value in asdict(coefficients).items())
    return -math.fsum(likelihood(each, coefficients) for each in examples) / len(examples) + _RIDGE * away


@pytest.mark.parametrize("seed", range(20))
def test_the_likelihood_is_that_of_the_mixture(seed: int) -> None:
    rng = random.Random(seed)
    examples = [random_example(rng) for _ in range(12)]
    a, a0, b0 = rng.uniform(0.1, 2), rng.uniform(0, 2), rng.uniform(-4, 1)
    coefficients = Coefficients(a, a0, b0, *(rng.uniform(-1, 1) for _ in range(6)))
    values = torch.tensor([*asdict(coefficients).values()], dtype=torch.float64)
    found = _Padded(examples).log_likelihood(values).tolist()
    assert found == pytest.approx([likelihood(each, coefficients) for each in examples], abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_no_coefficients_nearby_are_better(seed: int) -> None:
    rng = random.Random(seed)
    examples = [random_example(rng) for _ in range(80)]
    fitted = fit(examples)
    best = objective(examples, fitted)
    for name, value in asdict(fitted).items():
        for step in (-0.05, 0.05):
            if name != "a0" or value + step >= 0:
                assert objective(examples, replace(fitted, **{name: value + step})) > best
    for _ in range(30):
        moved = {name: value + rng.gauss(0, 0.05) for name, value in asdict(fitted).items()}
        moved["a0"] = max(moved["a0"], 0.0)
        assert objective(examples, replace(fitted, **moved)) > best - 1e-9


def test_the_first_right_answer_is_that_of_the_ranking_over_all_windows() -> None:
    one, two = {"a": -1.0, "b": -1.1, "c": -0.5}, {"b": -1.1, "d": -2.0}
    windows = tuple(Window(scores, log_sum([*scores.values()]), -1.0, 2) for scores in (one, two))
    assert first_right(Example(windows, frozenset("abd"), False)) == "b"
    assert first_right(Example(windows, frozenset("x"), False)) is None


TRUTH = Coefficients(a=0.6, a0=0.6, b0=-1.0, b1=0.3, b2=0.1, d0=0.9, d1=0.4, d2=-0.3, d3=-0.05)


def simulated(rng: random.Random, rows: int) -> list[Example]:
    """Questions whose truth is drawn from the calibrated probabilities themselves."""
    calibration, found = Calibration("m", "sum", 1, TRUTH, (), {}), []
    for _ in range(rows):
        windows = tuple(random_window(rng, rng.randint(1, 6)) for _ in range(rng.choice((1, 1, 2))))
        chances, nothing = mix([calibration.apply(window) for window in windows])
        texts = list(chances)
        drawn = rng.choices(
            [*texts, "none", "another"], [*chances.values(), nothing, 1 - nothing - sum(chances.values())]
        )
        right = frozenset(drawn) & frozenset(texts)
        found.append(Example(windows, right, drawn == ["none"]))
    return found


def test_finds_what_made_the_data_and_is_honest_about_more_of_it() -> None:
    rng = random.Random(6)
    fitted = fit(simulated(rng, 8000))
    assert asdict(fitted) == pytest.approx(asdict(TRUTH), abs=0.25)
    assert fitted.a == pytest.approx(TRUTH.a, abs=0.1)
    held = simulated(rng, 3000)
    errors = []
    for calibration in (Calibration("m", "sum", 1, fitted, (), {}), None):
        outcomes = [outcome(example, calibration) for example in held]
        errors.append(calibration_error([o.probability for o in outcomes], [o.right for o in outcomes]))
        errors.append(
            calibration_error([o.no_answer_probability for o in outcomes], [o.unanswerable for o in outcomes])
        )
    calibrated, calibrated_none, raw, raw_none = errors
    assert calibrated < 0.04
    assert calibrated_none < 0.04
    assert raw > 0.07
    assert raw_none > 0.07


def rows(rng: random.Random, count: int = 30) -> list[Example]:
    return [random_example(rng) for _ in range(count)]


def every_window(examples: list[Example], **changes) -> list[Example]:
    return [replace(e, windows=tuple(replace(w, **changes) for w in e.windows)) for e in examples]


DEGENERATE = {
    "no unanswerable row": lambda rng: [replace(e, unanswerable=False) for e in rows(rng)],
    "nothing right": lambda rng: [replace(e, right=frozenset(), unanswerable=False) for e in rows(rng)],
    "all unanswerable": lambda rng: [replace(e, right=frozenset(), unanswerable=True) for e in rows(rng)],
    "all right": lambda rng: [
        Example((w := random_window(rng, 5),), frozenset([max(w.candidates, key=w.candidates.get)]), False)
        for _ in range(30)
    ],
    "the worst is right": lambda rng: [
        Example((w := random_window(rng, 9),), frozenset([min(w.candidates, key=w.candidates.get)]), False)
        for _ in range(30)
    ],
    "a window without candidates": lambda rng: [
        *rows(rng),
        Example((Window({}, -math.inf, -2.0, 0),), frozenset(), True),
    ],
    "no candidates at all": lambda rng: every_window(
        [replace(e, right=frozenset()) for e in rows(rng)], candidates={}, total=-math.inf, length=0
    ),
    "nothing is probable": lambda rng: every_window(rows(rng), total=-math.inf, refusal=-math.inf),
    "answers of probability 0": lambda rng: [
        Example((Window({"a": -math.inf, "b": -2.0}, -2.0, -1.0, 3),), frozenset("a"), False) for _ in range(30)
    ],
    "the same row again and again": lambda rng: rows(rng, 1) * 30,
    "one row": lambda rng: rows(rng, 1),
    "scores far apart": lambda rng: [
        Example((Window({"a": -1e-9, "b": -5000.0}, -1e-9, -900.0, 3),), frozenset("b"), False) for _ in range(30)
    ],
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_rows_give_numbers_that_can_be_used(name: str) -> None:
    """Finite ones, with answers in their order, no worse than those it starts from."""
    examples = DEGENERATE[name](random.Random(2))
    fitted = fit(examples)
    assert all(map(math.isfinite, asdict(fitted).values()))
    assert fitted.a > 0
    assert fitted.a0 >= 0
    calibration = Calibration("m", "sum", 1, fitted, (), {})
    for example in examples:
        chances, nothing = mix([calibration.apply(window) for window in example.windows])
        assert math.fsum(chances.values()) + nothing <= 1 + 1e-9
        assert all(0 <= value <= 1 for value in (*chances.values(), nothing))
        found = outcome(example, calibration)
        assert 0 <= found.probability <= 1


def test_what_counts_as_nothing_is_the_same_for_fit_and_use() -> None:
    low = Example((Window({"a": -500.0, "b": -3.0}, -3.0, -700.0, 2),), frozenset("a"), False)
    floor = Example((Window({"a": LOW, "b": -3.0}, -3.0, LOW, 2),), frozenset("a"), False)
    assert likelihood(low, START) == pytest.approx(likelihood(floor, START))
    assert asdict(fit([low])) == pytest.approx(asdict(fit([floor])))

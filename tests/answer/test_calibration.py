"""Calibrated windows, the threshold and the file."""

import json
import math
import os
import random
from pathlib import Path
from typing import Any

import pytest

from puna.answer.calibration import KEPT, LOW, Calibration, Coefficients, kept, load_calibration
from puna.answer.mixture import Window, log_sum, mix
from puna.errors import InputError


def random_window(rng: random.Random, answers: int | None = None) -> Window:
    count = rng.randint(0, 30) if answers is None else answers
    scores = {f"a{n}": -rng.expovariate(0.2) for n in range(count)}
    total = log_sum([*scores.values(), -rng.expovariate(0.2)]) if rng.random() < 0.9 else -math.inf
    return Window(scores, total, -rng.expovariate(0.2), rng.randint(0, 9))


def random_calibration(rng: random.Random) -> Calibration:
    numbers = Coefficients(rng.uniform(0.05, 3), rng.uniform(0, 2), *(rng.uniform(-2, 2) for _ in range(7)))
    return Calibration("m", "sum", 100, numbers, ((0.5, 1.0, 0.5),), {"ece": 0.1})


@pytest.mark.parametrize("seed", range(40))
def test_gives_a_distribution_by_its_formula(seed: int) -> None:
    """Over the KEPT best of each window, another span, and none; in exp, window by window."""
    rng = random.Random(seed)
    calibration = random_calibration(rng)
    windows = [random_window(rng) for _ in range(rng.randint(1, 4))]
    c, odds, others = calibration.coefficients, {}, 0.0
    for window in windows:
        known, length = max(window.total, LOW), window.length
        none = math.exp(c.d0 + c.d1 * window.refusal + c.d2 * known + c.d3 * length) * len(windows)
        others += math.exp(c.b0 + c.b1 * known + c.b2 * length) / none
        for text in sorted(window.candidates, key=lambda t: -window.candidates[t])[:KEPT]:
            own = c.a0 if window.candidates[text] == max(window.candidates.values()) else 0.0
            odds[text] = odds.get(text, 0.0) + math.exp(own + c.a * window.candidates[text]) / none
    whole = 1 + others + math.fsum(odds.values())
    found, nothing = mix([calibration.apply(window) for window in windows])
    assert found == pytest.approx({text: value / whole for text, value in odds.items()})
    assert nothing == pytest.approx(1 / whole)
    assert math.fsum(found.values()) + nothing <= 1 + 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_answers_keep_their_order(seed: int) -> None:
    rng = random.Random(seed)
    calibration, window = random_calibration(rng), random_window(rng, 30)
    found = calibration.apply(window).candidates
    assert len(found) == KEPT
    assert sorted(found, key=lambda t: -found[t]) == sorted(found, key=lambda t: -window.candidates[t])
    assert min(window.candidates[t] for t in found) >= sorted(window.candidates.values())[-KEPT]
    assert list(kept(window).candidates) == sorted(found, key=lambda t: -window.candidates[t])


def test_log_probabilities_of_nothing_stay_finite() -> None:
    window = Window({"a": -math.inf, "b": -3.0}, -math.inf, -math.inf, 0)
    found, nothing = mix([random_calibration(random.Random(1)).apply(window)])
    assert all(map(math.isfinite, (*found.values(), nothing)))
    assert found["b"] > found["a"]


def test_coefficients_left_alone_change_nothing() -> None:
    window = Window({"a": -1.0, "b": -3.0}, log_sum([-1.0, -3.0]), -2.0, 4)
    plain = Calibration("m", "sum", 1, Coefficients(), (), {})
    found, nothing = mix([plain.apply(window)])
    want, wanted = mix([window])
    assert found == pytest.approx(want)
    assert nothing == pytest.approx(wanted)


CURVE = ((0.9, 0.1, 0.08), (0.7, 0.3, 0.03), (0.6, 0.5, 0.1), (0.4, 0.8, 0.05), (0.2, 1.0, 0.3))


@pytest.mark.parametrize(
    ("error", "want"), [(0.03, 0.7), (0.04, 0.7), (0.05, 0.4), (0.08, 0.4), (0.29, 0.4), (0.3, 0.2), (0.99, 0.2)]
)
def test_threshold_is_the_least_probability_that_keeps_the_rate(error: float, want: float) -> None:
    """Errors need not rise as probabilities fall: answering more may be wrong less often."""
    assert Calibration("m", "sum", 9, Coefficients(), CURVE, {}).threshold(error) == want


def test_a_rate_that_no_threshold_keeps() -> None:
    with pytest.raises(InputError) as caught:
        Calibration("m", "sum", 77, Coefficients(), CURVE, {}).threshold(0.02)
    assert caught.value.code == "E-MAX-ERROR-UNREACHED"
    assert caught.value.parameters == {"wanted": "2.0%", "least": "3.0%", "rows": 77}


def test_another_model_is_refused() -> None:
    calibration = Calibration("one", "sum", 9, Coefficients(), CURVE, {})
    calibration.check("one")
    with pytest.raises(InputError) as caught:
        calibration.check("other")
    assert caught.value.code == "E-CALIBRATION-MODEL"


@pytest.mark.parametrize("seed", range(10))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    numbers = Coefficients(*(rng.uniform(0.001, 3) for _ in range(9)))
    curve = tuple((rng.random(), rng.random(), rng.random()) for _ in range(rng.randint(0, 5)))
    wanted = Calibration("模型 m", "prior", 300, numbers, curve, {"ece": rng.random(), "no_answer_auroc": None})
    path = tmp_path / "calib.json"
    path.write_text(wanted.to_json(), "utf-8")
    assert load_calibration(path) == wanted


GOOD = json.loads(Calibration("m", "sum", 9, Coefficients(b0=-2.0), ((0.5, 1.0, 0.5),), {"ece": 0.1}).to_json())


def changed(**values: Any) -> str:
    return json.dumps({**GOOD, **values})


def numbers(**values: Any) -> str:
    return changed(coefficients={**GOOD["coefficients"], **values})


BAD = {
    "empty": "",
    "no JSON": "calibration",
    "cut off": json.dumps(GOOD)[:-40],
    "null": "null",
    "a list": "[1]",
    "a number": "1",
    "brackets without end": "[" * 100_000,
    "a row of data": '{"context": "a", "question": "b", "answers": []}',
    "another format": changed(format=1),
    "no format": json.dumps({name: value for name, value in GOOD.items() if name != "format"}),
    "NaN": numbers(a=math.nan),
    "infinity": numbers(d0=-math.inf),
    "a number beyond all": json.dumps(GOOD).replace('"rows": 9', '"rows": 1e999'),
    "a coefficient beyond all": numbers(b1=10**400),
    "order turned round": numbers(a=-1.0),
    "order lost": numbers(a=0),
    "the best no longer the best": numbers(a0=-0.1),
    "text": numbers(a="much"),
    "null in numbers": numbers(d2=None),
    "one number missing": changed(coefficients={"a": 1.0, "b0": -2.0}),
    "one number more": numbers(e0=1.0),
    "coefficients are a list": changed(coefficients=[1.0] * 9),
    "curve of pairs": changed(curve=[[0.5, 1.0]]),
    "curve of text": changed(curve=["abc"]),
    "NaN in the curve": changed(curve=[[math.nan, 1.0, 0.5]]),
    "curve is null": changed(curve=None),
    "measured is a number": changed(measured=3),
    "a way to normalise that there is not": changed(normalise="x" * 70_000),
    "a list of ways": changed(normalise=[0] * 5_000),
}


@pytest.mark.parametrize("name", BAD)
def test_other_files_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "calib.json"
    path.write_text(BAD[name], "utf-8")
    with pytest.raises(InputError) as caught:
        load_calibration(path)
    assert caught.value.code == "E-CALIBRATION-FILE"
    assert str(path) in str(caught.value)


def test_every_field_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "calib.json"
    for name in GOOD:
        path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != name}))
        with pytest.raises(InputError):
            load_calibration(path)
    path.write_text(json.dumps(GOOD))
    assert load_calibration(path).rows == 9


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00GGUF")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    (tmp_path / "large").write_text(json.dumps({**GOOD, "measured": {"x" * 2**20: 1}}))
    (tmp_path / "deep").write_text(
        json.dumps({**GOOD, "measured": {"x": "DEEP"}}).replace('"DEEP"', "[" * 960 + "]" * 960)
    )
    cases = {"none": "E-FILE-MISSING", ".": "E-FILE-READ", "pipe": "E-FILE-READ"}
    cases |= dict.fromkeys(("binary", "large", "deep"), "E-CALIBRATION-FILE")
    for path, code in cases.items():
        with pytest.raises(InputError) as caught:
            load_calibration(tmp_path / path)
        assert caught.value.code == code

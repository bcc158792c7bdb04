"""What can be set, what is refused, and that it does what it says."""

from collections.abc import Callable
from typing import Any

import pytest

from puna.answer.calibration import KEPT, Calibration, Coefficients
from puna.answer.normalise import COMPARED, NORMALISATIONS
from puna.answer.settings import MAX_NODES, Settings
from puna.errors import InputError

CURVE = ((0.9, 0.2, 0.05), (0.5, 0.6, 0.2))


def calibration(**changes: Any) -> Calibration:
    given = {"model": "m", "normalise": "sum", "rows": 50, "coefficients": Coefficients(b0=-2.0), "curve": CURVE}
    return Calibration(**{**given, "measured": {}, **changes})


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Settings(top=0), "E-TOP"),
        (lambda: Settings(top=-3), "E-TOP"),
        (lambda: Settings(max_words=0), "E-SPAN-LENGTH"),
        (lambda: Settings(max_chars=0), "E-SPAN-LENGTH"),
        (lambda: Settings(max_nodes=0), "E-MAX-NODES"),
        (lambda: Settings(max_nodes=-1), "E-MAX-NODES"),
        (lambda: Settings(exact=True, max_nodes=100), "E-EXACT-BUDGET"),
        (lambda: Settings(normalise="median"), "E-NORMALISE"),
        (lambda: Settings(normalise=""), "E-NORMALISE"),
        (lambda: Settings(max_error=0.1), "E-MAX-ERROR-UNCALIBRATED"),
        (lambda: Settings(max_error=0.0, calibration=calibration()), "E-MAX-ERROR"),
        (lambda: Settings(max_error=1.0, calibration=calibration()), "E-MAX-ERROR"),
        (lambda: Settings(max_error=-0.1, calibration=calibration()), "E-MAX-ERROR"),
        (lambda: Settings(max_error=float("nan"), calibration=calibration()), "E-MAX-ERROR"),
        (lambda: Settings(max_error=0.04, calibration=calibration()), "E-MAX-ERROR-UNREACHED"),
        (lambda: Settings(max_error=0.5, calibration=calibration(curve=())), "E-MAX-ERROR-UNREACHED"),
        (lambda: Settings(normalise="mean", calibration=calibration()), "E-CALIBRATION-NORMALISE"),
        (lambda: Settings(calibration=calibration(normalise="prior")), "E-CALIBRATION-NORMALISE"),
        (lambda: Settings(max_error=0.1, calibration=calibration()).judging(), "E-MAX-ERROR-CANDIDATES"),
    ],
)
def test_what_is_refused(make: Callable[[], Settings], code: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.code == code


def test_the_message_names_the_option() -> None:
    for option, change in (("--max-words", {"max_words": 0}), ("--max-chars", {"max_chars": -1})):
        with pytest.raises(InputError, match=option):
            Settings(**change)


def test_budget() -> None:
    assert Settings().budget == MAX_NODES
    assert Settings(max_nodes=7).budget == 7
    assert Settings(exact=True).budget is None


def test_pool_does_not_depend_on_how_many_are_asked_for() -> None:
    for top in (1, 5, 500):
        assert Settings(top=top).pool is None
        assert Settings(top=top, calibration=calibration()).pool == KEPT
        for how in NORMALISATIONS[1:]:
            assert Settings(top=top, normalise=how).pool == COMPARED
            assert Settings(top=top, normalise=how, calibration=calibration(normalise=how)).pool == COMPARED
    assert KEPT <= COMPARED


def test_threshold_is_the_calibrations() -> None:
    fitted = calibration()
    assert Settings(calibration=fitted).threshold is None
    assert Settings(calibration=fitted, max_error=0.05).threshold == fitted.threshold(0.05) == 0.9
    assert Settings(calibration=fitted, max_error=0.3).threshold == 0.5


def test_candidates_are_neither_grouped_nor_calibrated() -> None:
    found = Settings(calibration=calibration(), top=3, normalise="sum").judging()
    assert (found.group, found.calibration, found.top) == (False, None, 3)

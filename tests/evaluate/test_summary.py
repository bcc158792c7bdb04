"""Metrics of a few observations, worked out by hand."""

import pytest

from puna.evaluate.observation import Observation, Ranked
from puna.evaluate.summary import summarise


def seen(
    gold: str, prediction: tuple[str, float, float], *answers: tuple[float, float, float], none: float, **more
):
    """Give an observation: prediction (text, em, f1); answers (probability, em, f1)."""
    ranked = tuple(Ranked("x", *answer) for answer in answers)
    golds = (gold,) if gold else ()
    return Observation("0", "0", "m", "Q?", golds, *prediction, ranked, none, **more)


def test_without_unanswerable_questions() -> None:
    found = summarise(
        [
            seen("Ann", ("x", 1.0, 1.0), (0.9, 1.0, 1.0), none=0.04, exact=True, nodes=10, passes=2, seconds=1.0),
            seen(
                "Bob", ("x", 0.0, 0.5), (0.6, 0.0, 0.5), (0.2, 0.0, 0.8), none=0.2, nodes=30, passes=4, seconds=2.0
            ),
            seen("Cyd", ("x", 0.0, 0.0), (0.3, 0.0, 0.0), (0.3, 1.0, 1.0), none=0.4, exact=True, passes=3),
            Observation("0", "0", "m", "Q?", ("Dan",), error="E-QUESTION-LONG"),
        ],
        refusing=False,
    )
    assert (found.n, found.failed) == (4, 1)
    assert (found.em, found.f1) == (25, pytest.approx(100 * 1.5 / 4))
    assert (found.top5_em, found.top5_f1) == (50, pytest.approx(100 * 2.8 / 4))
    assert found.has_answer_em is found.has_answer_f1 is found.no_answer_accuracy is found.no_answer_auroc is None
    # 0.9 of 0.96, 0.6 of 0.8, 0.3 of 0.6: what the first answers have of the probability that there is one
    assert found.ece == pytest.approx((0.0625 + 0.75 + 0.5) / 3)
    assert found.brier == pytest.approx((0.0625**2 + 0.75**2 + 0.5**2) / 3)
    assert found.aurc == pytest.approx((0 + 1 / 2 + 2 / 3) / 3)
    assert found.exact_share == 0.5
    assert (found.seconds_per_question, found.nodes_per_question, found.passes_per_question) == (0.75, 10, 2.25)


def test_with_unanswerable_questions() -> None:
    found = summarise(
        [
            seen("Ann", ("x", 1.0, 1.0), (0.5, 1.0, 1.0), none=0.2),
            seen("Bob", ("", 0.0, 0.0), (0.1, 0.0, 0.4), none=0.8),
            seen("", ("", 1.0, 1.0), (0.1, 0.0, 0.0), none=0.7),
            seen("", ("x", 0.0, 0.0), *[(0.11, 0.0, 0.0)] * 5, none=0.1),  # sixth entry
            seen("", ("x", 0.0, 0.0), *[(0.11, 0.0, 0.0)] * 4, (0.09, 0.0, 0.0), none=0.1),  # fifth
            seen(
                "Cyd", ("x", 0.0, 0.0), *[(0.11, 0.0, 0.0)] * 4, (0.09, 1.0, 1.0), none=0.1
            ),  # pushed to the sixth
        ],
        refusing=True,
    )
    assert found.em == found.f1 == pytest.approx(100 * 2 / 6)
    assert (found.top5_em, found.top5_f1) == (pytest.approx(100 * 3 / 6), pytest.approx(100 * 3.4 / 6))
    assert (found.has_answer_em, found.has_answer_f1) == (pytest.approx(100 / 3), pytest.approx(100 / 3))
    assert found.no_answer_accuracy == pytest.approx(100 / 3)
    # 0.7, 0.1, 0.1 against 0.2, 0.8, 0.1: of nine pairs two are won and two are ties
    assert found.no_answer_auroc == pytest.approx(3 / 9)


def test_nothing_could_be_asked() -> None:
    found = summarise([Observation("0", "0", "m", "Q?", (), error="E-TEXT-NO-WORDS")], refusing=True)
    assert (found.em, found.f1, found.top5_em, found.no_answer_accuracy, found.failed) == (0, 0, 0, 0, 1)
    assert found.ece is found.brier is found.aurc is found.has_answer_em is found.no_answer_auroc is None


def test_a_text_that_surely_holds_no_answer_in_a_set_where_all_do() -> None:
    found = summarise([seen("Ann", ("x", 1.0, 1.0), (0.0, 1.0, 1.0), none=1.0)], refusing=False)
    assert found.ece == found.brier == 1

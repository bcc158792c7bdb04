"""The measures against their definitions, written out over all rows, pairs, orders or bins."""

import itertools
import random

import pytest

from puna.evaluate.reliability import aurc, auroc, brier_score, calibration_error, risk_coverage


def cases(count: int, ties: bool = True):
    rng = random.Random(4)
    for _ in range(count):
        n = rng.randrange(1, 40)
        values = [rng.randrange(5) / 4 if ties and rng.random() < 0.5 else rng.random() for _ in range(n)]
        yield values, [rng.random() < 0.6 for _ in range(n)], rng


def test_calibration_error_against_bins_by_hand() -> None:
    for values, right, rng in cases(300, ties=False):
        bins, pairs = rng.randrange(1, 12), sorted(zip(values, right, strict=True))
        wanted, start = 0.0, 0
        for place in range(bins):
            size = len(pairs) // bins + (place < len(pairs) % bins)
            part = pairs[start : start + size]
            start += size
            if part:
                gap = sum(p for p, _ in part) / size - sum(r for _, r in part) / size
                wanted += abs(gap) * size / len(pairs)
        assert calibration_error(values, right, bins) == pytest.approx(wanted)


def test_calibration_error_of_ties() -> None:
    assert calibration_error([0.5] * 20, [True, False] * 10) == pytest.approx(0)
    assert calibration_error([0.5] * 20, [True] * 10 + [False] * 10) == pytest.approx(0)
    assert calibration_error([0.9] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.4)
    assert calibration_error([1.0], [False]) == 1


def test_brier_score() -> None:
    for values, right, _ in cases(100):
        wanted = sum((p - (1.0 if r else 0.0)) ** 2 for p, r in zip(values, right, strict=True)) / len(values)
        assert brier_score(values, right) == pytest.approx(wanted)


def test_auroc_against_all_pairs() -> None:
    for values, positive, _ in cases(300):
        scored = list(zip(values, positive, strict=True))
        pairs = [(a, b) for (a, yes), (b, no) in itertools.product(scored, scored) if yes and not no]
        if not pairs:
            assert auroc(values, positive) is None
            continue
        wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
        assert auroc(values, positive) == pytest.approx(wins / len(pairs))


def test_risk_coverage_against_thresholds() -> None:
    for values, right, _ in cases(300, ties=False):
        coverage, risk = risk_coverage(values, right)
        wanted = []
        for threshold in sorted(values, reverse=True):
            kept = [r for v, r in zip(values, right, strict=True) if v >= threshold]
            wanted.append((len(kept) / len(values), kept.count(False) / len(kept)))
        assert list(zip(coverage, risk, strict=True)) == [pytest.approx(point) for point in wanted]
        assert aurc(values, right) == pytest.approx(sum(r for _, r in wanted) / len(wanted))


def test_risk_of_ties_is_the_mean_over_their_orders() -> None:
    values, right = [0.7, 0.7, 0.7, 0.2], [True, False, False, True]
    curves = []
    for order in itertools.permutations(range(3)):
        wrong = [not right[i] for i in (*order, 3)]
        curves.append([sum(wrong[:k]) / k for k in range(1, 5)])
    wanted = [sum(curve[k] for curve in curves) / len(curves) for k in range(4)]
    assert list(risk_coverage(values, right)[1]) == pytest.approx(wanted)


def test_the_order_of_the_rows_does_not_matter() -> None:
    for values, right, rng in cases(100):
        order = rng.sample(range(len(values)), len(values))
        again = [values[i] for i in order], [right[i] for i in order]
        for measure in (calibration_error, brier_score, aurc):
            assert measure(*again) == pytest.approx(measure(values, right))
        assert auroc(*again) == pytest.approx(auroc(values, right))

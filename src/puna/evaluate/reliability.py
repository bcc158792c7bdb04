"""How far probabilities can be trusted, over one row or more. The order of the rows, ties included, does not matter."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Vector = NDArray[np.float64]


def calibration_error(probabilities: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: the mean distance between probability and share of right answers, 0 to 1.

    The rows, sorted by probability, are cut into `bins` of the same size but for one row (Nguyen & O'Connor 2015); rows
    of equal probability count with their mean. With few rows the value is biased upwards.
    """
    given, share = _sorted(probabilities, right)
    parts = zip(np.array_split(given, bins), np.array_split(share, bins), strict=True)
    return float(sum(abs(part.sum() - truth.sum()) for part, truth in parts) / given.size)


def brier_score(probabilities: ArrayLike, right: ArrayLike) -> float:
    """Mean square distance between probability and 1 for a right answer, 0 for a wrong one (Brier 1950)."""
    return float(np.mean((_vector(probabilities) - _vector(right)) ** 2))


def auroc(scores: ArrayLike, positive: ArrayLike) -> float | None:
    """Probability that a positive row scores higher than a negative one, ties counting half; None without both."""
    values, wanted = _vector(scores), _vector(positive) > 0
    pairs = int(wanted.sum()) * int((~wanted).sum())
    if not pairs:
        return None
    negative = np.sort(values[~wanted])
    below, up_to = (np.searchsorted(negative, values[wanted], side).sum() for side in ("left", "right"))
    return float(below + up_to) / (2 * pairs)


def risk_coverage(confidence: ArrayLike, right: ArrayLike) -> tuple[_Vector, _Vector]:
    """Coverage [n] and risk [n]: the share of wrong answers among the 1, 2, … n most confident ones.

    (El-Yaniv & Wiener 2010.) Rows of equal confidence count with their mean.
    """
    share = _sorted(confidence, right)[1][::-1]
    counts = np.arange(1, share.size + 1)
    return counts / share.size, 1 - np.cumsum(share) / counts


def aurc(confidence: ArrayLike, right: ArrayLike) -> float:
    """Area under the risk-coverage curve: its mean risk, 0 to 1 (Geifman et al. 2019)."""
    return float(np.mean(risk_coverage(confidence, right)[1]))


def _sorted(values: ArrayLike, right: ArrayLike) -> tuple[_Vector, _Vector]:
    """Give the values in rising order and the share of right ones among those that are equal to each."""
    _, place, counts = np.unique(_vector(values), return_inverse=True, return_counts=True)
    share = np.bincount(place, _vector(right)) / counts
    order = np.sort(place)
    return np.sort(_vector(values)), share[order]


def _vector(values: ArrayLike) -> _Vector:
    return np.asarray(values, np.float64)

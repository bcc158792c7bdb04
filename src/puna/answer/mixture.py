"""One distribution from many windows.

In a window the model's probabilities of the candidates and of the refusal, renormalised, say how the odds stand for
"this is the answer" against "the text holds none". Windows are hypotheses that exclude each other: the answer stands in
one of them, in w with a probability π_w beforehand (Σ π_w = 1; each as likely, for the windows of a text), or in none,
which is as likely beforehand as it is for one window alone, whatever their number. Bayes' rule then gives, with odds
o_w(c) = P_w(c) / P_w(refusal),

    P(c) = Σ_w π_w o_w(c) / Z,    P(no answer) = 1 / Z,    P(in w) = π_w Σ_c o_w(c) / Z,    Z = 1 + Σ_w π_w Σ_c o_w(c).

That is the mixture Σ_w P(w) P(c | w) with P(w) = P(in w), P(c | w) = o_w(c) / Σ_c o_w(c), and no answer as one more part.
A window whose π_w goes to 0 goes out of it, windows that hold the same words with π_1 and π_2 are one with π_1 + π_2, and
a candidate of several windows, be they of one document or of several, is one candidate. For one window this is just
P(c) / (P(refusal) + Σ P(c)).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from puna.errors import ModelFileError


@dataclass(frozen=True, slots=True)
class Window:
    """One window's scores (nats): of candidates by text, of everything it holds together, of the refusal.

    `length`: tokens of its best candidate, the end counted.
    """

    candidates: Mapping[str, float]
    total: float
    refusal: float
    length: int


def mix(windows: Sequence[Window], weights: Sequence[float] | None = None) -> tuple[dict[str, float], float]:
    """Give (probability of each candidate, probability of no answer); they sum to at most 1.

    weights: π_w, above 0, up to a common factor; None where all are as likely. The probabilities sum to less than 1 where
    a window found more (`total`) than the candidates that it names. Raises ModelFileError where the model's scores are no
    numbers.
    """
    priors = _log_priors(windows, weights)
    terms: dict[str, list[float]] = {}
    for window, prior in zip(windows, priors, strict=True):
        for key, value in window.candidates.items():
            terms.setdefault(key, []).append(value - window.refusal + prior)
    everything = _log_z(windows, priors)
    # At most 1, also where a damaged model's scores are so large that the sum of all is rounded to less than its parts.
    return {key: math.exp(min(log_sum(odds) - everything, 0.0)) for key, odds in terms.items()}, math.exp(
        -everything
    )


def holding(windows: Sequence[Window], weights: Sequence[float] | None = None) -> list[float]:
    """Give for each window the probability that the answer stands in it: P(in w); with that of no answer they sum to 1.

    Raises ModelFileError where the model's scores are no numbers.
    """
    priors = _log_priors(windows, weights)
    everything = _log_z(windows, priors)
    odds = [window.total - window.refusal + prior for window, prior in zip(windows, priors, strict=True)]
    return [math.exp(min(value - everything, 0.0)) for value in odds]


def _log_priors(windows: Sequence[Window], weights: Sequence[float] | None) -> list[float]:
    weights = weights or [1.0] * len(windows)
    whole = math.log(math.fsum(weights))
    return [math.log(weight) - whole for weight in weights]


def _log_z(windows: Sequence[Window], priors: Sequence[float]) -> float:
    """log Z."""
    totals = [window.total - window.refusal + prior for window, prior in zip(windows, priors, strict=True)]
    found = log_sum([0.0, *totals])  # log 1: the hypothesis that there is no answer
    if math.isnan(found):
        raise ModelFileError("E-MODEL-NUMBERS")
    return found


def log_sum(values: Sequence[float]) -> float:
    """log Σ exp."""
    top = max(values, default=-math.inf)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(v - top) for v in values))


def log(value: float) -> float:
    """Natural logarithm, -inf for 0."""
    return math.log(value) if value > 0 else -math.inf

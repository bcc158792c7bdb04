"""One distribution from many windows.

In a window the model's probabilities of the candidates and of the refusal, renormalised, say how the odds stand for
"this is the answer" against "the text holds none". Windows are hypotheses that exclude each other: the answer stands in
one of them, each as likely beforehand, or in none. Bayes' rule then gives, with odds o_w(c) = P_w(c) / P_w(refusal),

    P(c) = mean_w o_w(c) / (1 + mean_w Σ_c o_w(c)),    P(no answer) = 1 / (1 + mean_w Σ_c o_w(c)).

For one window this is just P(c) / (P(refusal) + Σ P(c)).
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


def mix(windows: Sequence[Window]) -> tuple[dict[str, float], float]:
    """Give (probability of each candidate, probability of no answer); they sum to at most 1.

    They sum to less than 1 where a window found more (`total`) than the candidates that it names. Raises ModelFileError
    where the model's scores are no numbers.
    """
    count = math.log(len(windows))
    terms: dict[str, list[float]] = {}
    for window in windows:
        for key, value in window.candidates.items():
            terms.setdefault(key, []).append(value - window.refusal - count)
    totals = [window.total - window.refusal - count for window in windows]
    everything = log_sum([0.0, *totals])  # log 1: the hypothesis that there is no answer
    if math.isnan(everything):
        raise ModelFileError("E-MODEL-NUMBERS")
    # At most 1, also where a damaged model's scores are so large that the sum of all is rounded to less than its parts.
    return {key: math.exp(min(log_sum(odds) - everything, 0.0)) for key, odds in terms.items()}, math.exp(
        -everything
    )


def log_sum(values: Sequence[float]) -> float:
    """log Σ exp."""
    top = max(values, default=-math.inf)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(v - top) for v in values))


def log(value: float) -> float:
    """Natural logarithm, -inf for 0."""
    return math.log(value) if value > 0 else -math.inf

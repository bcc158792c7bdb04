"""Fitting a calibration: maximum likelihood of what turned out true, over the mixture that `ask` itself computes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from puna.answer.calibration import LOW, Coefficients
from puna.answer.mixture import Window, mix

_RIDGE = 1e-3  # keeps coefficients that the rows say nothing about near those that it starts from
_NAMES = [field.name for field in fields(Coefficients)]


@dataclass(frozen=True, slots=True)
class Example:
    """A question's windows, uncalibrated; which of its answers are right; whether it has none."""

    windows: tuple[Window, ...]
    right: frozenset[str]
    unanswerable: bool


def fit(examples: Sequence[Example]) -> Coefficients:
    """Fit the coefficients on one example or more.

    For an example the likelihood is that of the first right answer having been found, of another span, or of no answer.
    The problem is convex for examples of one window; ten or twenty Newton-like steps (L-BFGS) do it.
    """
    data = _Padded(examples)
    values = _fitted(data, torch.ones(len(_NAMES), dtype=torch.bool))
    if values[1] < 0:  # answers keep their order
        values = _fitted(data, torch.tensor([name != "a0" for name in _NAMES]))
    numbers = values.tolist()
    numbers[0] = max(numbers[0], 1e-3)
    return Coefficients(**dict(zip(_NAMES, numbers, strict=True)))


def _fitted(data: "_Padded", free: Tensor) -> Tensor:
    """Give the likeliest coefficients; those that are not free stay where they start."""
    start = torch.tensor([1.0, 0.0, -2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    moved = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.LBFGS([moved], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = -data.log_likelihood(start + free * moved).mean() + _RIDGE * moved.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return (start + free * moved).detach()


def first_right(example: Example) -> str | None:
    """Give the right answer that the uncalibrated ranking has first, None where it has none."""
    bounded = [replace(w, total=max(w.total, LOW), refusal=max(w.refusal, LOW)) for w in example.windows]
    chances, _ = mix(bounded)
    right = [text for text in chances if text in example.right]
    return max(right, key=lambda text: chances[text], default=None)


class _Padded:
    """Examples as tensors: R rows, W windows, C answers, padded with -inf."""

    def __init__(self, examples: Sequence[Example]) -> None:
        windows = max(len(example.windows) for example in examples)
        answers = max(1, *(len(window.candidates) for example in examples for window in example.windows))
        self.scores = torch.full((len(examples), windows, answers), -math.inf, dtype=torch.float64)
        self.right = torch.zeros(self.scores.shape, dtype=torch.bool)
        self.features = torch.zeros(len(examples), windows, 3, dtype=torch.float64)  # total, refusal, length
        self.exists = torch.zeros(len(examples), windows, dtype=torch.bool)
        self.none = torch.tensor([example.unanswerable for example in examples])
        for row, example in enumerate(examples):
            right = first_right(example)
            for place, window in enumerate(example.windows):
                count = len(window.candidates)
                scores = torch.tensor(list(window.candidates.values()), dtype=torch.float64)
                self.scores[row, place, :count] = scores.clamp(min=LOW)
                self.right[row, place, :count] = torch.tensor([text == right for text in window.candidates])
                features = max(window.total, LOW), max(window.refusal, LOW), window.length
                self.features[row, place] = torch.tensor(features, dtype=torch.float64)
                self.exists[row, place] = True
        self.best = self.scores == self.scores.max(-1, keepdim=True).values

    def log_likelihood(self, values: Tensor) -> Tensor:
        """Log-probability [R] of what is true of each row."""
        a, a0, b0, b1, b2, d0, d1, d2, d3 = values.unbind()
        total, refusal, length = self.features.unbind(-1)
        none = d0 + d1 * refusal + d2 * total + d3 * length + self.exists.sum(1, keepdim=True).log()
        found = _times(a, self.scores) + a0 * self.best - none[..., None]
        other = (b0 + b1 * total + b2 * length - none).masked_fill(~self.exists, -math.inf)
        correct = _log_sum(found.masked_fill(~self.right, -math.inf).flatten(1))
        elsewhere = _log_sum(other)
        everything = torch.logaddexp(
            torch.logaddexp(_log_sum(found.flatten(1)), elsewhere), torch.zeros(len(found))
        )
        answered = torch.where(self.right.any(-1).any(-1), correct, elsewhere)
        return torch.where(self.none, 0.0, answered) - everything


def _times(factor: Tensor, scores: Tensor) -> Tensor:
    """Multiply; padding stays -inf and has no gradient."""
    padding = scores.isinf()
    return (factor * scores.masked_fill(padding, 0.0)).masked_fill(padding, -math.inf)


def _log_sum(values: Tensor) -> Tensor:
    """log Σ exp over the last dimension; -inf, without a gradient, where there is nothing."""
    empty = values.isinf().all(-1, keepdim=True)
    return values.masked_fill(empty, 0.0).logsumexp(-1).masked_fill(empty[..., 0], -math.inf)

"""What two engines do with logits."""

from collections.abc import Sequence

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Give log-probabilities along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


def totals(first: np.ndarray, logs: np.ndarray, candidates: Sequence[Sequence[int]], end: int) -> list[float]:
    """Add up each candidate's log-probabilities: its first token's in `first`, the others' and `end` in its rows."""
    found, start = [], 0
    for candidate in candidates:
        rows = range(start, start + len(candidate))
        found.append(float(first[candidate[0]] + logs[rows, [*candidate[1:], end]].sum()))
        start += len(candidate)
    return found

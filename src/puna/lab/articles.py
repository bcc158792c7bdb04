"""What the two source articles on "Llama's innovations: RoPE, RMSNorm and GQA" describe under these names, as written.

None of it is what Llama computes, but for `rms_normalise`; that is in `puna.llama`. Slips of the articles are corrected,
and said where they were.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_Item = TypeVar("_Item")


def random_positions(n: int, seed: int) -> NDArray[np.int64]:
    """Draw r_1 … r_n, each uniform over 1 … n: "random position encoding" as the article writes it.

    Draws are with replacement, so this is no permutation, as the article calls it: of n items about n/e do not occur,
    others occur more than once. `permuted_positions` is the permutation.
    """
    return np.random.default_rng(seed).integers(1, n + 1, n)


def permuted_positions(n: int, seed: int) -> NDArray[np.int64]:
    """Draw a permutation of 1 … n, all of them equally probable."""
    return np.random.default_rng(seed).permutation(n) + 1


def rearranged(items: Sequence[_Item], positions: Sequence[int] | NDArray[np.int64]) -> list[_Item]:
    """Give the item at position r_1, then that at r_2, and so on; positions count from 1.

    Raises ValueError for a position where no item is.
    """
    if any(not 1 <= position <= len(items) for position in positions):
        raise ValueError(f"positions must be 1 to {len(items)}")
    return [items[int(position) - 1] for position in positions]


def rotation_encoding(x: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Turn item i (from 0) of n by the angle 2πi/n in each of the planes (0, 1), (2, 3), … of its d dimensions.

    x [n, d], d even. Unlike in rotary position embedding all planes turn equally fast, and the angle depends on n: the
    same two neighbours stand at another angle in a longer sequence. Their product depends on (i − j) mod n only, so the
    last item is as near to the first as the second is.
    """
    n, d = x.shape
    if d % 2:
        raise ValueError(f"{d} dimensions have no planes to turn in: give an even number")
    angles = 2 * math.pi * np.arange(n) / n
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    a, b = x[:, 0::2], x[:, 1::2]
    return np.stack((a * cos - b * sin, b * cos + a * sin), axis=-1).reshape(n, d).astype(np.float64)


@overload
def standardise(x: Tensor, axis: int = -1, eps: float = 0.0) -> Tensor: ...
@overload
def standardise(x: NDArray[np.floating[Any]], axis: int = -1, eps: float = 0.0) -> NDArray[np.floating[Any]]: ...
def standardise(x: Any, axis: int = -1, eps: float = 0.0) -> Any:
    """(x − μ) / sqrt(σ² + eps) over an axis: the first article's "RMSNorm", which is standardisation.

    σ² is the mean squared distance from the mean (÷ n, not n − 1), for arrays and tensors alike. {1, 2, 3, 4} becomes
    {−1.342, −0.447, 0.447, 1.342}; the article's numbers for it are others. Equal values have σ = 0: with eps = 0 they
    become NaN.
    """
    if isinstance(x, Tensor):
        away = x - x.mean(axis, keepdim=True)
        return away * torch.rsqrt(away.square().mean(axis, keepdim=True) + eps)
    away = x - x.mean(axis, keepdims=True)
    with np.errstate(invalid="ignore"):
        return away / np.sqrt(np.square(away).mean(axis, keepdims=True) + eps)


@overload
def rms_normalise(x: Tensor, axis: int = -1, eps: float = 1e-6) -> Tensor: ...
@overload
def rms_normalise(x: NDArray[np.floating[Any]], axis: int = -1, eps: float = 1e-6) -> NDArray[np.floating[Any]]: ...
def rms_normalise(x: Any, axis: int = -1, eps: float = 1e-6) -> Any:
    """x / sqrt(mean(x²) + eps) over an axis: the second article's RMSNorm, Llama's without the learned gain.

    Zhang & Sennrich 2019. The mean is not taken off, so a shift of all values changes what comes out.
    """
    if isinstance(x, Tensor):
        return x * torch.rsqrt(x.square().mean(axis, keepdim=True) + eps)
    return x / np.sqrt(np.square(x).mean(axis, keepdims=True) + eps)


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate and s(a)."""

    name: str
    score: float


TextModel = Callable[[str, str], NDArray[np.floating[Any]]]  # M_T: (text, candidate) → a vector [d]


def score_candidates(
    question: NDArray[np.floating[Any]], text: str, candidates: Sequence[str], model: TextModel
) -> list[Scored]:
    """Score s(a) = ⟨q, M_T(t, a)⟩ and sort, best first, equal scores in the order given: the articles' "GQA".

    `question`: q [d]. `model` is M_T, fitted to the text by whoever gives it. Names stay beside their scores: the article
    sorts the scores alone, after which nobody knows whose they are. Raises ValueError where the vectors do not fit.

    Puna's own forms of it: `puna.rank.pointer` (q from a question's last hidden state, M_T from those of each span), and
    `puna.rank.score` (log-probability of a candidate of many tokens, which for one token is ⟨hidden state, its row of the
    head⟩ less a constant).
    """
    found = []
    for candidate in candidates:
        vector = model(text, candidate)
        if vector.shape != question.shape:
            raise ValueError(f"q has shape {question.shape}, M_T gave {vector.shape} for {candidate!r}")
        found.append(Scored(candidate, float(np.dot(question, vector))))
    return sorted(found, key=lambda each: -each.score)

"""Positions that are drawn instead of counted (Ruoss et al. 2023, "Randomized Positional Encodings")."""

import torch
from torch import Tensor

from puna.shapes import Int


def sorted_positions(shape: tuple[int, int], upto: int, draw: torch.Generator) -> Int[Tensor, "B T"]:
    """For each of B chains draw T positions of 0 … upto − 1 without replacement, and sort them.

    A model that is trained so meets positions, and distances, of longer texts than it is given. Raises ValueError where
    there are fewer than T.
    """
    rows, length = shape
    if length > upto:
        raise ValueError(f"{length} tokens have no positions of their own among {upto}")
    return torch.rand(rows, upto, generator=draw).argsort(1)[:, :length].sort(1).values

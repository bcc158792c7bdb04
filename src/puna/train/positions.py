"""Positions that are drawn instead of counted (Ruoss et al. 2023, "Randomized Positional Encodings")."""

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from puna.shapes import Int
from puna.train.trees import Tree


def sorted_positions(shape: tuple[int, int], upto: int, draw: torch.Generator) -> Int[Tensor, "B T"]:
    """For each of B chains draw T positions of 0 … upto − 1 without replacement, and sort them.

    A model that is trained so meets positions, and distances, of longer texts than it is given. Raises ValueError where
    there are fewer than T.
    """
    rows, length = shape
    if length > upto:
        raise ValueError(f"{length} tokens have no positions of their own among {upto}")
    return torch.rand(rows, upto, generator=draw).argsort(1)[:, :length].sort(1).values


def drawn(tree: Tree, upto: int, key: str) -> Tree:
    """Give a chain other positions, the same for the same key; positions of branches are drawn as those of one chain.

    What stood at the same depth stays at the same position. Raises ValueError where there are too few positions.
    """
    draw = torch.Generator().manual_seed(int(hashlib.sha256(key.encode()).hexdigest()[:15], 16))
    places = sorted_positions((1, max(tree.positions) + 1), upto, draw)[0].tolist()
    return replace(tree, positions=[places[depth] for depth in tree.positions])

"""Random trees, and who sees whom in them, walked one by one."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor


def random_parents(size: int, rng: random.Random) -> list[int]:
    """A chain, with branches behind it in half of all cases, or any tree, or several."""
    kind = rng.choice(("chain", "branches", "branches", "any"))
    if kind == "chain":
        return list(range(-1, size - 1))
    if kind == "any":
        return [rng.randrange(-1, max(row, 1)) if row else -1 for row in range(size)]
    root = rng.randrange(1, size + 1)
    return [row - 1 if row < root or rng.random() < 0.8 else rng.randrange(root - 1, row) for row in range(size)]


def seen(parents: Sequence[int]) -> Tensor:
    """Bool [n, n]."""
    found = torch.zeros(len(parents), len(parents), dtype=torch.bool)
    for row in range(len(parents)):
        key = row
        while key >= 0:
            found[row, key] = True
            key = parents[key]
    return found


def depths(parents: Sequence[int]) -> list[int]:
    found: list[int] = []
    for parent in parents:
        found.append(found[parent] + 1 if parent >= 0 else 0)
    return found

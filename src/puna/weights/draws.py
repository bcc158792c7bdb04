"""Random weights: the same for the same seed and name, in whatever order they are drawn."""

import hashlib

import torch
from torch import Tensor


def drawn(
    name: str, shape: tuple[int, ...], spread: float, seed: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw a tensor from a normal distribution around 0 whose standard deviation is `spread`."""
    number = int(hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:15], 16)
    return torch.empty(shape, dtype=dtype).normal_(0, spread, generator=torch.Generator().manual_seed(number))

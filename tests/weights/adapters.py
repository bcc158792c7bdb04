"""Random adapters for the tests, and the formula that they stand for, written out in float64."""

import random
from collections.abc import Mapping

import torch
from torch import Tensor

from puna.weights.adapter import Adapter

PARTS = ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down")


def is_product(name: str) -> bool:
    return name.endswith("_proj.weight")


def draw_adapter(
    shapes: Mapping[str, tuple[int, ...]], seed: int = 0, *, share: float = 1.0, size: float = 1.0, **fields: object
) -> Adapter:
    """Change a share of the products, each with a rank and a scale of its own, by about as much as they are."""
    rng, torch_rng = random.Random(seed), torch.Generator().manual_seed(seed)
    matrices, scale = {}, {}
    for name, shape in shapes.items():
        if not is_product(name) or rng.random() > share:
            continue
        rank = rng.choice([1, 3, 8])
        a = torch.randn(rank, shape[1], generator=torch_rng) * (size / shape[1]) ** 0.5
        matrices[name] = (a, torch.randn(shape[0], rank, generator=torch_rng) / rank**0.5)
        scale[name] = rng.choice([0.5, 1.0, 1.75])
    assert matrices
    return Adapter(matrices, scale, **fields)  # type: ignore[arg-type]


def merged(weight: Tensor, adapter: Adapter, name: str) -> Tensor:
    """W + scale · B · A in float64, where the adapter changes this matrix."""
    if name not in adapter.matrices:
        return weight.double()
    a, b = adapter.matrices[name]
    change = torch.einsum("or,ri->oi", b.double(), a.double())
    return weight.double() + adapter.scale[name] * change

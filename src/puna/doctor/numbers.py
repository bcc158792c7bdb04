"""Every number of a model: NaN, infinity, matrices of nothing but zeros. Read in pieces, whatever a tensor's size."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from puna.doctor.finding import Finding, doubt, fault, fine
from puna.weights.blocks import FORMATS, dequantize
from puna.weights.checkpoint import Checkpoint

_PIECE = 1 << 20  # numbers at a time
_NAMED = 5  # tensors that have a line of their own


def check_numbers(checkpoint: Checkpoint, step: Callable[[], object] = lambda: None) -> Iterator[Finding]:
    """Look at each tensor; `step` is called after each."""
    wrong: list[tuple[str, int]] = []
    empty: list[str] = []
    for name in checkpoint.names():
        bad, zero = 0, True
        for piece in _pieces(checkpoint, name):
            bad += piece.numel() - int(piece.isfinite().sum())
            zero = zero and not bool(piece.any())
        if bad:
            wrong.append((name, bad))
        elif zero and len(checkpoint.shape(name)) > 1:
            empty.append(name)
        step()
    for name, bad in wrong[:_NAMED]:
        yield fault("numbers-none", name=name, bad=bad, all=math.prod(checkpoint.shape(name)))
    if len(wrong) > _NAMED:
        yield fault("numbers-more", count=len(wrong) - _NAMED)
    if empty:
        yield doubt("numbers-zero", count=len(empty), name=empty[0])
    if not wrong:
        yield fine("numbers", count=len(checkpoint.names()))


def _pieces(checkpoint: Checkpoint, name: str) -> Iterator[Tensor]:
    """Give a tensor's numbers in fp32, some rows at a time."""
    kind, rows = checkpoint.type_name(name), checkpoint.rows(name)
    rows = rows.view(-1, rows.shape[-1])
    count = max(_PIECE // checkpoint.shape(name)[-1], 1)
    for start in range(0, len(rows), count):
        part = rows[start : start + count]
        yield dequantize(part, kind, torch.float32) if kind in FORMATS else part.clone().view(torch.float64)

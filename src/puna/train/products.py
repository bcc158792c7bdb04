"""The operations of a layer with their gradients written out: what is kept for the way back is the least it needs.

Inputs of matrix products and what they give are in the products' type, bf16 or fp32; sums are fp32. The residual
stream, the norms' statistics, the rotation and the gate are fp32 inside.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def apply(function: type[Function], *given: Any) -> Tensor:
    """Apply it; torch does not say what type that gives."""
    out: Tensor = function.apply(*given)  # type: ignore[no-untyped-call]
    return out


class Norm(Function):
    """RMSNorm of fp32 rows, given in the products' type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        """x [T, D] fp32, gain [D]."""
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, gain, scale)
        out: Tensor = (x * scale).mul_(gain).to(dtype)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """d/dx of x·s·g with s = 1/sqrt(mean(x²) + eps): s·(g·dy) - x·s³·mean(x·g·dy); d/dg: the sum of x·s·dy."""
        x, gain, scale = ctx.saved_tensors
        of_gain = (x * scale).mul_(grad).sum(0) if ctx.needs_input_grad[1] else None
        out = grad * gain
        inner = torch.linalg.vecdot(out, x)[:, None].mul_(scale.pow(3)).div_(x.shape[-1])
        return out.mul_(scale).addcmul_(x, inner, value=-1), of_gain, None, None


class Gate(Function):
    """silu(gate)·up of rows that hold gate and up side by side."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        """both [T, 2F]."""
        ctx.save_for_backward(both)
        gate, up = both.chunk(2, -1)
        return F.silu(gate) * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """silu'(g) = σ(g)·(1 + g·(1 - σ(g)))."""
        (both,) = ctx.saved_tensors
        gate, up = both.chunk(2, -1)
        out = torch.empty_like(both)
        first, second = out.chunk(2, -1)
        torch.mul(grad, F.silu(gate), out=second)
        first.copy_(torch.ops.aten.silu_backward(grad * up, gate))
        return out


class Rotate(Function):
    """Rotary positions of heads, in the "half" pairing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x [T, heads, E], cos and sin [T, E/2] fp32."""
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Turn back."""
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    cos, sin = cos[:, None], sin[:, None]
    out = torch.empty_like(x)
    first, second = out.chunk(2, -1)
    first.copy_((a * cos).addcmul_(b, sin, value=-1))
    second.copy_((b * cos).addcmul_(a, sin))
    return out


class Product(Function):
    """x·Wᵀ where rows of W have low-rank differences s·B·A that are already in W, and are what is trained.

    The gradients of A and B are those of x·Wᵀ + s·(x·Aᵀ)·Bᵀ. Without any, W itself is trained if it wants a gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: float, parts: Sequence[tuple[int, int]], *pairs: Tensor
    ) -> Tensor:
        """x [T, I], weight [O, I]; pairs: A [r, I] and B [end - start, r] of each part, rows [start, end)."""
        ctx.save_for_backward(x, weight, *pairs)
        ctx.scale, ctx.parts = scale, parts
        return F.linear(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """dx = dy·W; dB = s·dyᵀ·(x·Aᵀ), dA = s·(dy·B)ᵀ·x."""
        x, weight, *pairs = ctx.saved_tensors
        back = grad @ weight if ctx.needs_input_grad[0] else None
        found: list[Tensor] = []
        if pairs:
            inner = F.linear(x, torch.cat([a.to(x.dtype) for a in pairs[::2]]))  # [T, parts·r]
            ups = []
            rank = 0
            for b, (start, end) in zip(pairs[1::2], ctx.parts, strict=True):
                part = grad[:, start:end]
                found.append((part.t() @ inner[:, rank : rank + b.shape[1]]).float().mul_(ctx.scale))
                ups.append(part @ b.to(x.dtype))
                rank += b.shape[1]
            every = (torch.cat(ups, 1).t() @ x).float().mul_(ctx.scale)
            downs = torch.split(every, [b.shape[1] for b in pairs[1::2]])
            found = [each for pair in zip(downs, found, strict=True) for each in pair]
        full = (grad.t() @ x).float() if ctx.needs_input_grad[1] else None
        return back, full, None, None, *found

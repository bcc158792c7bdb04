"""A whole layer as one operation, with the kernels of `puna.native` between torch's products.

What the way back needs is kept in memory that layers and batches share: pages that are new to a process cost more than
what is written into them.
"""

import mmap
from contextlib import suppress
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from puna.llama.config import LlamaConfig
from puna.llama.linear import default_dtype
from puna.native import training as native
from puna.native.library import Engine
from puna.train.packed import Packed

if TYPE_CHECKING:
    from puna.train.network import Layer, Matrix


def trainer(config: LlamaConfig, dtype: torch.dtype) -> Engine | None:
    """Give the kernels that train a model of these sizes with products in `dtype`."""
    return native.trainer(dtype) if _whole(config) else None


def products_dtype(config: LlamaConfig, device: torch.device | str) -> torch.dtype:
    """Give the type that goes into products: the default one, but fp32 on a CPU for sizes that are no multiples of 32.

    oneDNN's bf16 products of such sizes read past the ends of rows on AMX (its issue 5717), and here now and then gave
    other bits from one run to the next.
    """
    odd = torch.device(device).type == "cpu" and not _whole(config)
    return torch.float32 if odd else default_dtype(device)


def _whole(config: LlamaConfig) -> bool:
    return all(size % 32 == 0 for size in (config.width, config.ffn_width, config.head_dim))


_GRAIN = 1 << 22  # bytes; what is kept is a multiple, so that batches of about one size need no new memory
_free: list[Tensor] = []


class Room:
    """Memory handed out piece by piece, and back as a whole."""

    def __init__(self, size: int) -> None:
        _free.sort(key=len)
        fits = next((n for n, each in enumerate(_free) if len(each) >= size), None)
        if fits is not None:
            self.memory = _free.pop(fits)
        else:
            del _free[:1]  # the new one stands in place of one that has become too small
            mapped = mmap.mmap(-1, -(-size // _GRAIN) * _GRAIN, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                with suppress(OSError):  # a system without
                    mapped.madvise(mmap.MADV_HUGEPAGE)
            self.memory = torch.frombuffer(mapped, dtype=torch.uint8)
        self.used = 0

    def take(self, dtype: torch.dtype, *shape: int) -> Tensor:
        """Give a piece, with whatever is in it."""
        start, count = self.used, prod(shape) * dtype.itemsize
        self.used = start + -(-count // 64) * 64
        return self.memory[start : start + count].view(dtype).view(shape)

    def give_back(self) -> None:
        """Let others have it."""
        _free.append(self.memory)
        del self.memory


class _Kept:
    """What the way back through a layer needs."""

    def __init__(self, layer: "Layer", rows: int) -> None:
        config, dtype, whole = layer.config, layer.dtype, torch.float32
        heads, every, size = config.heads, config.heads + 2 * config.kv_heads, config.head_dim
        row = (every + heads) * size + 2 * config.ffn_width
        room = Room(rows * (dtype.itemsize * row + 4 * (2 * config.width + heads + 2)) + 512)
        self.room = room
        self.qkv = room.take(dtype, rows, every, size)
        self.mixed = room.take(dtype, rows, heads, size)
        self.mass = room.take(whole, heads, rows)
        self.between = room.take(whole, rows, config.width)
        self.both = room.take(dtype, rows, 2 * config.ffn_width)
        self.scales = room.take(whole, 2, rows)
        self.out = room.take(whole, rows, config.width)


class Whole(Function):
    """A layer, whose queries and keys are turned by cos and sin."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        layer: "Layer",
        engine: Engine,
        batch: Packed,
        cos: Tensor,
        sin: Tensor,
        first: Tensor,
        second: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        """x [T, D] fp32 to the same; first, second: the norms' gains; parameters: all that the matrices train."""
        config, dtype, rows = layer.config, layer.dtype, len(x)
        kept = _Kept(layer, rows)
        room = Room(rows * dtype.itemsize * (2 * config.width + config.ffn_width) + 192)
        normed, added = room.take(dtype, rows, config.width), room.take(dtype, rows, config.width)
        gated = room.take(dtype, rows, config.ffn_width)
        native.norm(engine, x, first, config.norm_eps, kept.scales[0], normed)
        torch.mm(normed, layer.qkv.whole().t(), out=kept.qkv.view(rows, -1))
        native.attend(engine, batch.seen(engine), cos, sin, kept.qkv, kept.mixed, kept.mass)
        torch.mm(kept.mixed.view(rows, -1), layer.out.whole().t(), out=added)
        native.norm(engine, x, second, config.norm_eps, kept.scales[1], normed, added, kept.between)
        torch.mm(normed, layer.gate_up.whole().t(), out=kept.both)
        native.gate(engine, kept.both, gated)
        torch.mm(gated, layer.down.whole().t(), out=added)
        kept_on = any(ctx.needs_input_grad)
        out = kept.out if kept_on else torch.empty_like(x)
        native.add(engine, kept.between, added, out)
        room.give_back()
        if kept_on:
            ctx.save_for_backward(x, cos, sin, first, second, *parameters)
            ctx.layer, ctx.engine, ctx.batch, ctx.kept = layer, engine, batch, kept
        else:
            kept.room.give_back()
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """From the layer's end to its beginning; what is needed no more is overwritten with gradients."""
        x, cos, sin, first, second, *parameters = ctx.saved_tensors
        layer, engine, kept = ctx.layer, ctx.engine, ctx.kept
        del ctx.kept  # overwritten below: there is one way back
        config, dtype, rows = layer.config, layer.dtype, len(x)
        trained = iter(parameters)
        of_qkv, of_out, of_gate_up, of_down = (list(islice(trained, each.count)) for each in layer.matrices())
        room = Room(
            rows * dtype.itemsize * (3 * config.width + config.ffn_width + config.heads * config.head_dim) + 320
        )
        low, normed, back = (room.take(dtype, rows, config.width) for _ in range(3))
        gated, mixed = room.take(dtype, rows, config.ffn_width), room.take(dtype, *kept.mixed.shape)
        grad = grad.contiguous()
        low.copy_(grad)

        torch.mm(low, layer.down.whole(), out=gated)
        native.gate_back(engine, kept.both, gated)
        of_down = _gradients(engine, layer.down, gated, low, of_down)

        torch.mm(kept.both, layer.gate_up.whole(), out=back)
        of_second = _of_gain(back, kept.between, kept.scales[1]) if ctx.needs_input_grad[7] else None
        between = torch.empty_like(x)
        native.norm_back(engine, kept.between, second, kept.scales[1], back, grad, between, low, normed)
        of_gate_up = _gradients(engine, layer.gate_up, normed, kept.both, of_gate_up)

        torch.mm(low, layer.out.whole(), out=mixed.view(rows, -1))
        of_out = _gradients(engine, layer.out, kept.mixed.view(rows, -1), low, of_out)

        native.attend(engine, ctx.batch.seen(engine), cos, sin, kept.qkv, kept.mixed, kept.mass, mixed)
        turned = kept.qkv.view(rows, -1)
        torch.mm(turned, layer.qkv.whole(), out=back)
        of_first = _of_gain(back, x, kept.scales[0]) if ctx.needs_input_grad[6] else None
        native.norm_back(engine, x, first, kept.scales[0], back, between, between, None, normed)
        of_qkv = _gradients(engine, layer.qkv, normed, turned, of_qkv)
        for each in (room, kept.room):
            each.give_back()
        return between, *[None] * 5, of_first, of_second, *of_qkv, *of_out, *of_gate_up, *of_down


def _of_gain(grad: Tensor, x: Tensor, scales: Tensor) -> Tensor:
    """Give the gradient of a norm's gain from that of what the norm gave."""
    return (x * scales[:, None]).mul_(grad).sum(0)


def _gradients(engine: Engine, matrix: "Matrix", x: Tensor, grad: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """Give the gradients of all that a matrix trains, as `Product` does; sums take 32 of the rank at a time."""
    if not matrix.parts:
        return native.sum_over_rows(engine, 1.0, (grad, x)) if parameters else []
    rank = len(parameters[0])
    padded = -(-rank // 32) * 32
    down, up = matrix.low(padded)
    inner, raised = torch.mm(x, down.t()), torch.mm(grad, up)
    thin = torch.split(inner, padded, 1)
    pairs = ((part, grad[:, start:end]) for part, (start, end) in zip(thin, matrix.parts, strict=True))
    every, *found = native.sum_over_rows(engine, matrix.scale, (raised, x), *pairs)
    lows = torch.split(every, padded)
    return [each for a, b in zip(lows, found, strict=True) for each in (a[:rank], b[:rank].t())]

"""What training does between its products, in C: rows' norms and gates, attention over packed trees, there and back.

Tensors are contiguous, on the CPU, and in the engine's type where they go into products, else fp32.
"""

from collections.abc import Sequence
from ctypes import Structure, byref, c_float, c_int32, c_void_p
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from puna.native.library import Engine, engines


class _Rows(Structure):
    _fields_ = (("rows", c_int32), ("width", c_int32))


class _Norm(Structure):
    _fields_ = (
        *_Rows._fields_,
        ("eps", c_float),
        *((name, c_void_p) for name in ("x", "gain", "more", "sum", "scale", "out")),
    )


class _NormBack(Structure):
    _fields_ = (
        *_Rows._fields_,
        *((name, c_void_p) for name in ("x", "gain", "scale", "grad", "beside", "out", "low", "normed")),
    )


class _Two(Structure):
    _fields_ = (*_Rows._fields_, ("first", c_void_p), ("second", c_void_p))


class _Three(Structure):
    _fields_ = (*_Two._fields_, ("third", c_void_p))


class _Training(Structure):
    _fields_ = (
        *((name, c_int32) for name in ("trees", "tokens", "heads", "kv_heads", "size")),
        *((name, c_void_p) for name in ("start", "order", "words", "kinds")),
        *((name, c_void_p) for name in ("cos", "sin", "qkv", "mixed", "mass", "grad")),
    )


class _Sums(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("x", "y", "out")),
        *((name, c_int32) for name in ("left", "right", "x_stride", "y_stride")),
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """Which row sees which, of trees side by side, as `train_trees.h` has it."""

    start: Tensor
    order: Tensor
    words: Tensor
    kinds: Tensor


@cache
def trainer(dtype: torch.dtype) -> Engine | None:
    """Give the fastest engine that trains with products in `dtype`, and let it get ready."""
    able = (engine for engine in engines().values() if hasattr(engine.kernels, "puna_train_attention"))
    found = next((engine for engine in able if engine.dtype == dtype), None)
    if found is not None:
        found.kernels.puna_train_begin()
    return found


def norm(
    engine: Engine,
    x: Tensor,
    gain: Tensor,
    eps: float,
    scale: Tensor,
    out: Tensor,
    more: Tensor | None = None,
    total: Tensor | None = None,
) -> None:
    """RMSNorm of x [T, D], or of `total` = x + more, into `out`; `scale` [T] becomes 1 / rms."""
    job = _Norm(*x.shape, eps, *map(_place, (x, gain, more, total, scale, out)))
    engine.kernels.puna_train_norm(byref(job), torch.get_num_threads())


def norm_back(
    engine: Engine,
    x: Tensor,
    gain: Tensor,
    scale: Tensor,
    grad: Tensor,
    beside: Tensor,
    out: Tensor,
    low: Tensor | None,
    normed: Tensor,
) -> None:
    """Give x's gradient: `beside`, which passed the norm by, and that of what the norm gave; `low` is the same.

    `normed` is once more what the norm gave.
    """
    job = _NormBack(*x.shape, *map(_place, (x, gain, scale, grad, beside, out, low, normed)))
    engine.kernels.puna_train_norm_back(byref(job), torch.get_num_threads())


def gate(engine: Engine, both: Tensor, out: Tensor) -> None:
    """silu(gate)·up of rows [T, 2F] that hold gate and up side by side."""
    engine.kernels.puna_train_gate(byref(_Two(*out.shape, _place(both), _place(out))), torch.get_num_threads())


def gate_back(engine: Engine, both: Tensor, grad: Tensor) -> None:
    """Turn `both` into its gradient, and `grad`, that of silu(gate)·up, into silu(gate)·up."""
    engine.kernels.puna_train_gate_back(
        byref(_Two(*grad.shape, _place(both), _place(grad))), torch.get_num_threads()
    )


def add(engine: Engine, x: Tensor, more: Tensor, out: Tensor) -> None:
    """Add a product's output to fp32 rows."""
    job = _Three(*x.shape, *map(_place, (x, more, out)))
    engine.kernels.puna_train_sum(byref(job), torch.get_num_threads())


def seen(engine: Engine, parents: Tensor, sizes: Sequence[int]) -> Seen:
    """Lay out what rows of trees see: themselves and their ancestors; parents [T] count from their tree's first row."""
    blocks = [-(-size // 32) for size in sizes]
    start = torch.tensor([0, *sizes]).cumsum(0).int()
    order = torch.tensor(sizes).argsort(descending=True, stable=True).int()
    words = torch.empty(sum(32 * n * n for n in blocks), dtype=torch.int32)
    kinds = torch.empty(sum(n * n for n in blocks), dtype=torch.uint8)
    parents = parents.int().contiguous()
    place = 0
    for first, size, n in zip(start.tolist(), sizes, blocks, strict=False):
        engine.kernels.puna_train_seen(
            c_void_p(parents.data_ptr() + 4 * first),
            size,
            c_void_p(words.data_ptr() + 128 * place),
            c_void_p(kinds.data_ptr() + place),
        )
        place += n * n
    return Seen(start, order, words, kinds)


def attend(
    engine: Engine,
    trees: Seen,
    cos: Tensor,
    sin: Tensor,
    qkv: Tensor,
    mixed: Tensor,
    mass: Tensor,
    grad: Tensor | None = None,
) -> None:
    """Attention of rows qkv [T, H + 2K, E] into `mixed` [T, H, E]; queries and keys are turned where they stand.

    `mass` [H, T] is kept for the way back: then `grad` is the gradient of `mixed`, and `qkv` becomes that of what it was.
    """
    heads, (tokens, every, size) = mixed.shape[1], qkv.shape
    job = _Training(
        len(trees.order),
        tokens,
        heads,
        (every - heads) // 2,
        size,
        *map(_place, (trees.start, trees.order, trees.words, trees.kinds, cos, sin, qkv, mixed, mass, grad)),
    )
    if engine.kernels.puna_train_attention(byref(job), torch.get_num_threads()):
        raise MemoryError


def sum_over_rows(engine: Engine, scale: float, *pairs: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Give scale·xᵀ·y [X, Y] in fp32 for each pair of x [T, X] and y [T, Y]; the narrower one is better x."""
    found = [torch.empty(x.shape[1], y.shape[1]) for x, y in pairs]
    jobs = (_Sums * len(pairs))(
        *(
            _Sums(x.data_ptr(), y.data_ptr(), out.data_ptr(), *out.shape, x.stride(0), y.stride(0))
            for (x, y), out in zip(pairs, found, strict=True)
        )
    )
    rows, threads = len(pairs[0][0]), torch.get_num_threads()
    if engine.kernels.puna_train_sums(jobs, len(jobs), rows, c_float(scale), threads):
        raise MemoryError
    return found


def _place(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()

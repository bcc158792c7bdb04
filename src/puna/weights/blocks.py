"""Dequantisation of ggml's block formats, bit for bit as the reference does it in fp32.

A quantised row is a run of blocks; a block holds `items` weights in `bytes` bytes: one or two fp16 scales and
the packed integers. Layouts: `ggml/src/ggml-common.h` of ggml (the block structs), with the arithmetic of
`dequantize_row_*` in `ggml-quants.c`: scale times integer, then the offset, each rounded to fp32.

Everything is plain vectorised torch over chunks of blocks that stay in the processor's cache. The chunks are
spread over a few threads, each of which computes alone: were every small operation spread over all cores, as
torch does by default, one busy core would hold up thousands of barriers (measured: 40 s instead of 0.4 s).
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import torch
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from torch import Tensor

_CHUNK_ITEMS = 1 << 18  # 1 MiB of fp32: measured fastest between 2^15 and 2^20
_POOL_LOCK = threading.Lock()


class BlockFormat(NamedTuple):
    """How many weights a block holds, and in how many bytes."""

    items: int
    bytes: int


def _scale(raw: Tensor) -> Tensor:
    """Read fp16 scales: uint8 [n, 2s] -> fp32 [n, s]."""
    return raw.contiguous().view(torch.float16).float()


def _fields(raw: Tensor, bits: int, dim: int) -> Tensor:
    """Cut every byte into its 8/bits fields, lowest bits first, stacked along the new axis `dim`; uint8."""
    mask = (1 << bits) - 1
    return torch.stack([(raw >> shift) & mask for shift in range(0, 8, bits)], dim=dim)


def _nibbles(raw: Tensor) -> Tensor:
    """Unpack 16 bytes to 32 integers 0..15: the low halves of all bytes come before the high halves."""
    return _fields(raw, 4, -2).view(-1, 32)


def _fifth_bits(raw: Tensor) -> Tensor:
    """Unpack 4 bytes to 32 values 0 or 16: bit i of the little-endian word is the fifth bit of weight i."""
    return _fields(raw, 1, -1).view(-1, 32) << 4


def _q4_0(raw: Tensor) -> Tensor:
    return _nibbles(raw[:, 2:]).float().sub_(8).mul_(_scale(raw[:, :2]))


def _q4_1(raw: Tensor) -> Tensor:
    scale = _scale(raw[:, :4])
    return _nibbles(raw[:, 4:]).float().mul_(scale[:, :1]).add_(scale[:, 1:])


def _q5_0(raw: Tensor) -> Tensor:
    integers = _nibbles(raw[:, 6:]) | _fifth_bits(raw[:, 2:6])
    return integers.float().sub_(16).mul_(_scale(raw[:, :2]))


def _q5_1(raw: Tensor) -> Tensor:
    scale = _scale(raw[:, :4])
    integers = _nibbles(raw[:, 8:]) | _fifth_bits(raw[:, 4:8])
    return integers.float().mul_(scale[:, :1]).add_(scale[:, 1:])


def _q8_0(raw: Tensor) -> Tensor:
    return raw[:, 2:].view(torch.int8).float().mul_(_scale(raw[:, :2]))


def _q2_k(raw: Tensor) -> Tensor:
    # scales[16]: low nibble scale, high nibble minimum; qs[64]: 2 x 32 bytes of four 2-bit fields; d; dmin
    factors = _scale(raw[:, 80:84])
    scale = (raw[:, :16] & 15).float().mul_(factors[:, :1])
    minimum = (raw[:, :16] >> 4).float().mul_(factors[:, 1:])
    integers = _fields(raw[:, 16:80].reshape(-1, 2, 32), 2, -2).view(-1, 16, 16)
    return integers.float().mul_(scale[:, :, None]).sub_(minimum[:, :, None])


def _q3_k(raw: Tensor) -> Tensor:
    # hmask[32]: bit j is the third bit of weights 32j..; qs[64] as in Q2_K; 16 6-bit scales in 12 bytes; d
    low = _fields(raw[:, 96:104], 4, -2).view(-1, 16)
    high = _fields(raw[:, 104:108], 2, -2).view(-1, 16)
    scale = (low | (high << 4)).float().sub_(32).mul_(_scale(raw[:, 108:110]))
    third = _fields(raw[:, :32], 1, -2).view(-1, 16, 16) << 2
    integers = _fields(raw[:, 32:96].reshape(-1, 2, 32), 2, -2).view(-1, 16, 16) | third
    return integers.float().sub_(4).mul_(scale[:, :, None])


def _six_bit_pairs(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Unpack Q4_K's and Q5_K's 12 bytes to 8 six-bit scales and 8 six-bit minima: fp32 [n, 8] each.

    Bytes 0-3 and 4-7 hold scales and minima 0-3 in their low six bits; their top two bits are the top bits of
    scales and minima 4-7, whose low nibbles share bytes 8-11.
    """
    first, second, rest = raw[:, :4], raw[:, 4:8], raw[:, 8:]
    scale = torch.cat((first & 63, (rest & 15) | ((first >> 6) << 4)), dim=1)
    minimum = torch.cat((second & 63, (rest >> 4) | ((second >> 6) << 4)), dim=1)
    return scale.float(), minimum.float()


def _k_affine(integers: Tensor, factors: Tensor, packed: Tensor) -> Tensor:
    """Scale [n, 8, 32] integers by d * scale and take off dmin * minimum."""
    scale, minimum = _six_bit_pairs(packed)
    scale.mul_(factors[:, :1])
    minimum.mul_(factors[:, 1:])
    return integers.float().mul_(scale[:, :, None]).sub_(minimum[:, :, None])


def _q4_k(raw: Tensor) -> Tensor:
    integers = _fields(raw[:, 16:144].reshape(-1, 4, 32), 4, -2).view(-1, 8, 32)
    return _k_affine(integers, _scale(raw[:, :4]), raw[:, 4:16])


def _q5_k(raw: Tensor) -> Tensor:
    fifth = _fields(raw[:, 16:48], 1, -2) << 4
    integers = _fields(raw[:, 48:176].reshape(-1, 4, 32), 4, -2).view(-1, 8, 32) | fifth
    return _k_affine(integers, _scale(raw[:, :4]), raw[:, 4:16])


def _q6_k(raw: Tensor) -> Tensor:
    # ql[128]: 2 x 64 bytes of two nibbles; qh[64]: 2 x 32 bytes of four 2-bit fields; int8 scales[16]; d
    low = _fields(raw[:, :128].reshape(-1, 2, 64), 4, -2).view(-1, 16, 16)
    high = _fields(raw[:, 128:192].reshape(-1, 2, 32), 2, -2).view(-1, 16, 16)
    scale = raw[:, 192:208].view(torch.int8).float().mul_(_scale(raw[:, 208:210]))
    return (low | (high << 4)).float().sub_(32).mul_(scale[:, :, None])


_PLAIN: dict[str, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_QUANTISED: dict[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}

FORMATS: dict[str, BlockFormat] = {
    name: BlockFormat(*GGML_QUANT_SIZES[GGMLQuantizationType[name]]) for name in (*_PLAIN, *_QUANTISED)
}
TYPE_NAMES: dict[int, str] = {int(kind): str(kind.name) for kind in GGMLQuantizationType}


def is_quantised(kind: str) -> bool:
    """Tell whether a type name of `FORMATS` is one of ggml's quantised formats."""
    return kind in _QUANTISED


@cache
def _pool() -> ThreadPoolExecutor:
    """Start one thread for each of torch's, in each of which torch computes without further threads."""
    with _POOL_LOCK:
        count = torch.get_num_threads()
        started = threading.Barrier(count + 1)

        def alone() -> None:
            torch.get_num_threads()  # else torch sets this thread's number later, to the common one
            torch.set_num_threads(1)
            started.wait()

        pool = ThreadPoolExecutor(count, "puna-blocks", initializer=alone)
        for _ in range(count):
            pool.submit(int)
        started.wait()
        torch.set_num_threads(count)  # what threads yet to come start with
        return pool


if hasattr(os, "register_at_fork"):  # not on Windows; threads do not live on in a forked process
    os.register_at_fork(after_in_child=_pool.cache_clear)


def chunked(work: Callable[[slice], None], rows: int, width: int) -> None:
    """Do `work` for slices that tile so many rows of so many weights, on a few threads, and wait for all of them."""
    step = max(1, _CHUNK_ITEMS // max(1, width))
    # An error of any part is raised here, so that nothing of the memory's past remains in what they fill.
    for _ in _pool().map(work, [slice(at, at + step) for at in range(0, rows, step)]):
        pass


def dequantize(
    raw: Tensor, kind: str, dtype: torch.dtype = torch.float32, change: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Turn stored rows into dense ones.

    Args:
        raw: uint8 [..., bytes a row], a whole number of blocks a row.
        kind: type name, a key of `FORMATS` ("Q4_1").
        dtype: floating dtype of the result; the arithmetic is fp32, then rounded once.
        change: fp32 factors [rows, n] and [n, weights a row]; their product is added before that, to quantised rows only.

    Returns:
        Fresh contiguous memory, [..., weights a row].

    Raises:
        ValueError: `raw` is not uint8, or its rows are no whole number of blocks, or `change` is not for this kind;
        `KeyError`: unknown `kind`.
    """
    form = FORMATS[kind]
    if raw.dtype != torch.uint8 or raw.shape[-1] % form.bytes:
        raise ValueError(f"{kind} rows are uint8 in blocks of {form.bytes} bytes, not {raw.dtype} {raw.shape}")
    shape = (*raw.shape[:-1], raw.shape[-1] // form.bytes * form.items)
    if kind in _PLAIN:
        if change is not None:
            raise ValueError(f"{kind} rows are not quantised")
        return _plain(raw, _PLAIN[kind], dtype, shape)
    # The threads are outside of a caller's inference mode, and may write only to tensors that are, too.
    with torch.inference_mode(False):
        rows = raw.reshape(-1, raw.shape[-1])
        dense = torch.empty((len(rows), shape[-1]), dtype=dtype, device="cpu")

    def fill(part: slice) -> None:
        chunk = _QUANTISED[kind](rows[part].reshape(-1, form.bytes)).view(-1, shape[-1])
        if change is not None:  # while it stays in the processor's cache
            chunk.addmm_(change[0][part], change[1])
        dense[part] = chunk

    chunked(fill, len(rows), shape[-1])
    return dense.view(shape)


def _plain(raw: Tensor, stored: torch.dtype, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    """Reinterpret little-endian floats and convert; always fresh memory."""
    # The copy comes first: a view of the file may start at any byte, and a wider dtype may not.
    return raw.clone(memory_format=torch.contiguous_format).view(stored).to(dtype).view(shape)

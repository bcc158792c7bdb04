"""Dense weights into the formats of GGUF files; `puna.weights.blocks` reads them back."""

from collections.abc import Callable

import numpy as np
import torch
from gguf.constants import GGMLQuantizationType
from gguf.quants import quantize
from torch import Tensor

from puna.weights.blocks import FORMATS, chunked
from puna.weights.k_quants import q4_k, q5_k, q6_k

_PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_K: dict[str, Callable[[Tensor], Tensor]] = {"Q4_K": q4_k, "Q5_K": q5_k, "Q6_K": q6_k}  # gguf-py only reads these
MADE = (*_PLAIN, "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", *_K)


def largest_of(kind: str) -> float:
    """Give the largest weight that a format surely holds: all but the wide floats have fp16 scales."""
    return torch.finfo(torch.float32 if kind in ("F32", "BF16") else torch.float16).max


def quantise(dense: Tensor, kind: str) -> Tensor:
    """Turn dense rows into stored ones; the same rows give the same bytes, however many threads there are.

    Args:
        dense: fp32 [..., weights a row], finite and within `largest_of(kind)`.
        kind: a type name of `MADE`.

    Returns:
        uint8 [..., bytes a row].

    Raises:
        ValueError: the rows are no whole number of blocks; `KeyError`: the format is not one of `MADE`.
    """
    if kind in _PLAIN:
        return dense.to(_PLAIN[kind]).contiguous().view(torch.uint8)
    if kind not in MADE:
        raise KeyError(kind)
    form = FORMATS[kind]
    if dense.shape[-1] % form.items:
        raise ValueError(f"rows of {dense.shape[-1]} are no whole number of {kind} blocks")
    rows = dense.reshape(-1, dense.shape[-1])
    with torch.inference_mode(False):
        out = torch.empty((len(rows), rows.shape[1] // form.items * form.bytes), dtype=torch.uint8)

    def fill(part: slice) -> None:
        if kind in _K:
            out[part] = _K[kind](rows[part].reshape(-1, form.items)).view(-1, out.shape[1])
            return
        with np.errstate(all="ignore"):  # a block of weights near zero: its scale is none
            out[part] = torch.from_numpy(quantize(rows[part].numpy(), GGMLQuantizationType[kind]))

    chunked(fill, len(rows), rows.shape[1])
    return out.view(*dense.shape[:-1], -1)

"""Matrix products: inputs rounded to the weights' type, sums kept in fp32 by the caller's residual stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.shapes import Float


def default_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """bf16 where the hardware multiplies it (AMX, AVX512-BF16, a GPU), else fp32."""
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    allowed = torch.backends.cpu.get_cpu_capability().startswith("AVX512")  # ATEN_CPU_CAPABILITY may ask for less
    return torch.bfloat16 if fast and allowed else torch.float32


class Linear(nn.Linear):
    """x·Wᵀ + b in the weight's type (bf16 or fp32); torch's own matrix product sums bf16 products in fp32.

    A new one holds whatever its memory held: weights come from a checkpoint, or are drawn by who trains.
    """

    def reset_parameters(self) -> None:
        """Draw nothing: random numbers for 135 million weights that are replaced at once cost a second."""

    def forward(self, x: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        """Multiply; one row alone takes the matrix-vector kernel, which is a third faster."""
        x = x.to(self.weight.dtype)
        if x.shape[0] == 1:
            out = torch.mv(self.weight, x[0])
            return (out if self.bias is None else out + self.bias)[None]
        return F.linear(x, self.weight, self.bias)


class Embedding(nn.Embedding):
    """A row of the table for each token; a new one is as blank as a new `Linear`."""

    def reset_parameters(self) -> None:
        """Draw nothing."""


@contextmanager
def bf16_products(wanted: bool) -> Iterator[None]:
    """Let fp32 matrix products multiply in bf16, with fp32 sums and outputs (oneDNN's fpmath mode on CPU).

    The head needs it: a bf16 *output* rounds logits near 20 to steps of 0.125, which moves
    log-probabilities more than every other rounding together.
    """
    flags: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # not in torch's stubs
    before = flags.fp32_precision
    if wanted:
        flags.fp32_precision = "bf16"
    try:
        yield
    finally:
        flags.fp32_precision = before

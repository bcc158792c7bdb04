"""Root mean square layer normalisation (Zhang & Sennrich 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.shapes import Float


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · g over the last axis, in fp32 whatever comes in: rows, or heads of rows."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """Normalise."""
        x = x.float()
        if x.is_cuda:  # one kernel instead of six
            return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight

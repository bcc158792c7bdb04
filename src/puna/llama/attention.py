"""Grouped-query attention (Ainslie et al. 2023): G query heads share each key-value head.

Multi-head (K = H) and multi-query (K = 1) attention are its end points.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.llama.cache import Cache
from puna.llama.config import LlamaConfig
from puna.llama.linear import Linear
from puna.llama.norm import RMSNorm
from puna.llama.rope import rotate
from puna.shapes import Float

PART = 256  # keys that one block of a GPU's threads attends to for one token
CLOSED = -1e30  # no key has such a score; its exp is 0, also where it is the largest of a part that is all closed


def grouped_attention(
    q: Float[Tensor, "T H E"],
    k: Float[Tensor, "K S E"],
    v: Float[Tensor, "K S E"],
    bias: Float[Tensor, "T M"] | None,
    before: Float[Tensor, "T P"] | None = None,
) -> Float[Tensor, "T H E"]:
    """softmax(q·k/√E + bias)·v with softmax in fp32; keys and values are read through strides, never repeated.

    `bias` (0 or -inf) covers the last M keys; those before are seen by every row, or as `before` (0 or CLOSED) says.
    None: a chain, where `has_flash`.
    """
    rows, heads, size = q.shape
    groups = heads // k.shape[0]
    if bias is None:  # of fewer queries than keys this operator takes the last for the chain's end
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        chained: Tensor = flash(q.transpose(0, 1)[None], k[None], v[None], is_causal=True)[0]
        return chained[0].transpose(0, 1)
    if bias.shape[1] < k.shape[1]:
        return _shared_attention(q, k, v, bias.float(), before)
    out = F.scaled_dot_product_attention(
        q.view(rows, -1, groups, size).permute(1, 2, 0, 3),
        k.unsqueeze(1).expand(-1, groups, -1, -1),
        v.unsqueeze(1).expand(-1, groups, -1, -1),
        attn_mask=bias[None, None],
    )
    return out.permute(2, 0, 1, 3).reshape(rows, heads, size)


def _shared_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, closed: Tensor | None) -> Tensor:
    """Attend to the keys all rows share by one product, to the few others in fp32, and merge the two.

    Every shape depends on T, M and the shared length only, and the zeros of masked keys are added in order, so a
    row's result is the same to the last bit whatever the other rows are. A row that a window leaves none of the shared
    keys takes from them whatever it is with weight 0.
    """
    rows, heads, size = q.shape
    kv_heads, shared = k.shape[0], k.shape[1] - bias.shape[1]
    queries = q.view(rows, kv_heads, -1, size).permute(1, 2, 0, 3).reshape(kv_heads, -1, size)  # [K, G·T, E]
    if closed is not None:
        closed = closed.repeat(heads // kv_heads, 1).expand(1, kv_heads, -1, -1)
    before, mass = (
        each[0] for each in _attention_and_mass(queries[None], k[None, :, :shared], v[None, :, :shared], closed)
    )
    scores = torch.baddbmm(
        bias.repeat(heads // kv_heads, 1), queries.float(), k[:, shared:].float().transpose(1, 2), alpha=size**-0.5
    )
    top = torch.maximum(scores.amax(-1, keepdim=True), mass)
    # A column of ones beside the values sums the softmax's denominator in the same order as its numerator.
    own = torch.bmm((scores - top).exp(), F.pad(v[:, shared:].float(), (0, 1), value=1.0))
    weight = (mass - top).exp()
    out = (own[..., :-1] + before.float() * weight) / (own[..., -1:] + weight)
    return out.to(q.dtype).view(kv_heads, -1, rows, size).permute(2, 0, 1, 3).reshape(rows, heads, size)


def one_row_attention(
    q: Float[Tensor, "H E"], k: Float[Tensor, "K S E"], v: Float[Tensor, "K S E"], bias: Float[Tensor, " S"]
) -> Float[Tensor, "H E"]:
    """Attention of one token; S is a multiple of PART, `bias` 0, or CLOSED where a key is not seen.

    The parts of the keys are attended to side by side, so that few heads keep a whole GPU busy, and merged.
    """
    kv_heads, slots, size = k.shape
    parts = slots // PART
    queries = q.view(1, kv_heads, -1, size).expand(parts, -1, -1, -1)
    keys, values = (each.view(kv_heads, parts, PART, size).transpose(0, 1) for each in (k, v))
    out, mass = _attention_and_mass(
        queries, keys, values, bias.view(parts, 1, 1, PART).expand(-1, kv_heads, queries.shape[2], -1)
    )
    return (out * mass.softmax(0)).sum(0).to(q.dtype).view(q.shape)


def has_flash(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Tell whether torch's fused kernels for GPUs take such queries, keys and values."""
    return device.type == "cuda" and dtype == torch.bfloat16 and head_dim % 8 == 0 and head_dim <= 256


def _attention_and_mass(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attention [B, K, N, E] and the log of its softmax's denominator [B, K, N, 1], fp32."""
    if q.device.type == "cpu":
        out, mass = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=bias)
    elif not has_flash(q.device, q.dtype, q.shape[-1]) or (
        bias is not None and bias.shape[-1] % 16
    ):  # rows in line
        scores = torch.matmul(q.float(), k.float().transpose(-2, -1)) * q.shape[-1] ** -0.5
        scores = scores if bias is None else scores + bias
        mass = scores.logsumexp(-1)
        out = torch.matmul((scores - mass[..., None]).exp(), v.float())
    elif bias is None:
        out, mass = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[:2]
    else:
        out, mass = torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, bias, True)[:2]
        mass = mass[..., : q.shape[2]]  # it comes in blocks of 32 rows
    return out, mass[..., None]


class Attention(nn.Module):
    """Projections, rotation, cache, attention, output projection; parameters named as in Hugging Face's Llama."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q_proj = Linear(config.width, queries, bias=config.attention_bias)
        self.k_proj = Linear(config.width, keys, bias=config.attention_bias)
        self.v_proj = Linear(config.width, keys, bias=config.attention_bias)
        self.o_proj = Linear(queries, config.width, bias=config.output_bias)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.head_norms else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.head_norms else None

    def forward(
        self,
        x: Float[Tensor, "T D"],
        cos: Float[Tensor, "T half"],
        sin: Float[Tensor, "T half"],
        bias: Float[Tensor, "T M"] | None,
        cache: Cache | None,
        layer: int,
        before: Float[Tensor, "T P"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """Attend from T new tokens to the cache's keys, then the new ones; who sees what as in `grouped_attention`."""
        heads = (x.shape[0], -1, self.head_dim)
        x = x.to(self.q_proj.weight.dtype)
        q, k, v = (part(x).view(heads) for part in (self.q_proj, self.k_proj, self.v_proj))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = (rotate(each, cos, sin).to(v.dtype) for each in (q, k))
        keys, values = (k.transpose(0, 1), v.transpose(0, 1)) if cache is None else cache.write(layer, k, v)
        out = grouped_attention(q, keys, values, bias, before)
        projected: Tensor = self.o_proj(out.flatten(1))
        return projected

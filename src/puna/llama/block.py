"""One layer: attention and a gated feed-forward (SwiGLU, Shazeer 2020), each behind its norm, each added back."""

import torch.nn.functional as F
from torch import Tensor, nn

from puna.llama.attention import Attention
from puna.llama.cache import Cache
from puna.llama.config import LlamaConfig
from puna.llama.linear import Linear
from puna.llama.norm import RMSNorm
from puna.shapes import Float


class FeedForward(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.width, config.ffn_width, bias=config.mlp_bias)
        self.up_proj = Linear(config.width, config.ffn_width, bias=config.mlp_bias)
        self.down_proj = Linear(config.ffn_width, config.width, bias=config.mlp_bias)

    def forward(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        """Apply to rows."""
        x = x.to(self.gate_proj.weight.dtype)
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Block(nn.Module):
    """A layer on an fp32 residual stream."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_eps)
        self.mlp = FeedForward(config)

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
        """Give the residual stream after this layer."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, bias, cache, layer, before)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out

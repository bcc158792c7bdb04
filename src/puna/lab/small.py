"""A small Llama to be trained from scratch, whose norm and positions can be others than Llama's.

It is `puna.llama`'s own trunk (embedding, blocks, projections, feed-forward, names of weights) with the norms exchanged,
run over a batch of chains of one length. With RMSNorm and rotary positions it computes what Llama computes.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.lab.articles import standardise
from puna.llama.attention import Attention
from puna.llama.block import Block
from puna.llama.config import LlamaConfig
from puna.llama.linear import Linear
from puna.llama.model import Trunk
from puna.llama.norm import RMSNorm
from puna.llama.rope import rotate, tables
from puna.shapes import Float, Int
from puna.train.scratch import Scratch, Sizes, byte_tokenizer

NORMS = ("rms", "layer", "standard", "none")
ENCODINGS = ("rotary", "learned", "none")
_SPREAD = 0.02  # of learned positions, as `Scratch` draws an embedding


class Standardisation(nn.Module):
    """(x − μ) / sqrt(σ² + eps) over the last axis: LayerNorm (Ba et al. 2016) without gain and bias."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """Normalise."""
        return standardise(x.float(), eps=self.eps)


def norm_of(kind: str, width: int, eps: float) -> nn.Module:
    """Make one of NORMS; "layer" has gain and bias, "rms" a gain, the others nothing that is learned."""
    if kind == "rms":
        return RMSNorm(width, eps)
    if kind == "layer":
        return nn.LayerNorm(width, eps)
    return Standardisation(eps) if kind == "standard" else nn.Identity()


def config_of(sizes: Sizes, vocabulary: int) -> dict[str, Any]:
    """Give `config.json` of a small Llama with so many tokens, whatever they mean; the head is the embedding."""
    ends = {"bos_token_id": None, "eos_token_id": None}
    return sizes.config(byte_tokenizer()) | ends | {"vocab_size": vocabulary}


class SmallLlama(nn.Module):
    """Random weights that, but for the norms' own, are the same for the same seed whatever `norm` and `encoding` are.

    encoding: "rotary", "learned" (a vector for each of the context's positions, added to the embedding) or "none".
    """

    def __init__(
        self, config: dict[str, Any], *, norm: str = "rms", encoding: str = "rotary", seed: int = 0
    ) -> None:
        super().__init__()
        self.config = LlamaConfig.from_dict(config)
        self.encoding = encoding
        width, eps = self.config.width, self.config.norm_eps
        self.model = Trunk(self.config)
        for block in self._blocks():
            block.add_module("input_layernorm", norm_of(norm, width, eps))
            block.add_module("post_attention_layernorm", norm_of(norm, width, eps))
        self.model.add_module("norm", norm_of(norm, width, eps))
        self.lm_head = Linear(width, self.config.vocab_size, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight
        self.places: nn.Embedding | None = None
        weights = Scratch(config, seed)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if "norm" not in name:
                    parameter.copy_(weights.tensor(name, torch.float32))
            if encoding == "learned":
                self.places = nn.Embedding(self.config.context, width)
                self.places.weight.normal_(0, _SPREAD, generator=torch.Generator().manual_seed(seed))

    def forward(self, tokens: Int[Tensor, "B T"], positions: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Give the logits after each token of each chain, which sees those before it and itself, fp32.

        Positions are where the tokens are said to stand, in any order: who sees whom is decided by the tokens' order.
        """
        x = self.model.embed_tokens(tokens.flatten())
        if self.places is not None:
            x = x + self.places(positions.flatten())
        turn = (
            tables(self.config.rope, positions.flatten(), self.config.context)
            if self.encoding == "rotary"
            else None
        )
        for block in self._blocks():
            x = x + self._attended(block.self_attn, block.input_layernorm(x), turn, tokens.shape)
            x = x + block.mlp(block.post_attention_layernorm(x))
        logits: Tensor = self.lm_head(self.model.norm(x))
        return logits.view(*tokens.shape, -1)

    def _blocks(self) -> list[Block]:
        return cast(list[Block], list(self.model.layers))

    def _attended(
        self, attention: Attention, x: Tensor, turn: tuple[Tensor, Tensor] | None, shape: torch.Size
    ) -> Tensor:
        heads = (len(x), -1, self.config.head_dim)
        q, k, v = (part(x).view(heads) for part in (attention.q_proj, attention.k_proj, attention.v_proj))
        if turn is not None:
            q, k = (rotate(each, *turn) for each in (q, k))
        q, k, v = (each.view(*shape, *each.shape[1:]).transpose(1, 2) for each in (q, k, v))  # [B, heads, T, E]
        groups = self.config.groups
        out = F.scaled_dot_product_attention(
            q, k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1), is_causal=True
        )
        mixed: Tensor = attention.o_proj(out.transpose(1, 2).flatten(2).flatten(0, 1))
        return mixed

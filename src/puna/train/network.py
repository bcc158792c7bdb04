"""A Llama model to be trained: the layers of `puna.llama` over packed trees, with low-rank differences or in full."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.llama.config import LlamaConfig
from puna.llama.linear import bf16_products
from puna.llama.rope import tables
from puna.train.products import Gate, Norm, Product, Rotate
from puna.weights.checkpoint import Checkpoint

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class LoRA:
    """Low-rank differences (Hu et al. 2021): rank r, s = alpha/r, and which matrices have one."""

    rank: int = 32
    alpha: float = 64.0
    targets: tuple[str, ...] = TARGETS

    @property
    def scale(self) -> float:
        """s."""
        return self.alpha / self.rank


class Matrix(nn.Module):
    """Matrices that share their input, stacked, as one product."""

    def __init__(
        self, parts: dict[str, Tensor], dtype: torch.dtype, lora: LoRA | None, seed: torch.Generator
    ) -> None:
        super().__init__()
        self.rows = [len(weight) for weight in parts.values()]
        self.dtype = dtype
        self.scale = lora.scale if lora else 1.0
        self.names = list(parts)
        self.pairs = nn.ParameterDict()
        whole = torch.cat(list(parts.values()))
        if lora is None:
            self.weight = nn.Parameter(whole)
        else:
            self.register_buffer("weight", whole, persistent=False)
        for name, weight in parts.items() if lora else ():
            if name in lora.targets:
                bound = 1 / math.sqrt(weight.shape[1])  # as torch draws a new linear layer, and PEFT A
                a = torch.empty(lora.rank, weight.shape[1]).uniform_(-bound, bound, generator=seed)
                self.pairs[f"{name}_A"] = nn.Parameter(a)
                self.pairs[f"{name}_B"] = nn.Parameter(torch.zeros(len(weight), lora.rank))
        self._merged: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] in the products' type to [T, O]."""
        if self._merged is None:
            self._merged = self._merge()
        if not self.pairs:
            out: Tensor = Product.apply(x, self._merged, 1.0, ())
            return out
        pairs, rows = [], []
        for name, count in zip(self.names, self.rows, strict=True):
            pairs += [self.pairs[f"{name}_A"], self.pairs[f"{name}_B"]]
            rows.append(count)
        out = Product.apply(x, self._merged, self.scale, rows, *pairs)
        return out

    def changed(self) -> None:
        """Forget what was computed from the parameters."""
        self._merged = None

    def _merge(self) -> Tensor:
        if not self.pairs:
            return self.weight.to(self.dtype)
        merged = torch.empty_like(self.weight, dtype=self.dtype)
        place = 0
        with torch.no_grad(), bf16_products(self.dtype == torch.bfloat16):
            for name, rows in zip(self.names, self.rows, strict=True):
                part = slice(place, place + rows)
                a, b = self.pairs[f"{name}_A"], self.pairs[f"{name}_B"]
                merged[part] = torch.addmm(self.weight[part], b, a, alpha=self.scale)
                place += rows
        return merged


@dataclass(frozen=True, slots=True)
class Packed:
    """Trees side by side: tokens [T], positions [T], and for each tree its size and what its rows may not see.

    A bias [n, n] is 0 where a row sees a key and -inf elsewhere.
    """

    tokens: Tensor
    positions: Tensor
    sizes: Sequence[int]
    biases: Sequence[Tensor]


class Layer(nn.Module):
    """One layer."""

    def __init__(
        self,
        n: int,
        config: LlamaConfig,
        checkpoint: Checkpoint,
        dtype: torch.dtype,
        lora: LoRA | None,
        seed: torch.Generator,
    ) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype

        def stacked(room: str, *names: str) -> Matrix:
            parts = {
                name: checkpoint.tensor(f"model.layers.{n}.{room}.{name}.weight", torch.float32) for name in names
            }
            return Matrix(parts, dtype, lora, seed)

        self.qkv = stacked("self_attn", "q_proj", "k_proj", "v_proj")
        self.out = stacked("self_attn", "o_proj")
        self.gate_up = stacked("mlp", "gate_proj", "up_proj")
        self.down = stacked("mlp", "down_proj")
        for name in ("input_layernorm", "post_attention_layernorm"):
            gain = checkpoint.tensor(f"model.layers.{n}.{name}.weight", torch.float32)
            self.register_buffer(name, gain, persistent=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, batch: Packed) -> Tensor:
        """x [T, D] fp32 to the same."""
        config = self.config
        heads, keys, size = config.heads, config.kv_heads, config.head_dim
        eps = config.norm_eps
        both = self.qkv(Norm.apply(x, self.input_layernorm, eps, self.dtype)).view(len(x), -1, size)
        turned = Rotate.apply(both[:, : heads + keys], cos, sin)
        mixed = _attention(turned[:, :heads], turned[:, heads:], both[:, heads + keys :], batch)
        x = x + self.out(mixed.reshape(len(x), -1))
        inner = self.gate_up(Norm.apply(x, self.post_attention_layernorm, eps, self.dtype))
        return x + self.down(Gate.apply(inner))


def _attention(q: Tensor, k: Tensor, v: Tensor, batch: Packed) -> Tensor:
    """Each tree's attention over itself."""
    groups = q.shape[1] // k.shape[1]
    found = []
    each = zip(*(part.split(list(batch.sizes)) for part in (q, k, v)), batch.biases, strict=True)
    for queries, keys, values, bias in each:
        rows, _, size = queries.shape
        out = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            keys.transpose(0, 1).repeat_interleave(groups, 0)[None],
            values.transpose(0, 1).repeat_interleave(groups, 0)[None],
            attn_mask=bias,
        )
        found.append(out[0].transpose(0, 1))
    return torch.cat(found)


class Network(nn.Module):
    """Embedding, layers, last norm; the embedding and the head stay as they are."""

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype, lora: LoRA | None, *, seed: int = 0) -> None:
        super().__init__()
        self.config = LlamaConfig.from_dict(checkpoint.config)
        self.dtype = dtype
        draw = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList(
            Layer(n, self.config, checkpoint, dtype, lora, draw) for n in range(self.config.layers)
        )
        self.register_buffer(
            "embedding", checkpoint.tensor("model.embed_tokens.weight", torch.float32), persistent=False
        )
        self.register_buffer("norm", checkpoint.tensor("model.norm.weight", torch.float32), persistent=False)
        head = self.embedding if self.config.tied else checkpoint.tensor("lm_head.weight", torch.float32)
        self.register_buffer("head", head.to(dtype), persistent=False)

    def forward(self, batch: Packed) -> Tensor:
        """Give the hidden states [T, D] of packed trees after the last norm, fp32."""
        x = self.embedding[batch.tokens]
        cos, sin = tables(self.config.rope, batch.positions, self.config.context)
        for layer in self.layers:
            x = layer(x, cos, sin, batch)
        normed: Tensor = Norm.apply(x, self.norm, self.config.norm_eps, torch.float32)
        return normed

    def changed(self) -> None:
        """Say that parameters have changed."""
        for layer in self.layers:
            for matrix in (layer.qkv, layer.out, layer.gate_up, layer.down):
                matrix.changed()

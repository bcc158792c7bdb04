"""A Llama model to be trained: the layers of `puna.llama` over packed trees, with low-rank differences or in full."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.llama.config import LlamaConfig
from puna.llama.linear import bf16_products
from puna.llama.rope import tables
from puna.train.fused import Whole, trainer
from puna.train.matrices import STACKS, TARGETS
from puna.train.packed import Packed
from puna.train.products import Gate, Norm, Product, Rotate, apply


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


class Weights(Protocol):
    """What a network begins with: the part of a checkpoint that it looks at."""

    config: dict[str, Any]

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Give a tensor dense, in its own fresh memory."""
        ...


class Matrix(nn.Module):
    """Matrices that share their input, stacked, as one product."""

    weight: Tensor

    def __init__(
        self, parts: dict[str, Tensor], dtype: torch.dtype, lora: LoRA | None, seed: torch.Generator
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = lora.scale if lora else 1.0
        self.parts: list[tuple[int, int]] = []  # rows that have a low-rank difference
        self.pairs = nn.ParameterDict()
        whole = torch.cat(list(parts.values()))
        if lora is None:
            self.weight = nn.Parameter(whole)
        else:
            self.register_buffer("weight", whole, persistent=False)
        place = 0
        for name, weight in parts.items():
            if lora and name in lora.targets:
                bound = 1 / math.sqrt(weight.shape[1])  # as torch draws a new linear layer, and PEFT A
                a = torch.empty(lora.rank, weight.shape[1]).uniform_(-bound, bound, generator=seed)
                self.pairs[f"{name}_A"] = nn.Parameter(a)
                self.pairs[f"{name}_B"] = nn.Parameter(torch.zeros(len(weight), lora.rank))
                self.parts.append((place, place + len(weight)))
            place += len(weight)
        self.count = len(list(self.parameters()))
        self._merged: Tensor | None = None
        self._low: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x [T, I] in the products' type to [T, O]."""
        if self.pairs:
            return apply(Product, x, self.whole(), self.scale, self.parts, *self.pairs.values())
        return apply(Product, x, self.weight.to(self.dtype), self.scale, ())

    def whole(self) -> Tensor:
        """Give the matrix in the products' type, its differences in it."""
        if self._merged is None:
            with torch.no_grad():
                self._merged = self._merge()
        return self._merged

    def low(self, rank: int) -> tuple[Tensor, Tensor]:
        """Give all A below each other [P, I] and all B [O, P], each beside the last and in its own rows, in `rank` steps.

        Both in the products' type, with zeros where a part has no more ranks and where a row has no difference.
        """
        if self._low is None:
            pairs = [each.detach() for each in self.pairs.values()]
            down = self.weight.new_zeros(rank * len(self.parts), self.weight.shape[1], dtype=self.dtype)
            up = self.weight.new_zeros(len(self.weight), rank * len(self.parts), dtype=self.dtype)
            for n, ((start, end), a, b) in enumerate(zip(self.parts, pairs[::2], pairs[1::2], strict=True)):
                down[n * rank : n * rank + len(a)] = a
                up[start:end, n * rank : n * rank + len(a)] = b
            self._low = down, up
        return self._low

    def changed(self) -> None:
        """Forget what was computed from the parameters."""
        self._merged = self._low = None

    def _merge(self) -> Tensor:
        merged = self.weight.to(self.dtype, copy=bool(self.parts))
        pairs = list(self.pairs.values())
        with bf16_products(self.dtype == torch.bfloat16):
            for (start, end), a, b in zip(self.parts, pairs[::2], pairs[1::2], strict=True):
                merged[start:end] = torch.addmm(self.weight[start:end], b, a, alpha=self.scale)
        return merged


def keep(module: nn.Module, name: str, tensor: Tensor, trained: bool) -> None:
    """Give a module a tensor that is trained, or one that stays as it is."""
    if trained:
        module.register_parameter(name, nn.Parameter(tensor))
    else:
        module.register_buffer(name, tensor, persistent=False)


class Layer(nn.Module):
    """One layer."""

    qkv: Matrix
    out: Matrix
    gate_up: Matrix
    down: Matrix
    input_layernorm: Tensor
    post_attention_layernorm: Tensor

    def __init__(
        self,
        n: int,
        config: LlamaConfig,
        checkpoint: Weights,
        dtype: torch.dtype,
        lora: LoRA | None,
        seed: torch.Generator,
    ) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype

        for stack, (room, names) in STACKS.items():
            parts = {
                name: checkpoint.tensor(f"model.layers.{n}.{room}.{name}.weight", torch.float32) for name in names
            }
            self.add_module(stack, Matrix(parts, dtype, lora, seed))
        for name in ("input_layernorm", "post_attention_layernorm"):
            keep(self, name, checkpoint.tensor(f"model.layers.{n}.{name}.weight", torch.float32), lora is None)
        self.engine = trainer(config, dtype)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, batch: Packed) -> Tensor:
        """x [T, D] fp32 to the same."""
        config = self.config
        if self.engine is not None and x.device.type == "cpu":
            parameters = [each for matrix in self.matrices() for each in matrix.parameters()]
            gains = (self.input_layernorm, self.post_attention_layernorm)
            return apply(Whole, x.contiguous(), self, self.engine, batch, cos, sin, *gains, *parameters)
        heads, keys, size = config.heads, config.kv_heads, config.head_dim
        eps = config.norm_eps
        both = self.qkv(apply(Norm, x, self.input_layernorm, eps, self.dtype)).view(len(x), -1, size)
        turned = apply(Rotate, both[:, : heads + keys], cos, sin)
        mixed = _attention(turned[:, :heads], turned[:, heads:], both[:, heads + keys :], batch)
        x = x + self.out(mixed.reshape(len(x), -1))
        inner = self.gate_up(apply(Norm, x, self.post_attention_layernorm, eps, self.dtype))
        out: Tensor = x + self.down(apply(Gate, inner))
        return out

    def matrices(self) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        """Give the matrices in the order of their work."""
        return self.qkv, self.out, self.gate_up, self.down


def _attention(q: Tensor, k: Tensor, v: Tensor, batch: Packed) -> Tensor:
    """Each tree's attention over itself."""
    groups = q.shape[1] // k.shape[1]
    found = []
    each = zip(*(torch.split(part, batch.sizes) for part in (q, k, v)), batch.masks, strict=True)
    for queries, keys, values, mask in each:
        out = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None],
            keys.transpose(0, 1).repeat_interleave(groups, 0)[None],
            values.transpose(0, 1).repeat_interleave(groups, 0)[None],
            attn_mask=mask,
        )
        found.append(out[0].transpose(0, 1))
    return torch.cat(found)


class Network(nn.Module):
    """Embedding, layers, last norm, and the head beside them. In full training all learn, else the layers alone."""

    embedding: Tensor
    norm: Tensor
    head: Tensor

    def __init__(self, checkpoint: Weights, dtype: torch.dtype, lora: LoRA | None, *, seed: int = 0) -> None:
        super().__init__()
        self.config = LlamaConfig.from_dict(checkpoint.config)
        self.dtype = dtype
        draw = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList(
            Layer(n, self.config, checkpoint, dtype, lora, draw) for n in range(self.config.layers)
        )
        full = lora is None
        keep(self, "embedding", checkpoint.tensor("model.embed_tokens.weight", torch.float32), full)
        keep(self, "norm", checkpoint.tensor("model.norm.weight", torch.float32), full)
        if not self.config.tied:
            keep(self, "head", checkpoint.tensor("lm_head.weight", torch.float32), full)
        elif isinstance(self.embedding, nn.Parameter):
            self.register_parameter("head", self.embedding)
        else:
            self.register_buffer("head", self.embedding, persistent=False)

    def forward(self, batch: Packed) -> Tensor:
        """Give the hidden states [T, D] of packed trees after the last norm, fp32."""
        x = F.embedding(batch.tokens, self.embedding)  # its gradient is summed in an order that stays
        cos, sin = tables(self.config.rope, batch.positions, self.config.context)
        for layer in self.layers:
            x = layer(x, cos, sin, batch)
        return apply(Norm, x, self.norm, self.config.norm_eps, torch.float32)

    def changed(self) -> None:
        """Say that parameters have changed."""
        for module in self.modules():
            if isinstance(module, Matrix):
                module.changed()

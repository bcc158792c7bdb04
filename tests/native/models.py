"""Random models stored in ggml's types, and what they must compute, as a formula in float64."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from puna.llama.config import LlamaConfig
from puna.llama.load import load
from puna.llama.model import Llama
from puna.llama.packed import Packed
from puna.native.library import Engine, engines

needs_kernels = pytest.mark.skipif(not engines(), reason="no kernels were compiled, or this CPU runs none")

KINDS = ("F32", "BF16", "Q4_0", "Q4_1", "Q8_0")
THETA = 10000.0
BASE = {
    "model_type": "llama",
    "vocab_size": 97,
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5,
    "rope_theta": THETA,
    "tie_word_embeddings": True,
}
SHAPES: dict[str, dict[str, Any]] = {
    "E32-G3": {},
    "E32-K1": {"num_attention_heads": 4, "num_key_value_heads": 1, "hidden_size": 64, "num_hidden_layers": 5},
    "E64-multi-head": {"num_attention_heads": 2, "head_dim": 64, "vocab_size": 33, "tie_word_embeddings": False},
    "E96-bias": {
        "head_dim": 96,
        "hidden_size": 160,
        "intermediate_size": 32,
        "attention_bias": True,
        "vocab_size": 112,
        "tie_word_embeddings": False,
    },
    "E128-G5": {
        "head_dim": 128,
        "num_attention_heads": 5,
        "num_key_value_heads": 1,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "vocab_size": 31,
        "rms_norm_eps": 0.05,
    },
    "E64-norms": {"model_type": "qwen3", "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 64},
    "E96-norms": {
        "model_type": "qwen3",
        "num_attention_heads": 2,
        "head_dim": 96,
        "rms_norm_eps": 0.05,
        "tie_word_embeddings": False,
    },
    "E32-bias-window": {
        "model_type": "qwen2",
        "num_attention_heads": 4,
        "use_sliding_window": True,
        "sliding_window": 37,
        "max_window_layers": 0,
    },
    "E64-window": {
        "model_type": "mistral",
        "head_dim": 64,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "sliding_window": 300,
    },
    "E32-window-of-5": {"model_type": "mistral", "sliding_window": 5},
}


@dataclass
class Stored:
    """A checkpoint in memory: raw rows by name, each in a type of ggml."""

    config: dict[str, Any]
    raw: dict[str, tuple[str, np.ndarray]]
    path: Path = Path("memory")
    format: str = "gguf"
    tokenizer_metadata: dict[str, object] | None = field(default_factory=dict)
    size_bytes: int = 0

    def names(self) -> list[str]:
        return list(self.raw)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.exact(name).shape)

    def type_name(self, name: str) -> str:
        return self.raw[name][0]

    def rows(self, name: str) -> Tensor:
        return torch.from_numpy(self.raw[name][1].copy())

    def exact(self, name: str) -> Tensor:
        kind, raw = self.raw[name]
        return torch.from_numpy(gguf.dequantize(raw, gguf.GGMLQuantizationType[kind]).copy())

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        return self.exact(name).to(dtype)


def store(values: np.ndarray, kind: str) -> tuple[str, np.ndarray]:
    return kind, gguf.quantize(values.astype(np.float32), gguf.GGMLQuantizationType[kind]).view(np.uint8)


def make_stored(changes: dict[str, Any] | None = None, kind: str = "mixed", seed: int = 0) -> Stored:
    """Draw a model; `mixed` gives each matrix a type of its own."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    config = {**BASE, **(changes or {})}
    sizes = LlamaConfig.from_dict(config)
    queries, keys = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    raw: dict[str, tuple[str, np.ndarray]] = {}

    def draw(name: str, outputs: int, inputs: int) -> None:
        values = numbers.normal(0.0 if inputs > 1 else 0.3, inputs**-0.5, (outputs, inputs))
        raw[f"{name}.weight"] = store(values, rng.choice(KINDS) if kind == "mixed" else kind)

    def draw_vector(name: str, size: int, mean: float) -> None:
        raw[name] = "F32", numbers.normal(mean, 0.3, size).astype(np.float32)

    draw("model.embed_tokens", sizes.vocab_size, sizes.width)
    for n in range(sizes.layers):
        layer = f"model.layers.{n}."
        for part, outputs, inputs in (
            ("q", queries, sizes.width),
            ("k", keys, sizes.width),
            ("v", keys, sizes.width),
            ("o", sizes.width, queries),
        ):
            draw(f"{layer}self_attn.{part}_proj", outputs, inputs)
            if sizes.attention_bias and (part != "o" or sizes.output_bias):
                draw_vector(f"{layer}self_attn.{part}_proj.bias", outputs, 0.0)
        draw(f"{layer}mlp.gate_proj", sizes.ffn_width, sizes.width)
        draw(f"{layer}mlp.up_proj", sizes.ffn_width, sizes.width)
        draw(f"{layer}mlp.down_proj", sizes.width, sizes.ffn_width)
        draw_vector(f"{layer}input_layernorm.weight", sizes.width, 1.0)
        draw_vector(f"{layer}post_attention_layernorm.weight", sizes.width, 1.0)
        for part in "qk" if sizes.head_norms else "":
            draw_vector(f"{layer}self_attn.{part}_norm.weight", sizes.head_dim, 1.0)
    draw_vector("model.norm.weight", sizes.width, 1.0)
    if not sizes.tied:
        draw("lm_head", sizes.vocab_size, sizes.width)
    return Stored(config, raw)


def packed(stored: Stored, engine: Engine) -> Llama:
    """As `load`, with this engine; nothing is patched, because two threads may do it at once."""
    with torch.device("meta"):
        model = Llama(LlamaConfig.from_dict(stored.config))
    model.packed = Packed(model.config, stored, engine)
    return model.eval().requires_grad_(False)


def by_torch(stored: Stored) -> Llama:
    """In fp32 without kernels."""
    return load(stored, dtype=torch.float32, kernels=False)


def rounded(x: Tensor) -> Tensor:
    return x.float().bfloat16().double()


def formula(
    stored: Stored,
    tokens: Tensor,
    positions: Tensor,
    seen: Tensor,
    engine: Engine | None,
    *,
    low_bit: bool = True,
    listed: int = 0,
) -> Tensor:
    """Normed hidden states [T, D] in float64; row t attends to the keys s with seen[t, s] that its window holds.

    Where `engine` multiplies in bf16, what goes into a product is rounded to it, and weights; but not `low_bit` ones,
    those that stand in blocks, in the kernel for up to three rows. Everything else is float64, also what the last
    `listed` tokens give each other in attention (keys that a tree's tokens see one by one). Nothing is rounded for an
    engine in fp32, or None.
    """
    c = LlamaConfig.from_dict(stored.config)
    coarse = engine is not None and engine.dtype == torch.bfloat16
    into = rounded if coarse else torch.Tensor.double

    def times(x: Tensor, name: str) -> Tensor:
        weight = stored.exact(f"{name}.weight").double()
        if coarse and (low_bit or stored.type_name(f"{name}.weight")[0] != "Q"):
            weight = rounded(weight)
        out = into(x) @ weight.T
        return out + stored.exact(f"{name}.bias").double() if f"{name}.bias" in stored.raw else out

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + c.norm_eps).sqrt() * stored.exact(f"{name}.weight").double()

    def turn(x: Tensor) -> Tensor:
        angles = positions.double()[:, None] * THETA ** (-torch.arange(0, c.head_dim, 2).double() / c.head_dim)
        number = torch.view_as_complex(torch.stack(x.chunk(2, -1), -1).contiguous())  # pairs as complex numbers
        number = number * torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.cat((number.real, number.imag), -1)

    if c.window:
        seen = seen & (positions[:, None] - positions < c.window)
    x = stored.exact("model.embed_tokens.weight").double()[tokens]
    for n in range(c.layers):
        layer = f"model.layers.{n}."
        h = norm(x, f"{layer}input_layernorm")
        q, k, v = (
            times(h, f"{layer}self_attn.{part}_proj").view(len(tokens), -1, c.head_dim) for part in ("q", "k", "v")
        )
        if c.head_norms:
            q, k = (norm(x, f"{layer}self_attn.{part}_norm") for x, part in ((q, "q"), (k, "k")))
        q, k, v = into(turn(q)), into(turn(k)), into(v)
        mixed = []
        for head in range(c.heads):
            kv = head // (c.heads // c.kv_heads)
            scores = (q[:, head] @ k[:, kv].T / c.head_dim**0.5).masked_fill(~seen, -torch.inf)
            mass = (scores - scores.amax(-1, keepdim=True)).exp()
            shares = into(mass)
            own = slice(len(tokens) - listed, None)
            shares[own, own] = mass[own, own]
            mixed.append(shares @ v[:, kv] / mass.sum(-1, keepdim=True))
        x = x + times(torch.cat(mixed, -1), f"{layer}self_attn.o_proj")
        h = norm(x, f"{layer}post_attention_layernorm")
        gate, up = (times(h, f"{layer}mlp.{part}_proj") for part in ("gate", "up"))
        x = x + times(gate / (1 + (-gate).exp()) * up, f"{layer}mlp.down_proj")
    return norm(x, "model.norm")


def chain(stored: Stored, tokens: Tensor, engine: Engine | None, **options: bool) -> Tensor:
    count = len(tokens)
    return formula(stored, tokens, torch.arange(count), torch.ones(count, count).tril().bool(), engine, **options)


def random_tokens(stored: Stored, count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, stored.config["vocab_size"], count))


def assert_same(got: Tensor, want: Tensor, engine: Engine) -> None:
    """Equal but for sums in fp32 instead of float64, and what they tip: now and then a rounding to bf16 the other way.

    Such a step is 2^-8 of one of a row's numbers at most; later layers pass it on, in shares, to all numbers of the row
    and of those that see it. Over five layers the mean comes to 0.005; most mistakes make it 0.1 and more.
    """
    assert got.shape == want.shape
    assert got.isfinite().all()
    apart = (got.double() - want).abs() / want.square().mean().sqrt()
    if engine.dtype == torch.float32:
        assert apart.max() < 2**-12
        return
    assert apart.mean() < 2**-7
    assert apart.mean(-1).max() < 2**-6
    assert apart.max() < 2**-4

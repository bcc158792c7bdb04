"""Tiny random Llama models: the same weights in Transformers (the oracle) and in Puna."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig as HfConfig
from transformers import LlamaForCausalLM

from puna.llama.config import LlamaConfig
from puna.llama.model import Llama

BASE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
SHAPES: dict[str, dict[str, Any]] = {
    "K3-G2": {},
    "multi-head": {"num_key_value_heads": 6},
    "multi-query": {"num_key_value_heads": 1},
    "own-head-dim": {"head_dim": 20},
    "bias": {"attention_bias": True, "mlp_bias": True},
    "tied": {"tie_word_embeddings": True},
    "large-eps": {"rms_norm_eps": 0.05},
}
ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "theta": {"rope_type": "default", "rope_theta": 500000.0},
    "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    "yarn": {
        "rope_type": "yarn",
        "factor": 8.0,
        "original_max_position_embeddings": 32,
        "rope_theta": 10000.0,
    },
    "yarn-mscale": {
        "rope_type": "yarn",
        "factor": 8.0,
        "original_max_position_embeddings": 32,
        "rope_theta": 10000.0,
        "beta_fast": 16,
        "beta_slow": 2,
        "mscale": 0.7,
        "mscale_all_dim": 0.9,
    },
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
        "rope_theta": 10000.0,
    },
    "longrope": {
        "rope_type": "longrope",
        "original_max_position_embeddings": 32,
        "short_factor": [1.0 + 0.1 * i for i in range(4)],
        "long_factor": [1.0 + 0.7 * i for i in range(4)],
        "rope_theta": 10000.0,
    },
}


@dataclass
class Pair:
    """One set of weights in both libraries."""

    hf: LlamaForCausalLM
    puna: Llama


def make_pair(changes: dict[str, Any] | None = None, rope: str = "default", seed: int = 0) -> Pair:
    torch.manual_seed(seed)
    raw = {**BASE, **(changes or {}), "rope_parameters": dict(ROPES[rope])}
    hf = LlamaForCausalLM(HfConfig(**raw, attn_implementation="eager")).eval().requires_grad_(False)
    for name, parameter in hf.named_parameters():
        # Transformers starts norms at one and biases at zero, where mistakes in either would not show.
        spread = 0.3 if parameter.ndim == 1 else parameter.shape[1] ** -0.5
        parameter.data.normal_(mean=1.0 if "norm" in name else 0.0, std=spread)
    puna = Llama(LlamaConfig.from_dict(hf.config.to_dict()))
    puna.load_state_dict(hf.state_dict())
    return Pair(hf, puna.eval().requires_grad_(False))

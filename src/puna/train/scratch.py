"""A model that has learned nothing yet: its configuration, its tokenizer, random weights."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer as Core
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor

from puna.tokens.tokenizer import Tokenizer
from puna.tokens.vocabulary import BYTE_OF, Control, Vocabulary
from puna.weights.draws import drawn

_END = "<|endoftext|>"
_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Sizes:
    """A model's sizes; the head is the embedding."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 704
    context: int = 1024

    def config(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """Give `config.json`."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": self.width,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": self.context,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "vocab_size": tokenizer.vocab_size,
            "bos_token_id": tokenizer.bos_id,
            "eos_token_id": min(tokenizer.eos_ids, default=None),
        }


def byte_tokenizer() -> Tokenizer:
    """Give the tokenizer whose tokens are the 256 bytes, and one that begins and ends a text."""
    pieces = [*sorted(BYTE_OF, key=BYTE_OF.__getitem__), _END]
    core = Core(models.BPE({piece: i for i, piece in enumerate(pieces[:-1])}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    end = len(pieces) - 1
    vocabulary = Vocabulary(core, pieces, {_END: Control(end, _END)}, frozenset([end]), byte_level=True)
    return Tokenizer(vocabulary, bos_id=end, eos_ids=[end], prompt_ids=[end])


class Scratch:
    """Random weights behind the face of a checkpoint; the same for the same seed, in whatever order they are asked."""

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        self.config, self._seed = config, seed

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Draw a tensor: gains are one, what is added to the residual stream is smaller the more layers add to it."""
        config = self.config
        width, ffn, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
        keys = width // heads * config["num_key_value_heads"]
        if "norm" in name:
            return torch.ones(width, dtype=dtype)
        part = name.split(".")[-2]
        rows = {"k_proj": keys, "v_proj": keys, "gate_proj": ffn, "up_proj": ffn}
        shape = (rows.get(part, width), ffn if part == "down_proj" else width)
        if part == "embed_tokens":
            shape = (config["vocab_size"], width)
        spread = (
            _SPREAD / math.sqrt(2 * config["num_hidden_layers"]) if part in ("o_proj", "down_proj") else _SPREAD
        )
        return drawn(name, shape, spread, self._seed, dtype)

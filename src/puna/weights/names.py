"""Tensor names and the row order of q and k: GGUF's and Hugging Face's, both ways.

Meta's own files, and GGUF files of architecture `llama`, have Meta's rotary pairing: rows 2i and 2i+1 of a head turn
together. Hugging Face pairs rows i and i + E/2, and so do GGUF files of Qwen's. Converters of Llama therefore permute the
rows of q (H heads) and of k (K heads), weights and biases alike, and nothing else. Names: `gguf.constants.TENSOR_NAMES`;
the permutation: `LlamaModel.permute` of llama.cpp's converter.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from puna.weights.architectures import architecture_of

Rows = TypeVar("Rows", Tensor, npt.NDArray[np.generic])

_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k": "self_attn.k_proj",
    "attn_k_norm": "self_attn.k_norm",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_WHOLE_BACK = {theirs: ours for ours, theirs in _WHOLE.items()}
_LAYER_BACK = {theirs: ours for ours, theirs in _LAYER.items()}
# A layer number has one spelling, so that the map is one-to-one: "blk.01" is no name.
_GGUF_LAYER = re.compile(r"blk\.(0|[1-9][0-9]{0,5})\.(\w+)\.(weight|bias)", re.ASCII)
_HF_LAYER = re.compile(r"model\.layers\.(0|[1-9][0-9]{0,5})\.([\w.]+)\.(weight|bias)", re.ASCII)


def to_hugging_face(name: str) -> str | None:
    """Give the Hugging Face name of a GGUF tensor ("blk.0.attn_q.weight"), or None if no model has such a one."""
    if match := _GGUF_LAYER.fullmatch(name):
        part = _LAYER.get(match[2])
        return part and f"model.layers.{match[1]}.{part}.{match[3]}"
    stem, _, kind = name.rpartition(".")
    return f"{_WHOLE[stem]}.weight" if kind == "weight" and stem in _WHOLE else None


def to_gguf(name: str) -> str | None:
    """Give the GGUF name of a Hugging Face tensor ("model.norm.weight"), or None if no model has such a one."""
    if match := _HF_LAYER.fullmatch(name):
        part = _LAYER_BACK.get(match[2])
        return part and f"blk.{match[1]}.{part}.{match[3]}"
    stem, _, kind = name.rpartition(".")
    return f"{_WHOLE_BACK[stem]}.weight" if kind == "weight" and stem in _WHOLE_BACK else None


def permuted_heads(name: str, config: Mapping[str, Any]) -> int | None:
    """Give how many heads the rows of this Hugging Face tensor are permuted in, where others order them; None: not."""
    stem, heads = name.rpartition(".")[0], config["num_attention_heads"]
    if not architecture_of(config).permuted or not stem.endswith((".self_attn.q_proj", ".self_attn.k_proj")):
        return None
    count: int = heads if stem.endswith("q_proj") else config.get("num_key_value_heads") or heads
    return count


def permute(rows: Rows, heads: int) -> Rows:
    """Reorder [heads * E, ...] from Hugging Face's half rotation to GGUF's interleaved pairs.

    Row i + h * E/2 of a head goes to row 2i + h (i < E/2, h in {0, 1}). Only rows move, so it serves dense
    tensors, biases [heads * E] and rows of quantised bytes alike.
    """
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def unpermute(rows: Rows, heads: int) -> Rows:
    """Undo `permute`: row 2i + h of a head goes back to row i + h * E/2."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)

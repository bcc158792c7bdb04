"""One tiny random Llama, written by the libraries that others use: Transformers' safetensors and gguf's writer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 96,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 20,
    "max_position_embeddings": 128,
    "rms_norm_eps": 3e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
THETA = 54_321.0


@dataclass
class Tiny:
    single: Path
    sharded: Path
    gguf: Path
    state: dict[str, torch.Tensor]
    config: dict[str, Any]


def make_tiny(root: Path, **changes: Any) -> Tiny:
    from transformers import LlamaConfig, LlamaForCausalLM

    raw = {**SIZES, "tie_word_embeddings": False, **changes}
    torch.manual_seed(7)
    rope = {"rope_type": "default", "rope_theta": THETA}
    model = LlamaForCausalLM(LlamaConfig(**raw, rope_parameters=rope))
    for parameter in model.parameters():
        parameter.data.normal_()
    model.save_pretrained(root / "single")
    model.save_pretrained(root / "sharded", max_shard_size="60KB")
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if raw["tie_word_embeddings"]:
        state.pop("lm_head.weight", None)
    write_gguf(root / "tiny.gguf", state, raw)
    return Tiny(root / "single", root / "sharded", root / "tiny.gguf", state, raw)


def interleave(rows: np.ndarray, heads: int) -> np.ndarray:
    """Half rotation to interleaved pairs, by index, one row at a time."""
    size = rows.shape[0] // heads
    moved = np.empty_like(rows)
    for head in range(heads):
        for row in range(size):
            half, pair = divmod(row, size // 2)
            moved[head * size + 2 * pair + half] = rows[head * size + row]
    return moved


def gguf_tensors(state: dict[str, torch.Tensor], raw: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tensors under GGUF's names, with q and k in GGUF's row order."""
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    heads = {"attn_q": raw["num_attention_heads"], "attn_k": raw["num_key_value_heads"]}
    tensors = {theirs: state[name].numpy() for name, theirs in whole.items() if name in state}
    for layer in range(raw["num_hidden_layers"]):
        for theirs, ours in NAMES.items():
            for kind in ("weight", "bias"):
                tensor = state.get(f"model.layers.{layer}.{ours}.{kind}")
                if tensor is not None:
                    rows = tensor.numpy()
                    rows = interleave(rows, heads[theirs]) if theirs in heads else rows
                    tensors[f"blk.{layer}.{theirs}.{kind}"] = rows
    return tensors


def add_keys(writer: gguf.GGUFWriter, raw: dict[str, Any]) -> None:
    writer.add_block_count(raw["num_hidden_layers"])
    writer.add_context_length(raw["max_position_embeddings"])
    writer.add_embedding_length(raw["hidden_size"])
    writer.add_feed_forward_length(raw["intermediate_size"])
    writer.add_head_count(raw["num_attention_heads"])
    writer.add_head_count_kv(raw["num_key_value_heads"])
    writer.add_key_length(raw["head_dim"])
    writer.add_value_length(raw["head_dim"])
    writer.add_rope_dimension_count(raw["head_dim"])
    writer.add_layer_norm_rms_eps(raw["rms_norm_eps"])
    writer.add_rope_freq_base(THETA)
    writer.add_vocab_size(raw["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(raw["vocab_size"])])
    writer.add_token_types([1] * raw["vocab_size"])
    writer.add_bos_token_id(raw["bos_token_id"])
    writer.add_eos_token_id(raw["eos_token_id"])
    writer.add_pad_token_id(raw["pad_token_id"])


def write_gguf(path: Path, state: dict[str, torch.Tensor], raw: dict[str, Any], kind: str = "F32") -> None:
    """Write with gguf's own writer; matrices whose rows allow it are quantised to `kind`."""
    writer = gguf.GGUFWriter(path, "llama")
    add_keys(writer, raw)
    form = gguf.GGMLQuantizationType[kind]
    for name, tensor in gguf_tensors(state, raw).items():
        if kind != "F32" and tensor.ndim == 2 and tensor.shape[1] % gguf.GGML_QUANT_SIZES[form][0] == 0:
            writer.add_tensor(name, gguf.quantize(tensor, form), raw_dtype=form)
        else:
            writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

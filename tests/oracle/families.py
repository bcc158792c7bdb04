"""Tiny random models of every family, as Transformers makes them, in every format in which a family is published."""

import json
import random
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.weights.tiny_model import NAMES, interleave

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
CASES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama-tied": {"tie_word_embeddings": True},
    "llama-bias": {"attention_bias": True, "mlp_bias": True},
    "llama-scaled": {"rope_parameters": {**LLAMA3, "rope_theta": 500000.0}, "tie_word_embeddings": True},
    "mistral": {"sliding_window": None},
    "mistral-window": {"sliding_window": 9},
    "mistral-window-of-one": {"sliding_window": 1},
    "qwen2": {},
    "qwen2-tied": {"tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    "qwen2-window": {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    "qwen2-window-everywhere": {"use_sliding_window": True, "sliding_window": 11, "max_window_layers": 0},
    "qwen3": {},
    "qwen3-tied": {"tie_word_embeddings": True},
    "qwen3-bias": {"attention_bias": True},
    "qwen3-window": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2},
}
PERMUTED = ("llama", "mistral")  # in GGUF files


def draw(case: str, seed: int, *, step: int = 1, **changes: Any) -> dict[str, Any]:
    """Draw sizes; those that kernels look at are multiples of `step`."""
    rng, family = random.Random(f"{case} {seed}"), case.partition("-")[0]
    kv_heads, groups = rng.randint(1, 3), rng.randint(1, 3)
    own = family in ("mistral", "qwen3") or (family == "llama" and rng.random() < 0.5)
    head_dim = step * rng.randint(1, 2) if step > 1 else 2 * rng.randint(3, 12)
    own_width = step * (1 if step > 1 else rng.randint(4, 20))
    width = kv_heads * groups * (own_width if own else head_dim)  # else it follows from the heads
    raw = {
        "vocab_size": rng.randint(40, 120),
        "hidden_size": width,
        "intermediate_size": step * rng.randint(1, 5) if step > 1 else rng.randint(30, 90),
        "num_hidden_layers": 3,
        "num_attention_heads": kv_heads * groups,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 256,
        "rms_norm_eps": rng.choice([1e-6, 1e-5, 0.02]),
        "rope_parameters": {"rope_type": "default", "rope_theta": rng.choice([10000.0, 54321.0])},
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **({"head_dim": head_dim} if own else {}),
    }
    return {**raw, **CASES[case], **changes}


def make(case: str, raw: dict[str, Any], seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = AutoConfig.for_model(case.partition("-")[0], **raw)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for name, parameter in model.named_parameters():
        # Norms are made ones and biases zeros, where mistakes in either would not show.
        spread = 0.3 if parameter.ndim == 1 else parameter.shape[1] ** -0.5
        parameter.data.normal_(mean=1.0 if "norm" in name else 0.0, std=spread)
    return model.eval().requires_grad_(False)


def logits(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(ids[None]).logits[0]


def save_new(model: PreTrainedModel, path: Path) -> Path:
    """As Transformers writes it today."""
    model.save_pretrained(path)
    return path


def save_old(model: PreTrainedModel, path: Path) -> Path:
    """With the keys of older configurations, and no more of them than those had."""
    model.save_pretrained(path)
    config = json.loads((path / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    config["torch_dtype"] = config.pop("dtype", "float32")
    for key in ("layer_types", "pad_token_id"):
        config.pop(key, None)
    if config.get("sliding_window", 0) is None and "use_sliding_window" in config:
        config["sliding_window"] = 4096  # as Qwen's published ones have it, beside use_sliding_window false
    (path / "config.json").write_text(json.dumps(config))
    return path


def state_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    return state


def save_gguf(model: PreTrainedModel, path: Path) -> Path:
    """With gguf-py's writer, as llama.cpp's converter does."""
    config, family = model.config, model.config.model_type
    writer = gguf.GGUFWriter(path, "llama" if family in PERMUTED else family)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if family != "qwen2":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if family in PERMUTED:
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(head_dim)
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{i}" for i in range(config.vocab_size)])
    writer.add_token_types([1] * config.vocab_size)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, tensor in gguf_tensors(model).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    if (
        config.rope_parameters["rope_type"] == "llama3"
    ):  # what the converter makes of it: divisors of the plain ones
        writer.add_tensor("rope_freqs.weight", divisors(config.rope_parameters, head_dim).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_tensors(model: PreTrainedModel) -> dict[str, np.ndarray]:
    state, config = state_of(model), model.config
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    parts = {**NAMES, "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    found = {f"{whole[name[:-7]]}.weight": state[name].numpy() for name in state if name[:-7] in whole}
    for layer in range(config.num_hidden_layers):
        for theirs, ours in parts.items():
            for kind in ("weight", "bias"):
                tensor = state.get(f"model.layers.{layer}.{ours}.{kind}")
                if tensor is not None:
                    rows = tensor.numpy()
                    moved = theirs in heads and config.model_type in PERMUTED
                    found[f"blk.{layer}.{theirs}.{kind}"] = interleave(rows, heads[theirs]) if moved else rows
    return found


def divisors(rope: dict[str, Any], head_dim: int) -> np.ndarray:
    """Llama 3's scaling by Meta's rule in wavelengths."""
    found = []
    for pair in range(head_dim // 2):
        length = 2 * np.pi * rope["rope_theta"] ** (2 * pair / head_dim)
        low, high = (rope["original_max_position_embeddings"] / rope[f"{k}_freq_factor"] for k in ("low", "high"))
        share = (rope["original_max_position_embeddings"] / length - rope["low_freq_factor"]) / (
            rope["high_freq_factor"] - rope["low_freq_factor"]
        )
        between = 1 / ((1 - share) / rope["factor"] + share)
        found.append(1.0 if length < high else rope["factor"] if length > low else between)
    return np.array(found)


META = {
    "input_layernorm": ("attention_norm", None),
    "self_attn.q_proj": ("attention.wq", 0),
    "self_attn.k_proj": ("attention.wk", 0),
    "self_attn.v_proj": ("attention.wv", 0),
    "self_attn.o_proj": ("attention.wo", 1),
    "post_attention_layernorm": ("ffn_norm", None),
    "mlp.gate_proj": ("feed_forward.w1", 0),
    "mlp.down_proj": ("feed_forward.w2", 1),
    "mlp.up_proj": ("feed_forward.w3", 0),
}


def meta_state(model: PreTrainedModel) -> dict[str, tuple[torch.Tensor, int | None]]:
    """Tensors under Meta's names and in Meta's order of rows, and the dimension along which they are cut."""
    config, state = model.config, state_of(model)
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    found = {"tok_embeddings.weight": (state["model.embed_tokens.weight"], 0)}
    found["norm.weight"] = (state["model.norm.weight"], None)
    if "lm_head.weight" in state:
        found["output.weight"] = (state["lm_head.weight"], 0)
    for layer in range(config.num_hidden_layers):
        for ours, (theirs, dim) in META.items():
            tensor = state[f"model.layers.{layer}.{ours}.weight"]
            if ours in heads:
                tensor = torch.from_numpy(interleave(tensor.numpy(), heads[ours]))
            found[f"layers.{layer}.{theirs}.weight"] = (tensor, dim)
    return found


def save_pth(model: PreTrainedModel, path: Path, params: dict[str, Any], *, shards: int, by_width: bool) -> Path:
    """As Meta publishes it; `by_width`: the embedding is cut along its width, as in Llama 1 and 2."""
    path.mkdir()
    (path / "params.json").write_text(json.dumps(params))
    for shard in range(shards):
        part = {}
        for name, (tensor, dim) in meta_state(model).items():
            dim = 1 if by_width and name.startswith("tok_") else dim
            part[name] = tensor.clone() if dim is None else tensor.chunk(shards, dim)[shard].clone()
        part["rope.freqs"] = torch.ones(4)
        torch.save(part, path / f"consolidated.{shard:02}.pth")
    return path


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")

"""Small models of every family, in the forms in which families are published."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from puna.export.model import Source, export_model

SIZES: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "rope_theta": 10000.0,
}
ROPES: tuple[dict[str, Any], ...] = (
    {"rope_scaling": {"type": "linear", "factor": 4.0}},
    {
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 4.0,
            "original_max_position_embeddings": 64,
            "beta_fast": 32,
            "mscale": 0.7,
            "mscale_all_dim": 0.9,
        }
    },
    {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    {
        "rope_scaling": {
            "rope_type": "longrope",
            "short_factor": [1.0, 1.1, 1.2, 1.3],
            "long_factor": [1.0, 2.0, 3.0, 4.0],
            "original_max_position_embeddings": 64,
        }
    },
    {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
)
FAMILIES: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 5},
    "qwen2": {"use_sliding_window": False, "sliding_window": 64, "max_window_layers": 1},
    "qwen3": {"head_dim": 16, "attention_bias": False},
}
"""What `config.json` says of them beyond SIZES."""


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        name: rng.standard_normal(shape).astype(np.float32) * shape[-1] ** -0.5 for name, shape in shapes.items()
    }


def folder_files(
    vocab: int, head: int, rope: dict[str, Any], *, shards: bool = False, family: str = "llama"
) -> dict[str, bytes]:
    """`config.json` and safetensors; `head` is a head's size where the family does not say one."""
    said = FAMILIES.get(family, {})
    width, ffn, head = 4 * head, 48, said.get("head_dim", head)
    queries, kv = 4 * head, 2 * head
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocab, width),
        "lm_head.weight": (vocab, width),
    }
    stem = "model.layers.0."
    for part, rows in {"q": queries, "k": kv, "v": kv}.items():
        shapes[f"{stem}self_attn.{part}_proj.weight"] = (rows, width)
        if family == "qwen2":
            shapes[f"{stem}self_attn.{part}_proj.bias"] = (rows,)
    shapes[f"{stem}self_attn.o_proj.weight"] = (width, queries)
    for part, shape in {"gate": (ffn, width), "up": (ffn, width), "down": (width, ffn)}.items():
        shapes[f"{stem}mlp.{part}_proj.weight"] = shape
    for name in ("model.norm", f"{stem}input_layernorm", f"{stem}post_attention_layernorm"):
        shapes[f"{name}.weight"] = (width,)
    if family == "qwen3":
        shapes |= {f"{stem}self_attn.{part}_norm.weight": (head,) for part in "qk"}
    tensors = {name: torch.from_numpy(value).bfloat16() for name, value in weights(shapes).items()}
    files = {
        "config.json": json.dumps({**SIZES, "model_type": family, "vocab_size": vocab, **said, **rope}).encode(),
        "generation_config.json": b'{"eos_token_id":[2,0]}',
    }
    if not shards:
        return {**files, "model.safetensors": save(tensors)}
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    index = {"metadata": {}, "weight_map": {name: file for file, listed in parts.items() for name in listed}}
    files |= {file: save({name: tensors[name] for name in listed}) for file, listed in parts.items()}
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


def family_gguf(files: dict[str, bytes]) -> bytes:
    """A folder as one GGUF file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "model")
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        output = Path(place, "model.gguf")
        export_model(Source.opened(str(folder), None), "gguf", None, output, lambda done, total: None)
        return output.read_bytes()


def meta_files(vocab: int, parts: int) -> dict[str, bytes]:
    """Meta's `params.json` and archives: outputs are cut by rows, inputs by columns, norms are whole."""
    width, kv, ffn = 32, 16, 48
    stem = "layers.0."
    shapes: dict[str, tuple[tuple[int, ...], int | None]] = {
        "tok_embeddings": ((vocab, width), 1),
        "output": ((vocab, width), 0),
        "norm": ((width,), None),
        f"{stem}attention_norm": ((width,), None),
        f"{stem}ffn_norm": ((width,), None),
        f"{stem}attention.wq": ((width, width), 0),
        f"{stem}attention.wk": ((kv, width), 0),
        f"{stem}attention.wv": ((kv, width), 0),
        f"{stem}attention.wo": ((width, width), 1),
        f"{stem}feed_forward.w1": ((ffn, width), 0),
        f"{stem}feed_forward.w2": ((width, ffn), 1),
        f"{stem}feed_forward.w3": ((ffn, width), 0),
    }
    whole = weights({name: shape for name, (shape, _) in shapes.items()})
    params = {
        "dim": width,
        "n_layers": 1,
        "n_heads": 4,
        "n_kv_heads": 2,
        "norm_eps": 1e-5,
        "vocab_size": -1,
        "multiple_of": 16,
        "ffn_dim_multiplier": 0.5,
        **({"rope_theta": 500_000.0, "use_scaled_rope": True} if parts == 1 else {}),
    }
    files = {"params.json": json.dumps(params).encode()}
    for part in range(parts):
        state = {"rope.freqs": torch.ones(4)}
        for name, (_, dim) in shapes.items():
            tensor = torch.from_numpy(whole[name]).bfloat16()
            state[f"{name}.weight"] = tensor if dim is None else tensor.chunk(parts, dim)[part].clone()
        content = io.BytesIO()
        torch.save(state, content)
        files[f"consolidated.{part:02}.pth"] = content.getvalue()
    return files

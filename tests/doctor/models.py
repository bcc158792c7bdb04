"""A tiny model that makes sense: a bigram of bytes over the doctor's own sentences, as a GGUF file and as a folder.

An embedding of unit vectors and a head of log-probabilities, with layers that add next to nothing: no training, and a
perplexity of two or three. Any of it can be broken.
"""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from puna.doctor.sense import BEGINNING, SENTENCES
from puna.tokens.tokenizer import Tokenizer
from puna.weights.gguf import GgufFile
from tests.cli.tiny_file import CHAT
from tests.weights.tiny_model import NAMES

WIDTH, HEAD_DIM, HEADS, KV_HEADS, FFN = 288, 32, 9, 3, 32
CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LETTERS = {chr(c): c for c in range(33, 127)} | {chr(c): c for c in (*range(161, 173), *range(174, 256))}
LETTERS |= {chr(256 + n): c for n, c in enumerate(c for c in range(256) if c not in LETTERS.values())}
PIECES = [*CONTROLS, *sorted(LETTERS)]
SIZE = len(PIECES)

Change = Callable[[dict[str, np.ndarray]], object]


def weights() -> dict[str, np.ndarray]:
    """Under Hugging Face's names."""
    rng = np.random.default_rng(1)
    ids = {LETTERS[piece]: n + len(CONTROLS) for n, piece in enumerate(PIECES[len(CONTROLS) :])}
    counts = np.full((SIZE, SIZE), 1e-3)
    for text in (*SENTENCES.values(), BEGINNING + " Paris."):
        tokens = [ids[byte] for byte in text.encode()]
        for before, after in pairwise(tokens):
            counts[after, before] += 1
    table, head = np.zeros((SIZE, WIDTH)), np.zeros((SIZE, WIDTH))
    table[np.arange(SIZE), np.arange(SIZE)] = 1.0
    head[:, :SIZE] = np.log(counts / counts.sum(0)) / WIDTH**0.5
    found = {"model.embed_tokens.weight": table, "lm_head.weight": head, "model.norm.weight": np.ones(WIDTH)}
    kv = KV_HEADS * HEAD_DIM
    shapes = {"q": (WIDTH, WIDTH), "k": (kv, WIDTH), "v": (kv, WIDTH), "o": (WIDTH, WIDTH)}
    small = {f"self_attn.{part}_proj": shape for part, shape in shapes.items()}
    small |= {"mlp.gate_proj": (FFN, WIDTH), "mlp.up_proj": (FFN, WIDTH), "mlp.down_proj": (WIDTH, FFN)}
    for name, shape in small.items():
        found[f"model.layers.0.{name}.weight"] = rng.standard_normal(shape) * 1e-5
    for name in ("input_layernorm", "post_attention_layernorm"):
        found[f"model.layers.0.{name}.weight"] = np.ones(WIDTH)
    return {name: value.astype(np.float32) for name, value in found.items()}


def write_gguf(
    path: Path, *, keys: Mapping[str, Any] | None = None, change: Change = len, pieces: list[str] = PIECES
) -> Path:
    """`keys` replace metadata (None takes one out), `change` changes the weights in place."""
    state = weights()
    change(state)
    writer = gguf.GGUFWriter(path, "llama")
    metadata: dict[str, Any] = {
        "llama.block_count": 1, "llama.context_length": 512, "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": FFN, "llama.attention.head_count": HEADS, "llama.attention.head_count_kv": KV_HEADS,
        "llama.rope.dimension_count": HEAD_DIM, "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.freq_base": 10000.0, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT, "tokenizer.ggml.token_type": [3] * len(CONTROLS) + [1] * (SIZE - len(CONTROLS)),
        **(keys or {}),
    }  # fmt: skip
    add = {
        str: writer.add_string,
        bool: writer.add_bool,
        int: writer.add_uint32,
        float: writer.add_float32,
        list: writer.add_array,
    }
    for key, value in metadata.items():
        if value is not None:
            add[type(value)](key, value)
    writer.add_token_list(pieces)
    writer.add_token_merges([])
    back = {ours: theirs for theirs, ours in NAMES.items()}
    whole = {"model.embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm"}
    for name, value in state.items():
        stem = name.removesuffix(".weight")
        theirs = whole.get(stem) or f"blk.0.{back[stem.removeprefix('model.layers.0.')]}"
        writer.add_tensor(f"{theirs}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_folder(
    path: Path,
    *,
    config: Mapping[str, Any] | None = None,
    change: Change = len,
    tokens: Callable[[dict[str, Any]], object] = len,
) -> Path:
    """`config` replaces keys of config.json, `change` changes the weights, `tokens` tokenizer.json, in place."""
    path.mkdir()
    files = Tokenizer.from_gguf(GgufFile(write_gguf(path / "x.gguf")).metadata).files()
    (path / "x.gguf").unlink()
    tokens(files["tokenizer.json"])
    for name, content in files.items():
        (path / name).write_text(json.dumps(content))
    state = weights()
    change(state)
    save_file({name: torch.from_numpy(value) for name, value in state.items()}, path / "model.safetensors")
    raw = {
        "model_type": "llama", "hidden_size": WIDTH, "intermediate_size": FFN, "num_hidden_layers": 1,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512, "rope_theta": 10000.0, "vocab_size": SIZE, "tie_word_embeddings": False,
        "bos_token_id": 0, "eos_token_id": 2, **(config or {}),
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    return path

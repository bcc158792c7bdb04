"""Tiny random Llamas as folders, with a tokenizer and a chat template, and what Transformers computes with them."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from puna.llama.load import load
from puna.llama.model import causal_mask
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import Checkpoint
from puna.weights.gguf import GgufFile
from tests.cli.tiny_file import write_tiny
from tests.oracle.tiny import ROPES

WORDS = ("the", " cat", " sat", " on", " mat", "山", "高原", "alpaca")
SIZES: dict[str, Any] = {
    "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 3, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
}  # fmt: skip
WIDE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 1,
}
PAD = 3  # rows of the embedding that have no token


def make_folder(
    path: Path, rope: str = "default", dtype: torch.dtype = torch.float32, seed: int = 0, **changes: Any
) -> LlamaForCausalLM:
    """Write a folder, and give the model in fp32 with the very weights that it holds."""
    path.mkdir(parents=True)
    metadata = GgufFile(write_tiny(path / "t.gguf", words=WORDS)).metadata
    (path / "t.gguf").unlink()
    tokenizer = Tokenizer.from_gguf(metadata)
    torch.manual_seed(seed)
    parameters = dict(ROPES[rope])
    raw = {**SIZES, "vocab_size": tokenizer.vocab_size + PAD, "bos_token_id": 1, "eos_token_id": 2, **changes}
    model = LlamaForCausalLM(LlamaConfig(**raw, rope_parameters=parameters, attn_implementation="eager"))
    for name, parameter in model.named_parameters():
        spread = 0.3 if parameter.ndim == 1 else parameter.shape[1] ** -0.5
        parameter.data.normal_(mean=1.0 if "norm" in name else 0.0, std=spread)
    model.to(dtype).save_pretrained(path)
    for name, content in tokenizer.files().items():
        (path / name).write_text(json.dumps(content), "utf-8")
    # Read anew: a model that was cast has rounded frequencies.
    model = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    return model.eval().requires_grad_(False)


def logits(checkpoint: Checkpoint, ids: torch.Tensor) -> torch.Tensor:
    """Puna's, in fp32 and by torch."""
    model = load(checkpoint, dtype=torch.float32, kernels=False)
    return model.logits(model(ids, torch.arange(len(ids)), None, causal_mask(0, len(ids))))


def draw(count: int, vocab: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, vocab, (count,), generator=torch.Generator().manual_seed(seed))

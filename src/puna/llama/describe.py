"""What is in a checkpoint, as plain values; the weights themselves are not read."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from puna.errors import PunaError
from puna.llama.config import LlamaConfig
from puna.llama.device import choose_device
from puna.llama.linear import default_dtype
from puna.llama.packed import engine_for
from puna.llama.rope_config import RopeConfig
from puna.tokens.folder_vocab import read_folder
from puna.tokens.tokenizer import Tokenizer
from puna.weights.adapter import Adapter
from puna.weights.blocks import FORMATS
from puna.weights.checkpoint import Checkpoint
from puna.weights.gguf_adapter import calibration_of
from puna.weights.safetensors_header import ITEM_BYTES
from puna.weights.store import read_manifest

_GGUF_KINDS = {"gpt2": "byte-level BPE", "llama": "SentencePiece BPE", "t5": "SentencePiece unigram"}


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Collect the fields that `info` lists."""
    config = LlamaConfig.from_dict(checkpoint.config)
    metadata = checkpoint.tokenizer_metadata or {}
    tensors = _tensors(checkpoint)
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "size_bytes": checkpoint.size_bytes,
        "name": _text(metadata.get("general.name")),
        "licence": _text(metadata.get("general.license")),
        **_recorded(checkpoint.path),
        "architecture": checkpoint.config["model_type"],
        "layers": config.layers,
        "width": config.width,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "ffn_width": config.ffn_width,
        "vocab_size": config.vocab_size,
        "context": config.context,
        "norm_eps": config.norm_eps,
        "rope": _rope(config.rope),
        "tied_head": config.tied,
        "attention_bias": config.attention_bias,
        "output_bias": config.output_bias,
        "mlp_bias": config.mlp_bias,
        "head_norms": config.head_norms,
        "window": config.window or None,
        "window_layers": len(config.sliding),
        "parameters": sum(entry["parameters"] for entry in tensors),
        "tensors": tensors,
        "tokenizer": _tokenizer(checkpoint),
        **_engine(config),
    }


def describe_adapter(adapter: Adapter, path: Path) -> dict[str, Any]:
    """Collect what `info` lists of an adapter; `base` is the name of the model that it says it is for."""
    pairs = adapter.matrices.values()
    return {
        "name": adapter.name,
        "base": adapter.base[0] if adapter.base else None,
        "matrices": len(pairs),
        "ranks": sorted({len(a) for a, _ in pairs}),
        "parameters": sum(a.numel() + b.numel() for a, b in pairs),
        "examples": adapter.examples,
        "calibrated": calibration_of(path).exists(),
    }


def _engine(config: LlamaConfig) -> dict[str, Any]:
    """Name what would compute it here (a GPU, kernels of `puna.native`, torch), and a token's share of the cache."""
    device = choose_device()
    engine = engine_for(config, None) if device.type == "cpu" else None
    name = engine.name if engine else "cuda" if device.type == "cuda" else "torch"
    return {"engine": name, "cache_bytes_per_token": cache_bytes(config, cache_dtype(config))}


def cache_dtype(config: LlamaConfig) -> torch.dtype:
    """Give the type that keys and values of this model have here."""
    device = choose_device()
    engine = engine_for(config, None) if device.type == "cpu" else None
    return engine.dtype if engine else default_dtype(device)


def cache_bytes(config: LlamaConfig, dtype: torch.dtype) -> int:
    """Give the bytes that one token's keys and values take, 2 · L · K · E numbers."""
    return 2 * config.layers * config.kv_heads * config.head_dim * dtype.itemsize


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _recorded(path: Path) -> dict[str, str | None]:
    """Give what the manifest says, if there is one and every file still has its size."""
    manifest = read_manifest(path)
    if manifest is not None:
        places = {name: path / name if path.is_dir() else path for name in manifest.files}
        sizes = {name: place.stat().st_size if place.is_file() else -1 for name, place in places.items()}
        if sizes == {name: size for name, (size, _) in manifest.files.items()}:
            return {
                "source": _text(manifest.source),
                "revision": _text(manifest.revision),
                "sha256": manifest.sha256,
            }
    return {"source": None, "revision": None, "sha256": None}


def _rope(rope: RopeConfig) -> dict[str, Any]:
    return {
        "type": rope.kind,
        "theta": rope.theta,
        "factor": rope.factor,
        "attention_factor": rope.attention_factor,
        "original_context": rope.original,
        "options": dict(rope.options),
    }


def _tensors(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Count tensors, parameters and bytes of each type, the largest first."""
    sizes: dict[str, list[int]] = defaultdict(list)
    for name in checkpoint.names():
        sizes[checkpoint.type_name(name)].append(math.prod(checkpoint.shape(name)))
    found: list[dict[str, Any]] = []
    for kind, each in sizes.items():
        items, size = FORMATS.get(kind) or (1, ITEM_BYTES[kind])
        parameters = sum(each)
        count = {"type": kind, "count": len(each), "parameters": parameters}
        found.append({**count, "bytes": parameters // items * size})
    return sorted(found, key=lambda entry: -entry["bytes"])


def _tokenizer(checkpoint: Checkpoint) -> dict[str, Any]:
    """Describe the tokenizer; a broken one is a line in the picture, not the end of it."""
    model = pre = None
    try:
        if (metadata := checkpoint.tokenizer_metadata) is not None:
            tokenizer = Tokenizer.from_gguf(metadata)
            model, pre = (_text(metadata.get(f"tokenizer.ggml.{key}")) for key in ("model", "pre"))
            kind = _GGUF_KINDS[model or ""]
        else:
            path = checkpoint.path
            folder = read_folder(path if path.is_dir() else path.parent)
            vocabulary = folder.vocabulary
            tokenizer = Tokenizer(
                vocabulary, bos_id=folder.bos_id, eos_ids=folder.eos_ids, template=folder.template
            )
            model = type(vocabulary.core.model).__name__
            kind = f"{'byte-level' if vocabulary.byte_level else 'SentencePiece'} {model}"
    except PunaError as error:
        return {"problem": {"code": error.code, "message": str(error)}}
    return {
        "kind": kind,
        "model": model,
        "pre": pre,
        "vocab_size": tokenizer.vocab_size,
        "bos_id": tokenizer.bos_id,
        "bos": None if tokenizer.bos_id is None else tokenizer.decode([tokenizer.bos_id], skip_special=False),
        "eos_ids": sorted(tokenizer.eos_ids),
        "eos": [tokenizer.decode([i], skip_special=False) for i in sorted(tokenizer.eos_ids)],
        "chat_template": tokenizer.template is not None,
    }

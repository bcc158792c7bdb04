"""A model with fewer key-value heads: multi-head attention turned into grouped-query, or multi-query with one.

Ainslie et al. 2023: the heads of a group become one by the mean of their projections; the paper compares that with the
first head of each group, and with heads initialised from scratch. All lose quality until the model is trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from puna.errors import InputError
from puna.export.model import DENSE, Progress, Source, Written, export_model
from puna.llama.config import LlamaConfig
from puna.llama.describe import cache_bytes, cache_dtype
from puna.weights.architectures import architecture_of
from puna.weights.checkpoint import Checkpoint
from puna.weights.draws import drawn

By = Literal["mean", "first", "random"]
WAYS: tuple[By, ...] = get_args(By)
_POOLED = ("self_attn.k_proj", "self_attn.v_proj")
_SPREAD = 0.02  # of new heads where the model does not say what it began with; Transformers' default


@dataclass(frozen=True)
class Regrouped:
    """What was written, and what a token's keys and values take in the cache, in `cache_type`, before and after."""

    written: Written
    heads: int
    kv_heads: tuple[int, int]
    parameters: tuple[int, int]
    cache_bytes: tuple[int, int]
    cache_type: str


class RegroupedCheckpoint:
    """A `Checkpoint` with K' key-value heads instead of K: every K / K' that follow each other become one.

    Query head h attends to key-value head h // (H / K), so that groups of neighbours keep every query with its own. Rows
    are in Hugging Face's order, each head's pairs in the same places; turning is linear, so that the mean of the rows
    gives the mean of the turned keys. Biases are pooled like their rows; gains of keys that are normed head by head are
    those of every head, and stay.
    """

    def __init__(self, checkpoint: Checkpoint, kv_heads: int, by: By = "mean", seed: int = 0) -> None:
        """Raise `InputError` unless `kv_heads` is less than the model has and divides it."""
        before = LlamaConfig.from_dict(checkpoint.config)
        possible = [count for count in range(1, before.kv_heads) if before.kv_heads % count == 0]
        if not possible:
            raise InputError("E-REGROUP-ONE")
        if kv_heads not in possible:
            known = ", ".join(map(str, possible))
            raise InputError("E-REGROUP-HEADS", wanted=kv_heads, heads=before.kv_heads, possible=known)
        self._base, self._by, self._seed = checkpoint, by, seed
        self._share, self._head_dim = before.kv_heads // kv_heads, before.head_dim
        self.path: Path = checkpoint.path
        self.format: str = checkpoint.format
        self.config: dict[str, Any] = {**checkpoint.config, "num_key_value_heads": kv_heads}
        self.tokenizer_metadata = _counted(checkpoint, kv_heads)
        self.size_bytes = checkpoint.size_bytes

    def names(self) -> list[str]:
        """List the tensors that the model has."""
        return self._base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""
        rows, *others = self._base.shape(name)
        return (rows // self._share, *others) if _is_pooled(name) else (rows, *others)

    def type_name(self, name: str) -> str:
        """Give how a tensor is stored; what was pooled is F32 where its file has it in blocks."""
        kind = self._base.type_name(name)
        return kind if kind in DENSE or not _is_pooled(name) else "F32"

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Give a tensor dense, in its own fresh memory; a mean is taken in fp32 and rounded once."""
        if not _is_pooled(name):
            return self._base.tensor(name, dtype)
        if self._by == "random":
            return self._new(name).to(dtype)
        rows = self._base.tensor(name, torch.float32)
        groups = rows.view(-1, self._share, self._head_dim, *rows.shape[1:])
        pooled = groups.mean(1) if self._by == "mean" else groups[:, 0]
        return pooled.flatten(0, 1).to(dtype, copy=True)

    def rows(self, name: str) -> Tensor:
        """Give a tensor as stored, uint8 [..., bytes a row]."""
        if not _is_pooled(name):
            return self._base.rows(name)
        return self.tensor(name, DENSE[self.type_name(name)]).view(torch.uint8)

    def _new(self, name: str) -> Tensor:
        """Draw heads as a model's weights are before training; a bias begins with zeros."""
        shape = self.shape(name)
        if len(shape) == 1:
            return torch.zeros(shape)
        said = self.config.get("initializer_range")
        spread = float(said) if isinstance(said, int | float) and said > 0 else _SPREAD
        return drawn(name, shape, spread, self._seed)


def regroup(
    model: str | None, kv_heads: int, by: By, seed: int, kind: str | None, output: Path, progress: Progress
) -> Regrouped:
    """Write a model with fewer key-value heads as a folder; `kind`: as in `export_model`.

    Raises InputError where so many heads cannot be made, or the folder is there, and ModelFileError for what is no model.
    """
    source = Source.opened(model, None)
    grouped = RegroupedCheckpoint(source.checkpoint, kv_heads, by, seed)
    before, after = (LlamaConfig.from_dict(each.config) for each in (source.checkpoint, grouped))
    written = export_model(Source(source.path, grouped, None), "hf", kind, output, progress)
    dtype = cache_dtype(before)
    return Regrouped(
        written,
        before.heads,
        (before.kv_heads, after.kv_heads),
        (_parameters(source.checkpoint), _parameters(grouped)),
        (cache_bytes(before, dtype), cache_bytes(after, dtype)),
        str(dtype).removeprefix("torch."),
    )


def _is_pooled(name: str) -> bool:
    return name.rpartition(".")[0].endswith(_POOLED)


def _counted(checkpoint: Checkpoint, kv_heads: int) -> dict[str, object] | None:
    """Give a GGUF file's metadata with the new count, which it says as well."""
    found: Mapping[str, object] | None = checkpoint.tokenizer_metadata
    if found is None:
        return None
    return {**found, f"{architecture_of(checkpoint.config).gguf}.attention.head_count_kv": kv_heads}


def _parameters(checkpoint: Checkpoint) -> int:
    return sum(torch.Size(checkpoint.shape(name)).numel() for name in checkpoint.names())

"""LoRA adapters as llama.cpp keeps them: one GGUF file, read and written.

Names and keys: `convert_lora_to_gguf.py` of llama.cpp. `blk.0.attn_q.weight.lora_a` [rank, inputs] and `.lora_b`
[outputs, rank]; one `adapter.lora.alpha` for all, and W becomes W + alpha / rank · B · A. Rows of B of q and k stand in
GGUF's order, and only the model knows how many heads they have. What Puna adds stands in keys of its own, which llama.cpp
leaves alone.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from puna.weights.adapter import (
    CALIBRATION,
    FORMAT,
    Adapter,
    check_about,
    check_factors,
    check_finite,
    folder_name,
    read_adapter,
)
from puna.weights.architectures import architecture_of, gguf_architecture
from puna.weights.gguf import MAGIC, GgufFile
from puna.weights.gguf_writer import write_gguf
from puna.weights.names import permute, permuted_heads, to_gguf, to_hugging_face, unpermute
from puna.weights.quantise import quantise
from puna.weights.refuse import refuse
from puna.weights.safetensors_header import parse_json

_ABOUT, _TENSOR, _SHAPE = "puna.about", "puna.tensor.", "puna.shape."
_ALPHA = "adapter.lora.alpha"
_READ = frozenset({"adapter.type", _ALPHA})
_INERT = frozenset({"adapter.lora.task_name", "adapter.lora.prompt_prefix"})
_FACTOR = re.compile(r"(.+)\.lora_([ab])", re.ASCII)
_KINDS = {torch.float16: "F16", torch.bfloat16: "BF16"}


def open_adapter(path: str | Path, config: Mapping[str, Any]) -> Adapter:
    """Read an adapter, a folder as PEFT writes it or a GGUF file, for a model of this configuration.

    Raises `ModelFileError` for whatever could not be applied as it was meant.
    """
    path = Path(path)
    return _read(path, config) if _is_gguf(path) else read_adapter(path)


def calibration_of(path: Path) -> Path:
    """Give where an adapter's calibration stands: in its folder, or beside its file."""
    return path.with_suffix(f".{CALIBRATION}") if path.is_file() else path / CALIBRATION


def write_gguf_adapter(
    path: Path, adapter: Adapter, config: Mapping[str, Any], dtype: torch.dtype | None = None
) -> None:
    """Write an adapter for llama.cpp, whole or not at all; `dtype`: that of the factors, None for their own.

    Where a matrix's scale is not the common alpha over its rank, its B is multiplied, in fp32.
    """
    alphas = {name: adapter.scale[name] * len(a) for name, (a, _) in adapter.matrices.items()}
    alpha = float(np.float32(Counter(alphas.values()).most_common(1)[0][0])) or 1.0
    about = {"format": FORMAT, "name": folder_name(path.with_suffix("")), **adapter.about}
    check_about(path, about)
    check_finite(path, adapter.matrices, adapter.extra)
    factors: dict[str, Tensor] = {}
    for name, (a, b) in adapter.matrices.items():
        share = alphas[name] / alpha
        b = b if share == 1 else b.float() * share
        heads = permuted_heads(name, config)
        for part, factor in (("a", a), ("b", permute(b, heads) if heads else b)):
            factors[f"{to_gguf(name)}.lora_{part}"] = factor if dtype is None else factor.to(dtype)
    keys: dict[str, object] = {
        "general.type": "adapter",
        "general.name": adapter.name,
        "adapter.type": "lora",
        _ALPHA: alpha,
        _ABOUT: json.dumps(about, ensure_ascii=False),
    }
    for name, tensor in adapter.extra.items():
        keys[_TENSOR + name] = tensor.float().flatten().numpy()
        keys[_SHAPE + name] = np.array(tensor.shape, np.int32)
    kinds = {name: _KINDS.get(factor.dtype, "F32") for name, factor in factors.items()}
    tensors = {name: (kinds[name], tuple(factor.shape)) for name, factor in factors.items()}
    architecture = architecture_of(config).gguf
    write_gguf(path, architecture, keys, tensors, lambda name: quantise(factors[name].float(), kinds[name]))


def _is_gguf(path: Path) -> bool:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def _read(path: Path, config: Mapping[str, Any]) -> Adapter:
    file = GgufFile(path)
    alpha = _alpha(path, file.metadata, config)
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, info in file.tensors.items():
        match = _FACTOR.fullmatch(name)
        matrix = to_hugging_face(match[1]) if match else None
        if match is None or matrix is None:
            raise refuse("E-ADAPTER-TENSOR", path, name=name)
        kept = {"F16": torch.float16, "BF16": torch.bfloat16}.get(info.kind, torch.float32)
        pairs.setdefault(matrix, {})[match[2].upper()] = file.tensor(name, kept)
    matrices = check_factors(path, pairs)
    scale = {}
    for name, (a, b) in matrices.items():
        rank = len(a)
        if (a.ndim, b.ndim, *b.shape[-1:]) != (2, 2, rank):
            raise refuse("E-ADAPTER-FACTORS", path, name=name, a=(*a.shape,), b=(*b.shape,), rank=rank)
        scale[name] = alpha / rank if alpha else 1.0  # as in llama.cpp, 0 says that nothing is scaled
        heads = permuted_heads(name, config)
        if heads and len(b) % (2 * heads) == 0:  # rows of another number do not fit the model, which says so
            matrices[name] = (a, unpermute(b, heads))
    extra = {
        key.removeprefix(_TENSOR): _extra(path, file.metadata, key)
        for key in file.metadata
        if key.startswith(_TENSOR)
    }
    check_finite(path, matrices, extra)
    about = file.metadata.get(_ABOUT, "{}")
    said = parse_json(path, about.encode() if isinstance(about, str) else b"")
    if said:
        check_about(path, said)
    return Adapter(matrices, scale, extra, said, said.get("name") or folder_name(path.with_suffix("")))


def _alpha(path: Path, metadata: Mapping[str, object], config: Mapping[str, Any]) -> float:
    """Check what the file is for, and that nothing in it changes what is computed and is not applied here."""
    for key, word in (("general.type", "adapter"), ("adapter.type", "lora")):
        said = metadata.get(key, "missing")
        if not isinstance(said, str) or said != word:  # an array is neither equal nor not
            raise refuse("E-ADAPTER-KIND", path, kind=said)
    kind, wanted = metadata.get("general.architecture", "missing"), architecture_of(config).gguf
    if gguf_architecture(kind, window=False).gguf != wanted:
        raise refuse("E-CONFIG-VALUE", path, key="general.architecture", value=kind, wanted=wanted)
    for key, value in metadata.items():
        if key.startswith("adapter.") and key not in _READ | _INERT:
            raise refuse("E-ADAPTER-SETTING", path, key=key, value=value)
    alpha = metadata.get(_ALPHA)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise refuse("E-ADAPTER-SETTING", path, key=_ALPHA, value=alpha)
    return float(alpha)


def _extra(path: Path, metadata: Mapping[str, object], key: str) -> Tensor:
    values, shape = metadata[key], metadata.get(_SHAPE + key.removeprefix(_TENSOR))
    if isinstance(values, np.ndarray) and isinstance(shape, np.ndarray) and shape.dtype.kind == "i":
        sizes = [int(size) for size in shape[:9]]
        if values.dtype == np.float32 and all(size > 0 for size in sizes) and math.prod(sizes) == len(values):
            return torch.from_numpy(values.copy()).view(sizes)
    raise refuse("E-ADAPTER-ABOUT", path, key=key, value=shape)

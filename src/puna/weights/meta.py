"""A folder as Meta publishes Llama 1 to 3: `params.json` and `consolidated.NN.pth`, a file for each GPU it was made for.

Of several files each has a part of every matrix: some of its outputs, or some of its inputs. The rows of q and k are in
Meta's order, as in GGUF files. What `params.json` leaves unsaid is as in Meta's `llama` and `llama-models` repositories.
"""

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from puna.tokens.files import check_inside
from puna.weights.architectures import LLAMA
from puna.weights.layout import EMBEDDING, HEAD, Laid, check_shapes, expected_shapes, size_of
from puna.weights.names import permuted_heads, unpermute
from puna.weights.pth import KINDS, read_pth
from puna.weights.refuse import refuse
from puna.weights.safetensors_header import read_json

PARAMS = "params.json"
SHARD = re.compile(r"consolidated\.(\d{2})\.pth", re.ASCII)
# Of which dimension a file has a part; None: each has the whole.
_WHOLE = {"tok_embeddings": (EMBEDDING, 0), "norm": ("model.norm.weight", None), "output": (HEAD, 0)}
_LAYER: dict[str, tuple[str, int | None]] = {
    "attention_norm": ("input_layernorm", None),
    "attention.wq": ("self_attn.q_proj", 0),
    "attention.wk": ("self_attn.k_proj", 0),
    "attention.wv": ("self_attn.v_proj", 0),
    "attention.wo": ("self_attn.o_proj", 1),
    "ffn_norm": ("post_attention_layernorm", None),
    "feed_forward.w1": ("mlp.gate_proj", 0),
    "feed_forward.w2": ("mlp.down_proj", 1),
    "feed_forward.w3": ("mlp.up_proj", 0),
}
_NAME = re.compile(r"layers\.(0|[1-9][0-9]{0,5})\.([a-z0-9_.]+)\.weight", re.ASCII)
_FREQUENCIES = "rope.freqs"  # follow from the configuration
_READ = frozenset(
    """
    dim ffn_dim_multiplier multiple_of n_heads n_kv_heads n_layers norm_eps rope_scaling_factor rope_theta
    use_scaled_rope vocab_size
    """.split()
)
_INERT = frozenset({"max_batch_size", "max_seq_len", "model_parallel_size"})
_LARGEST = sys.float_info.max  # an integer of JSON may lie beyond it
_ABSENT: tuple[Any, ...] = (None, False, -1, "", [], {})


class MetaCheckpoint(Laid):
    """A folder with `params.json` and `consolidated.NN.pth`; see `puna.weights.checkpoint.Checkpoint`."""

    format = "pth"
    tokenizer_metadata: dict[str, object] | None = None

    def __init__(self, folder: Path) -> None:
        """Open and check the folder; raise `ModelFileError` for anything but one whole Llama."""
        self.path = folder
        params = read_json(folder / PARAMS)
        params = params["model"] if isinstance(params.get("model"), dict) else params
        self.size_bytes = 0
        shards = []
        for path in _shards(folder):
            tensors, size = read_pth(path)
            shards.append(tensors)
            self.size_bytes += size
        self._parts = _gathered(folder, shards, size_of(folder, params, "dim"))
        self.config = _config(folder, params, self._parts)
        self._shapes = expected_shapes(folder, self.config, len(self._parts))
        check_shapes(folder, self._shapes, {name: _shape(*each) for name, each in self._parts.items()})

    def type_name(self, name: str) -> str:
        """Give the stored dtype, as "BF16"; raise `ModelFileError` if there is no such tensor."""
        return KINDS[self._stored(name)[0][0].dtype]

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Give a tensor in its own memory; raise `ModelFileError` if there is none of this name."""
        return self._joined(name).to(dtype, copy=True)

    def rows(self, name: str) -> Tensor:
        """Give a tensor as stored, uint8 [..., bytes a row]."""
        return self._joined(name).view(torch.uint8)

    def _stored(self, name: str) -> tuple[list[Tensor], int]:
        self.shape(name)
        return self._parts[name]

    def _joined(self, name: str) -> Tensor:
        """Put the parts together, rows of q and k in Hugging Face's order."""
        parts, dim = self._stored(name)
        whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim)
        heads = permuted_heads(name, self.config)
        return whole if heads is None else unpermute(whole, heads)


def _shards(folder: Path) -> list[Path]:
    """Give the files in their order; they are numbered from 00 on."""
    paths = sorted(path for path in folder.glob("consolidated.*.pth") if SHARD.fullmatch(path.name))
    if not paths:
        raise refuse("E-WEIGHTS-MISSING", folder / "consolidated.00.pth")
    numbers = [int(path.suffixes[0][1:]) for path in paths]
    if numbers != list(range(len(paths))):
        raise refuse("E-PTH-SHARDS", folder, count=len(paths), last=paths[-1].name)
    for path in paths:
        check_inside(path)
    return paths


Part = tuple[list[Tensor], int]  # and the dimension along which they stand side by side


def _gathered(folder: Path, shards: list[dict[str, Tensor]], width: int) -> dict[str, Part]:
    """Give the parts of each tensor under Hugging Face's name."""
    found: dict[str, Part] = {}
    names = {name for shard in shards for name in shard if name != _FREQUENCIES}
    for name in sorted(names):
        theirs, dim = _named(folder, name)
        if any(name not in shard for shard in shards):
            raise refuse("E-TENSOR-MISSING", folder, name=name)
        parts = [shard[name] for shard in shards]
        if dim is None:
            parts, dim = parts[:1], 0
        first = parts[0]
        if theirs == EMBEDDING and first.shape[1:] != (width,):
            dim = 1  # Llama 1 and 2 cut the embedding along its width, Llama 3 along the vocabulary
        for part in parts:
            across = [size for n, size in enumerate(part.shape) if n != dim]
            if part.ndim != first.ndim or across != [size for n, size in enumerate(first.shape) if n != dim]:
                raise refuse(
                    "E-TENSOR-SHAPE", folder, name=name, shape=tuple(part.shape), wanted=tuple(first.shape)
                )
            if part.dtype != first.dtype:
                raise refuse("E-PTH-SHARDS", folder, count=len(parts), last=name)
        found[theirs] = parts, dim
    return found


def _named(folder: Path, name: str) -> tuple[str, int | None]:
    if (match := _NAME.fullmatch(name)) and match[2] in _LAYER:
        part, dim = _LAYER[match[2]]
        return f"model.layers.{match[1]}.{part}.weight", dim
    stem, _, kind = name.rpartition(".")
    if kind != "weight" or stem not in _WHOLE:
        raise refuse("E-TENSOR-UNEXPECTED", folder, name=name)
    return _WHOLE[stem]


def _shape(parts: list[Tensor], dim: int) -> tuple[int, ...]:
    shape = list(parts[0].shape)
    if shape:
        shape[dim] = sum(part.shape[dim] for part in parts)
    return tuple(shape)


def _config(folder: Path, params: Mapping[str, Any], parts: Mapping[str, Part]) -> dict[str, Any]:
    """Give the configuration in Hugging Face's keys."""
    for key, value in params.items():
        if key not in _READ | _INERT and value not in _ABSENT:
            raise refuse("E-CONFIG-UNKNOWN", folder, key=key, value=value)
    width, heads = size_of(folder, params, "dim"), size_of(folder, params, "n_heads")
    if width % heads or (width // heads) % 2:
        raise refuse("E-CONFIG-VALUE", folder, key="dim", value=width, wanted=f"an even multiple of {heads}")
    vocab = params.get("vocab_size")
    if vocab in (None, -1):
        vocab = _shape(*parts[EMBEDDING])[0] if EMBEDDING in parts else None
    config: dict[str, Any] = {
        "architectures": [LLAMA.model],
        "model_type": LLAMA.name,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": _ffn_width(folder, params, width),
        "num_hidden_layers": size_of(folder, params, "n_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": size_of(folder, params, "n_kv_heads", heads),
        "rms_norm_eps": _number(folder, params, "norm_eps", None),
        "rope_theta": _number(folder, params, "rope_theta", 10_000.0),
        "vocab_size": size_of(folder, {"vocab_size": vocab}, "vocab_size"),
        "tie_word_embeddings": HEAD not in parts,
    }
    scaled = bool(params.get("use_scaled_rope"))
    if scaled:
        # `params.json` does not say the factor; Meta's are 8, but 32 for the small models of Llama 3.2.
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": _number(folder, params, "rope_scaling_factor", 32.0 if width < 4096 else 8.0),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    elif params.get("rope_scaling_factor") is not None:
        raise refuse("E-CONFIG-UNKNOWN", folder, key="rope_scaling_factor", value=params["rope_scaling_factor"])
    config["max_position_embeddings"] = _context(config, scaled=scaled)
    return config


def _ffn_width(folder: Path, params: Mapping[str, Any], width: int) -> int:
    """Two thirds of four widths, times a number, up to a multiple of another."""
    multiple = size_of(folder, params, "multiple_of", 256)
    wide = _number(folder, params, "ffn_dim_multiplier", 1.0) * (8 * width // 3)
    if wide == math.inf:
        key = "ffn_dim_multiplier"
        raise refuse("E-CONFIG-VALUE", folder, key=key, value=params[key], wanted="a number that leaves it finite")
    whole = int(wide)
    return -(-whole // multiple) * multiple


def _context(config: Mapping[str, Any], *, scaled: bool) -> int:
    """Give the positions that a model was trained for: what tells its generation is its base, and then its epsilon.

    In the order of the cases: Llama 3.1 and 3.2; 3; Code Llama; 2; 1.
    """
    theta = config["rope_theta"]
    if scaled:
        return 131072
    if theta > 10_000.0:
        return 8192 if theta == 500_000.0 else 16384
    return 4096 if config["rms_norm_eps"] > 5e-6 else 2048


def _number(folder: Path, params: Mapping[str, Any], key: str, default: float | None) -> float:
    value = params.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LARGEST:
        raise refuse("E-CONFIG-VALUE", folder, key=key, value=value, wanted="a positive number")
    return float(value)

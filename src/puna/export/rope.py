"""How rotary frequencies are scaled, in the keys and tensors of a GGUF file, and back in those of `config.json`.

llama.cpp computes linear scaling and YaRN itself; Llama 3's scaling comes to it as divisors of the plain frequencies, one
for each pair, and LongRoPE as two sets of them.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from puna.errors import ModelFileError
from puna.llama.config import LlamaConfig
from puna.llama.rope import frequencies
from puna.llama.rope_config import RopeConfig

_SCALING = "rope.scaling."
_DIVISORS, _LONG, _SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
_USUAL = (1.0, 4.0, 8192)  # of Llama 3.1 to 3.3: low and high frequency factor, context before scaling
_SAME = 1e-6  # of a divisor, which is fp32


def gguf_rope(config: LlamaConfig) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Give the keys below the architecture's, and the tensors.

    Raises ModelFileError for a scaling that llama.cpp does not compute.
    """
    rope = config.rope
    keys: dict[str, object] = {"rope.freq_base": rope.theta, "rope.dimension_count": rope.head_dim}
    if rope.kind == "default":
        return keys, {}
    if rope.kind == "dynamic" or rope.options.get("truncate", True) is False:
        raise ModelFileError("E-EXPORT-ROPE", kind="dynamic" if rope.kind == "dynamic" else "yarn, truncate false")
    if rope.kind == "linear":
        return {**keys, f"{_SCALING}type": "linear", f"{_SCALING}factor": rope.factor}, {}
    if rope.kind in ("llama3", "divisors"):
        if rope.attention_factor not in (None, 1.0):
            raise ModelFileError("E-EXPORT-ROPE", kind=f"{rope.kind}, attention_factor {rope.attention_factor}")
        return keys, {_DIVISORS: _divisors(rope)}
    scale = frequencies(rope, rope.original)[1]
    keys |= {f"{_SCALING}type": rope.kind, f"{_SCALING}original_context_length": rope.original}
    if rope.kind == "yarn":
        keys[f"{_SCALING}factor"] = rope.factor
        for key, usual in (("beta_fast", 32.0), ("beta_slow", 1.0)):
            if (value := float(rope.options.get(key) or usual)) != usual:
                keys[f"{_SCALING}yarn_{key}"] = value
        scale /= 0.1 * math.log(rope.factor) + 1 if rope.factor > 1 else 1.0  # which llama.cpp multiplies by anyway
    if abs(scale - 1) > _SAME:
        keys[f"{_SCALING}attn_factor"] = scale
    if rope.kind == "yarn":
        return keys, {}
    return keys, {
        name: torch.tensor(rope.options[key], dtype=torch.float32)
        for name, key in ((_LONG, "long_factor"), (_SHORT, "short_factor"))
    }


def known_scaling(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give `rope_scaling` for divisors: Llama 3's where there are such numbers, else LongRoPE's, which holds any."""
    sizes = LlamaConfig.from_dict(config)
    divisors = torch.tensor(sizes.rope.options["divisors"], dtype=torch.float64)
    for low, high, original in (_USUAL, *_fitted(sizes.rope, divisors)):
        said = {
            "rope_type": "llama3",
            "factor": float(divisors.max()),
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": original,
        }
        if float(divisors.max()) < 1 or not low < high:
            continue
        raw = {"rope_theta": sizes.rope.theta, "rope_scaling": said}
        made = _divisors(RopeConfig.from_dict(raw, head_dim=sizes.head_dim, context=sizes.context))
        if bool(((made - divisors).abs() <= _SAME * divisors).all()):
            return said
    listed = divisors.tolist()
    return {
        "rope_type": "longrope",
        "short_factor": listed,
        "long_factor": listed,
        "attention_factor": 1.0,
        "original_max_position_embeddings": sizes.context,
    }


def _fitted(rope: RopeConfig, divisors: Tensor) -> list[tuple[float, float, int]]:
    """Find Llama 3's numbers from two pairs between the slow and the fast ones, where they change along a line."""
    factor = float(divisors.max())
    keep = (factor / divisors - 1) / (factor - 1) if factor > 1 else torch.zeros_like(divisors)
    between = ((keep > 1e-6) & (keep < 1 - 1e-6)).nonzero()[:, 0]
    if len(between) < 2:
        return []
    first, last = int(between[0]), int(between[-1])
    plain = frequencies(RopeConfig(rope.head_dim, rope.theta), 1)[0].double()
    slope = float((keep[last] - keep[first]) / (plain[last] - plain[first]))
    offset = float(keep[first] - slope * plain[first])
    if not offset < 0 < slope:
        return []
    high = 1 - 1 / offset  # with a low factor of 1: larger ones go with a longer context, and mean the same
    return [(1.0, round(high, 4), round(slope * 2 * math.pi * (high - 1)))]


def _divisors(rope: RopeConfig) -> Tensor:
    plain = frequencies(RopeConfig(rope.head_dim, rope.theta), 1)[0].double()
    return (plain / frequencies(rope, 1)[0].double()).float()

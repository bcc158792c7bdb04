"""Rotary position embedding: frequencies of every published scaling, and the rotation in both pairings.

Su et al. 2021 (RoFormer); linear: Chen et al. 2023; dynamic NTK and YaRN: Peng et al. 2023; LongRoPE: Ding et
al. 2024; Llama 3: Meta's reference code. Frequencies are plain fp32 tensors, never module buffers, so no
`.to(bfloat16)` can round them (bf16 cannot tell position 256 from 257).
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from puna.errors import ModelFileError
from puna.llama.rope_config import RopeConfig
from puna.shapes import Float, Int

_LARGEST = torch.finfo(torch.float32).max
# Said each time, since what is made is kept: a model may be built under `with torch.device("meta")`.
_HERE = torch.device("cpu")


@lru_cache(maxsize=32)  # a tenth of a millisecond, which every token written would pay
@torch.inference_mode(False)  # whoever comes first: the tensor may serve one who trains
def frequencies(config: RopeConfig, length: int) -> tuple[Float[Tensor, " half"], float]:
    """Give (inverse frequencies [E/2] fp32 in radians a position, factor on cos and sin).

    `length`: positions of the whole sequence; only dynamic NTK and LongRoPE look at it.
    Computed in float64, rounded once.
    """
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float64, device=_HERE) / config.head_dim
    theta, factor, options = config.theta, config.factor, config.options
    scale = 1.0
    if config.kind == "dynamic":
        # NTK-aware: the base grows so that the slowest pair stretches by the wanted ratio, the fastest not.
        ratio = factor * max(length, config.original) / config.original - (factor - 1)
        theta *= ratio ** (config.head_dim / (config.head_dim - 2))
    inverse = theta**-exponent
    if config.kind == "linear":
        inverse = inverse / factor
    elif config.kind == "divisors":
        inverse = inverse / torch.tensor(options["divisors"], dtype=torch.float64, device=_HERE)
    elif config.kind == "longrope":
        key = "long_factor" if length > config.original else "short_factor"
        inverse = inverse / torch.tensor(options[key], dtype=torch.float64, device=_HERE)
        scale = math.sqrt(1 + math.log(factor) / math.log(config.original)) if factor > 1 else 1.0
    elif config.kind == "llama3":
        inverse = _llama3(inverse, config)
    elif config.kind == "yarn":
        inverse, scale = _yarn(inverse, config)
    if config.attention_factor is not None:
        scale = config.attention_factor
    return inverse.float(), scale


def checked(config: RopeConfig, context: int) -> RopeConfig:
    """Give the configuration back; raise ModelFileError where its numbers, each of them sound, make no frequencies."""
    try:
        made = [frequencies(config, length) for length in (1, context)]
        sound = all(bool(inverse.isfinite().all()) and 0 < scale < _LARGEST for inverse, scale in made)
    except (ArithmeticError, RuntimeError, ValueError):
        sound = False
    if not sound:
        kind = f"{config.kind}, theta {config.theta:.6g}, factor {config.factor:.6g}"
        raise ModelFileError("E-CONFIG-VALUE", key="rope", value=kind, wanted="finite frequencies")
    return config


def _llama3(inverse: Tensor, config: RopeConfig) -> Tensor:
    """Slow waves are divided by the factor, fast ones kept, those between blended by turns in the context."""
    low, high = config.options["low_freq_factor"], config.options["high_freq_factor"]
    turns = config.original * inverse / (2 * math.pi)
    keep = ((turns - low) / (high - low)).clamp(0, 1)
    blended: Tensor = keep * inverse + (1 - keep) * inverse / config.factor
    return blended


def _yarn(inverse: Tensor, config: RopeConfig) -> tuple[Tensor, float]:
    """NTK-by-parts: a linear ramp over the pair index between the pairs that turn beta_fast and beta_slow times."""
    half, options = config.head_dim // 2, config.options

    def pair_that_turns(times: float) -> float:
        return half * math.log(config.original / (times * 2 * math.pi)) / math.log(config.theta)

    first, last = (pair_that_turns(float(options.get(k) or d)) for k, d in (("beta_fast", 32), ("beta_slow", 1)))
    if options.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, config.head_dim - 1)
    ramp = (torch.arange(half, dtype=torch.float64, device=_HERE) - first) / max(last - first, 0.001)
    interpolate = ramp.clamp(0, 1)  # 0 for the fast pairs, which keep their frequency

    def temperature(weight: float) -> float:
        return 0.1 * weight * math.log(config.factor) + 1 if config.factor > 1 else 1.0

    mscale, all_dim = options.get("mscale"), options.get("mscale_all_dim")
    scale = temperature(float(mscale)) / temperature(float(all_dim)) if mscale and all_dim else temperature(1.0)
    return (1 - interpolate) * inverse + interpolate * inverse / config.factor, scale


def tables(
    config: RopeConfig, positions: Int[Tensor, " T"], length: int
) -> tuple[Float[Tensor, "T half"], Float[Tensor, "T half"]]:
    """Give cos and sin [T, E/2] in fp32 for the positions (any order, repeats allowed).

    Rounded from fp64: torch's cosine in fp32 differs in the last bit by where in memory a number stands, and with it a
    score from one process to the next.
    """
    inverse, scale = frequencies(config, length)
    angles = (positions.float()[:, None] * inverse.to(positions.device)).double()
    return angles.cos().float() * scale, angles.sin().float() * scale


def rotate(
    x: Float[Tensor, "T heads E"],
    cos: Float[Tensor, "T half"],
    sin: Float[Tensor, "T half"],
    pairing: str = "half",
) -> Float[Tensor, "T heads E"]:
    """Turn each pair of `x` by its angle, in fp32.

    "half" pairs (i, i+E/2), Hugging Face's layout; "interleaved" pairs (2i, 2i+1), Meta's and GGUF's. The two
    agree once the rows of the q and k weights are permuted (`puna.weights.names`).
    """
    cos, sin, x = cos[:, None], sin[:, None], x.float()
    if pairing == "half":
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)

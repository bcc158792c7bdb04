"""Which rotary frequencies a model uses, read from the keys of `config.json`, every number checked."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from puna.errors import ModelFileError
from puna.weights.refuse import shown

_MOST = 1 << 31  # positions
KINDS = ("default", "linear", "dynamic", "yarn", "llama3", "longrope", "divisors")
# The keys of each kind beyond factor, original context and attention factor: needed ones, then others known.
_NEEDED: dict[str, tuple[str, ...]] = {
    "llama3": ("low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
    "divisors": ("divisors",),
}
_KNOWN: dict[str, tuple[str, ...]] = {"yarn": ("beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate")}


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Which frequencies: `kind` is one of KINDS, `original` the context before scaling, in positions.

    "divisors" is how GGUF files carry Llama-3 scaling: the plain frequencies, each divided by a number.
    """

    head_dim: int
    theta: float
    kind: str = "default"
    factor: float = 1.0
    original: int = 2048
    attention_factor: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Hash all but the options, which cannot be."""
        return hash((self.head_dim, self.theta, self.kind, self.factor, self.original, self.attention_factor))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], *, head_dim: int, context: int) -> "RopeConfig":
        """Read `rope_parameters`, or the older `rope_theta` and `rope_scaling` with `type` or `rope_type`.

        Raises ModelFileError for an unknown type or key, a missing one, and numbers that are none.
        """
        scaling: dict[str, Any] = {}
        for place in ("rope_scaling", "rope_parameters"):
            part = raw.get(place) or {}
            if not isinstance(part, Mapping):
                raise _wrong(place, part, "a set of keys")
            scaling.update(part)
        old = scaling.pop("type", None)
        kind = scaling.pop("rope_type", None) or old or "default"
        if kind not in KINDS:
            raise ModelFileError("E-ROPE-TYPE", kind=shown(kind), kinds=", ".join(KINDS[:-1]))
        theta = _number("rope_theta", scaling.pop("rope_theta", None) or raw.get("rope_theta") or 10000.0)
        original = scaling.pop("original_max_position_embeddings", None)
        original = int(_number("original_max_position_embeddings", original)) if original else None
        if original and original >= _MOST:
            raise _wrong("original_max_position_embeddings", original, f"less than {_MOST}")
        attention_factor = scaling.pop("attention_factor", None)
        if attention_factor is not None:
            attention_factor = _number("attention_factor", attention_factor)
        if (share := scaling.pop("partial_rotary_factor", None)) not in (None, 1.0):
            raise _wrong("partial_rotary_factor", share, "1 in a Llama model")
        factor = scaling.pop("factor", None)
        if factor is None:
            if kind in ("linear", "dynamic", "llama3"):
                raise ModelFileError("E-ROPE-KEY", kind=kind, key="factor")
            factor = context / original if original else 1.0
        _check(kind, scaling, head_dim // 2)
        return cls(head_dim, theta, kind, _number("factor", factor), original or context, attention_factor, scaling)


def _check(kind: str, options: Mapping[str, Any], half: int) -> None:
    """Raise for missing keys, unknown keys, lists of another length than the pairs, and what is no number."""
    for key in _NEEDED.get(kind, ()):
        if options.get(key) is None:
            raise ModelFileError("E-ROPE-KEY", kind=kind, key=key)
    for key, value in options.items():
        if value is None:
            continue
        if key not in _NEEDED.get(kind, ()) + _KNOWN.get(kind, ()):
            raise ModelFileError("E-CONFIG-UNKNOWN", key=f"rope {kind}: {shown(key)}", value=shown(value))
        if key == "truncate":
            if not isinstance(value, bool):
                raise _wrong(key, value, "true or false")
        elif key not in ("short_factor", "long_factor", "divisors"):
            _number(key, value)
        elif not isinstance(value, list) or len(value) != half:
            raise _wrong(key, value, f"a list of {half} numbers")
        else:
            for item in value:
                _number(key, item)
    if kind == "llama3" and not options["low_freq_factor"] < options["high_freq_factor"]:
        raise _wrong("low_freq_factor", options["low_freq_factor"], "less than high_freq_factor")


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise _wrong(key, value, "a positive number")
    return float(value)


def _wrong(key: str, value: Any, wanted: str) -> ModelFileError:
    return ModelFileError("E-CONFIG-VALUE", key=key, value=shown(value), wanted=wanted)

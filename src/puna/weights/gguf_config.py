"""GGUF metadata in the form of Hugging Face's `config.json`, and the check that the tensors fit it.

Keys: `gguf.constants.Keys`; what they mean where they are left out: llama.cpp's loader (`load_hparams`). A key below the
architecture's name that is not known here may change what the model computes, and is an error.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from puna.weights.architectures import gguf_architecture
from puna.weights.blocks import is_quantised
from puna.weights.gguf import GgufFile
from puna.weights.layout import EMBEDDING, HEAD, check_ids, check_shapes, expected_shapes
from puna.weights.names import to_hugging_face
from puna.weights.refuse import refuse

_WINDOW = "attention.sliding_window"
_USED = frozenset(
    """
    attention.head_count attention.head_count_kv attention.key_length attention.layer_norm_rms_epsilon
    attention.value_length block_count context_length embedding_length feed_forward_length
    rope.dimension_count rope.freq_base rope.scale_linear rope.scaling.attn_factor rope.scaling.factor
    rope.scaling.original_context_length rope.scaling.type rope.scaling.yarn_attn_factor
    rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow rope.scaling.yarn_ext_factor vocab_size
    """.split()
)
# `finetuned` tells how the model was trained for its context; `tensor_data_layout` that q and k are permuted.
_INERT = frozenset({"rope.scaling.finetuned", "tensor_data_layout"})
# Values under which a key that llama.cpp reads changes nothing.
_NEUTRAL: dict[str, object] = {
    "attention.causal": True,
    "attention.clamp_kqv": 0.0,
    _WINDOW: 0,
    "expert_count": 0,
    "expert_used_count": 0,
    "pooling_type": 0,
    "rope.scaling.yarn_log_multiplier": 0.0,
    "use_parallel_residual": False,
}
_SCALING = "rope.scaling."
_YARN_ONLY = tuple(f"{_SCALING}yarn_{key}" for key in ("attn_factor", "beta_fast", "beta_slow", "ext_factor"))
_DIVISORS, _LONG, _SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
_ROPE_TENSORS = frozenset({_DIVISORS, _LONG, _SHORT})
_SPECIAL = ("bos", "eos", "eot", "eom")
# Any bias makes all of its kind due, which the check of the tensors enforces.
_BIASES = {
    "attention_bias": tuple(f".self_attn.{part}_proj.bias" for part in "qkvo"),
    "mlp_bias": tuple(f".mlp.{part}_proj.bias" for part in ("gate", "up", "down")),
}


def read_config(file: GgufFile) -> dict[str, Any]:
    """Give the configuration in Hugging Face's keys, with tensors and special ids checked against it.

    Raises `ModelFileError` for another architecture, a missing or senseless value, a key that is not known,
    missing, unexpected or misshapen tensors.
    """
    reader = _Reader(file.path, file.metadata)
    architecture = reader.architecture
    reader.check_purpose()
    reader.check_keys()
    width, heads = reader.size("embedding_length"), reader.size("attention.head_count")
    head_dim = _head_dim(reader, width, heads)
    shapes = _shapes(file)
    config: dict[str, Any] = {
        "architectures": [architecture.model],
        "model_type": architecture.name,
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": reader.size("feed_forward_length"),
        "num_hidden_layers": reader.size("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": reader.size("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "rms_norm_eps": reader.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": reader.number("rope.freq_base", 10_000.0),
        "rope_scaling": _rope_scaling(reader, file, head_dim),
        "max_position_embeddings": reader.size("context_length"),
        "vocab_size": reader.size("vocab_size", shapes[EMBEDDING][0] if EMBEDDING in shapes else None),
        "tie_word_embeddings": HEAD not in shapes,
        **{
            key: any(name.endswith(ends) for name in shapes)
            for key, ends in _BIASES.items()
            if key in architecture.keys
        },
        **({"sliding_window": reader.size(_WINDOW)} if architecture.windowed else {}),
        **_special_ids(reader),
    }
    _check_vocabulary(reader, config)
    check_shapes(file.path, expected_shapes(file.path, config, len(shapes)), shapes)
    return config


class _Reader:
    """Typed reading of the keys below the architecture's name; every failure names the key."""

    def __init__(self, path: Path, metadata: Mapping[str, object]) -> None:
        """Raise `ModelFileError` for an architecture that Puna does not compute."""
        self.path, self.metadata = path, metadata
        kind = self.plain("general.architecture", "missing")
        window = self.plain(f"{kind}.{_WINDOW}", 0) != 0
        self.architecture = gguf_architecture(kind, window=window)
        self.prefix = f"{self.architecture.gguf}."

    def fail(self, key: str, value: object, wanted: str) -> NoReturn:
        raise refuse("E-CONFIG-VALUE", self.path, key=self.prefix + key, value=value, wanted=wanted)

    def plain(self, key: str, default: object = None) -> object:
        """Read a value that is a string, a number or a boolean (`key` in full); an array is refused."""
        value = self.metadata.get(key, default)
        if isinstance(value, list | np.ndarray):
            raise refuse("E-CONFIG-VALUE", self.path, key=key, value=value, wanted="a single value")
        return value

    def check_purpose(self) -> None:
        """Refuse adapters and projectors, and one part of a split file."""
        purpose = self.plain("general.type", "model")
        if purpose != "model":
            raise refuse("E-CONFIG-VALUE", self.path, key="general.type", value=purpose, wanted="model")
        parts = self.plain("split.count", 1)
        if parts not in (0, 1):
            raise refuse("E-GGUF-SPLIT", self.path, parts=parts)

    def check_keys(self) -> None:
        """Refuse a key that may change the maths and is not read here."""
        for key, value in self.metadata.items():
            part = key.removeprefix(self.prefix)
            if part == key or part in _USED or part in _INERT or (part == _WINDOW and self.architecture.windowed):
                continue
            if part not in _NEUTRAL or isinstance(value, list | np.ndarray) or value != _NEUTRAL[part]:
                raise refuse("E-CONFIG-UNKNOWN", self.path, key=key, value=value)

    def size(self, key: str, default: int | None = None) -> int:
        """Read a positive integer below 2^31; the same number for every layer may be written as an array."""
        value = self.metadata.get(self.prefix + key, default)
        if isinstance(value, np.ndarray) and value.size and (value == value[0]).all():
            value = value[0].item()
        if type(value) is not int or not 0 < value < 1 << 31:
            self.fail(key, "missing" if value is None else value, "a positive whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Read a positive finite number."""
        value = self.metadata.get(self.prefix + key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            self.fail(key, "missing" if value is None else value, "a positive number")
        return float(value)


def _head_dim(reader: _Reader, width: int, heads: int) -> int:
    """Read E: key_length, or D/H; values are as long as keys, and the rotation turns the whole head."""
    if reader.prefix + "attention.key_length" not in reader.metadata and width % heads:
        reader.fail("embedding_length", width, f"a multiple of {heads}")
    head_dim = reader.size("attention.key_length", width // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if (length := reader.size(key, head_dim)) != head_dim:
            reader.fail(key, length, str(head_dim))
    if head_dim % 2:
        reader.fail("attention.key_length", head_dim, "an even number")
    return head_dim


def _rope_scaling(reader: _Reader, file: GgufFile, head_dim: int) -> dict[str, Any] | None:
    """Read how rotary frequencies are scaled: metadata, or the tensors that carry Llama-3's and LongRoPE's."""
    kind = reader.plain(f"{reader.prefix}{_SCALING}type")
    if kind not in (None, "none", "linear", "yarn", "longrope"):
        raise refuse("E-ROPE-TYPE", file.path, kind=kind, kinds="linear, yarn, longrope")
    factor = 1.0 if kind == "none" else _factor(reader)
    attention = reader.number(_SCALING + "attn_factor", 1.0)
    carried = _ROPE_TENSORS & file.tensors.keys()
    if carried and (kind == "yarn" or factor != 1.0 or carried >= {_DIVISORS, _LONG}):
        raise refuse("E-GGUF-ROPE-TWICE", file.path, name=min(carried))
    if kind == "yarn":
        return _yarn(reader, factor, attention)
    for key in _YARN_ONLY:
        if (value := reader.metadata.get(reader.prefix + key)) is not None:
            raise refuse("E-CONFIG-UNKNOWN", file.path, key=reader.prefix + key, value=value)
    if kind == "longrope" or _LONG in carried or _SHORT in carried:
        return {
            "rope_type": "longrope",
            "long_factor": _factors(file, _LONG, head_dim),
            "short_factor": _factors(file, _SHORT, head_dim),
            "original_max_position_embeddings": _original(reader),
            "attention_factor": attention,
        }
    if attention != 1.0:
        raise refuse("E-CONFIG-UNKNOWN", file.path, key=f"{reader.prefix}{_SCALING}attn_factor", value=attention)
    if _DIVISORS in carried:
        return {"rope_type": "divisors", "divisors": _factors(file, _DIVISORS, head_dim)}
    return {"rope_type": "linear", "factor": factor} if factor != 1.0 else None


def _factor(reader: _Reader) -> float:
    """Read the factor under its name or its former one; as in llama.cpp, 0 says that nothing is scaled."""
    key = "rope.scale_linear" if f"{reader.prefix}{_SCALING}factor" not in reader.metadata else f"{_SCALING}factor"
    return 1.0 if reader.plain(reader.prefix + key, 0) == 0 else reader.number(key)


def _original(reader: _Reader) -> int:
    return reader.size(_SCALING + "original_context_length", reader.size("context_length"))


def _yarn(reader: _Reader, factor: float, attention: float) -> dict[str, Any]:
    """Read YaRN's keys; ggml multiplies cos and sin by 0.1 ln(factor) + 1 and by both attention factors."""
    stem = _SCALING + "yarn_"
    if (mix := reader.number(stem + "ext_factor", 1.0)) != 1.0:
        reader.fail(stem + "ext_factor", mix, "1")
    attention *= reader.number(stem + "attn_factor", 1.0)
    scaling: dict[str, Any] = {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": _original(reader),
        "beta_fast": reader.number(stem + "beta_fast", 32.0),
        "beta_slow": reader.number(stem + "beta_slow", 1.0),
    }
    if attention != 1.0:
        scaling["attention_factor"] = attention * (0.1 * math.log(factor) + 1.0)
    return scaling


def _factors(file: GgufFile, name: str, head_dim: int) -> list[float]:
    """Read E/2 divisors of the rotary frequencies; each must be a positive finite number."""
    if name not in file.tensors:
        raise refuse("E-TENSOR-MISSING", file.path, name=name)
    shape = file.tensors[name].shape
    if shape != (head_dim // 2,):
        raise refuse("E-TENSOR-SHAPE", file.path, name=name, shape=shape, wanted=(head_dim // 2,))
    factors: list[float] = file.tensor(name).tolist()
    for factor in factors:
        if not 0 < factor < math.inf:
            raise refuse("E-CONFIG-VALUE", file.path, key=name, value=factor, wanted="positive numbers")
    return factors


def _special_ids(reader: _Reader) -> dict[str, Any]:
    """Read the special ids; the ends of text, of a turn and of a message all end an answer."""
    bos, *ends = (reader.plain(f"tokenizer.ggml.{name}_token_id") for name in _SPECIAL)
    ids: dict[str, Any] = {"bos_token_id": bos}
    known = [end for index, end in enumerate(ends) if end is not None and end not in ends[:index]]
    ids["eos_token_id"] = known[0] if len(known) == 1 else known
    return {key: value for key, value in ids.items() if value not in (None, [])}


def _check_vocabulary(reader: _Reader, config: dict[str, Any]) -> None:
    """Every row of the embedding has one token, and every special id is one of them."""
    tokens, vocab = reader.metadata.get("tokenizer.ggml.tokens"), config["vocab_size"]
    if tokens is not None and (not isinstance(tokens, list) or len(tokens) != vocab):
        count = len(tokens) if isinstance(tokens, list) else tokens
        raise refuse(
            "E-CONFIG-VALUE", reader.path, key="tokenizer.ggml.tokens", value=count, wanted=f"{vocab} tokens"
        )
    check_ids(reader.path, config, vocab)


def _shapes(file: GgufFile) -> dict[str, tuple[int, ...]]:
    """Give Hugging Face name -> shape; raise for a tensor that no model has."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, info in file.tensors.items():
        if name in _ROPE_TENSORS or _is_inert(name):
            continue
        theirs = to_hugging_face(name)
        if theirs is None:
            raise refuse("E-TENSOR-UNEXPECTED", file.path, name=name)
        if len(info.shape) == 1 and is_quantised(info.kind):  # rows of a bias could not be moved
            raise refuse("E-CONFIG-VALUE", file.path, key=name, value=info.kind, wanted="F32, F16, BF16")
        shapes[theirs] = info.shape
    return shapes


def _is_inert(name: str) -> bool:
    """Old converters stored the plain rotary frequencies of each layer; llama.cpp skips them as well."""
    return name.startswith("blk.") and name.endswith(".attn_rot_embd.weight")

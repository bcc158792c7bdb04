"""Which tensors a model of a given configuration has, in what shapes, under Hugging Face's names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from puna.weights.architectures import architecture_of
from puna.weights.refuse import refuse

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"

_MAX_SIZE = 1 << 31
_PER_LAYER = 9  # tensors without biases


class Laid:
    """What all forms of a checkpoint share: the tensors that its configuration calls for, by name."""

    path: Path
    _shapes: dict[str, tuple[int, ...]]

    def names(self) -> list[str]:
        """List the tensors that the model has, under Hugging Face's names; a tied head is not listed."""
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape; raise `ModelFileError` if there is none of this name."""
        if name not in self._shapes:
            raise refuse("E-TENSOR-MISSING", self.path, name=name)
        return self._shapes[name]


def size_of(path: Path, config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """Read a positive integer below 2^31 from a configuration in Hugging Face's form."""
    value = config.get(key)
    if value is None:
        value = default
    if type(value) is not int or not 0 < value < _MAX_SIZE:
        raise refuse("E-CONFIG-VALUE", path, key=key, value=value, wanted="a positive whole number")
    return value


def expected_shapes(path: Path, config: Mapping[str, Any], present: int) -> dict[str, tuple[int, ...]]:
    """Give name -> shape of every tensor that the configuration calls for; letters as in `puna.shapes`.

    `present` is how many tensors the file has: a configuration that claims more layers than those could make up
    is refused before anything is listed. Raises `ModelFileError` for that and for sizes that are none.
    """
    layers, width = size_of(path, config, "num_hidden_layers"), size_of(path, config, "hidden_size")
    heads = size_of(path, config, "num_attention_heads")
    kv_heads = size_of(path, config, "num_key_value_heads", heads)
    head_dim = size_of(path, config, "head_dim", width // heads)
    ffn, vocab = size_of(path, config, "intermediate_size"), size_of(path, config, "vocab_size")
    if layers * _PER_LAYER > present:
        raise refuse("E-TENSOR-LAYERS", path, layers=layers, needed=layers * _PER_LAYER, present=present)
    architecture = architecture_of(config)
    biased = {f"self_attn.{part}_proj" for part in architecture.biased(config)}
    if "mlp_bias" in architecture.keys and config.get("mlp_bias"):
        biased |= {f"mlp.{part}_proj" for part in ("gate", "up", "down")}
    norms = {"input_layernorm": width, "post_attention_layernorm": width}
    if architecture.head_norms:
        norms |= {"self_attn.q_norm": head_dim, "self_attn.k_norm": head_dim}
    rows = {
        "self_attn.q_proj": (heads * head_dim, width),
        "self_attn.k_proj": (kv_heads * head_dim, width),
        "self_attn.v_proj": (kv_heads * head_dim, width),
        "self_attn.o_proj": (width, heads * head_dim),
        "mlp.gate_proj": (ffn, width),
        "mlp.up_proj": (ffn, width),
        "mlp.down_proj": (width, ffn),
    }
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (vocab, width)}
    for layer in range(layers):
        stem = f"model.layers.{layer}."
        for norm, size in norms.items():
            shapes[f"{stem}{norm}.weight"] = (size,)
        for part, shape in rows.items():
            shapes[f"{stem}{part}.weight"] = shape
            if part in biased:
                shapes[f"{stem}{part}.bias"] = shape[:1]
    shapes["model.norm.weight"] = (width,)
    if not config.get("tie_word_embeddings"):
        shapes[HEAD] = (vocab, width)
    return shapes


def check_shapes(path: Path, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ModelFileError` unless `found` has exactly the wanted tensors in the wanted shapes."""
    for name, shape in wanted.items():
        if name not in found:
            raise refuse("E-TENSOR-MISSING", path, name=name)
        if found[name] != shape:
            raise refuse("E-TENSOR-SHAPE", path, name=name, shape=found[name], wanted=shape)
    for name in found:
        if name not in wanted:
            raise refuse("E-TENSOR-UNEXPECTED", path, name=name)


def check_ids(path: Path, config: Mapping[str, Any], vocab: int) -> None:
    """Raise `ModelFileError` if an id that begins or ends a text is outside the vocabulary of `vocab` rows."""
    for key in ("bos_token_id", "eos_token_id"):
        value = config.get(key)
        tokens: Iterable[object] = value if isinstance(value, list) else () if value is None else (value,)
        for token in tokens:
            if type(token) is not int or not 0 <= token < vocab:
                raise refuse("E-CONFIG-VALUE", path, key=key, value=token, wanted=f"an id below {vocab}")

"""What a model computes, read from the keys of Hugging Face's `config.json`.

GGUF metadata arrives here in the same keys (see `puna.weights.gguf_config`), so there is one reading of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from puna.errors import InputError, ModelFileError
from puna.llama.rope import checked
from puna.llama.rope_config import RopeConfig
from puna.weights.architectures import Architecture, architecture_of
from puna.weights.refuse import shown

# Keys that say nothing about the forward pass of a trained model: bookkeeping, generation, training.
_INERT = frozenset(
    """
    _attn_implementation_autoset _flash_attn_2_enabled _name_or_path add_cross_attention architectures
    attention_dropout attn_implementation bad_words_ids begin_suppress_tokens bos_token_id
    chunk_size_feed_forward cross_attention_hidden_size decoder_start_token_id dtype embd_pdrop eos_token_id
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id hidden_dropout
    id2label initializer_range is_decoder is_encoder_decoder is_llama_config keys_to_ignore_at_inference
    label2id max_length max_sequence_length mlp_dropout model_type num_labels output_attentions
    output_hidden_states pad_token_id prefix pretraining_tp problem_type resid_pdrop return_dict
    rope_interleaved sep_token_id task_specific_params tf_legacy_loss tie_encoder_decoder tokenizer_class
    torch_dtype torchscript transformers.js_config transformers_version unsloth_fixed unsloth_version
    use_bfloat16 use_cache
    """.split()
)
# Those that every family has; its own are in `puna.weights.architectures`.
_MATHS = frozenset(
    """
    head_dim hidden_act hidden_size intermediate_size max_position_embeddings num_attention_heads
    num_hidden_layers num_key_value_heads rms_norm_eps rope_parameters rope_scaling rope_theta
    tie_word_embeddings vocab_size
    """.split()
)
_LAYER_TYPES = ("full_attention", "sliding_attention")
# What an unknown key may hold and still change nothing.
_ABSENT: tuple[Any, ...] = (None, False, 0, 0.0, 1.0, "", [], {})


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """Sizes and constants of one model; letters as in `puna.shapes`."""

    vocab_size: int  # V
    width: int  # D
    layers: int  # L
    heads: int  # H
    kv_heads: int  # K
    head_dim: int  # E
    ffn_width: int  # F
    norm_eps: float
    rope: RopeConfig
    context: int  # positions the model was trained for
    tied: bool  # the head is the embedding
    attention_bias: bool  # of q, k and v
    output_bias: bool  # of o
    mlp_bias: bool
    head_norms: bool  # queries and keys are normed head by head
    window: int  # a sliding layer's token sees so many, the last of them itself; 0: no layer slides
    sliding: range | tuple[int, ...]  # the layers that do

    def check_ids(self, lowest: int, highest: int) -> None:
        """Raise InputError for ids without a row of the embedding: a tokenizer may have more tokens than the model."""
        if not 0 <= lowest <= highest < self.vocab_size:
            raise InputError("E-TOKEN-ID", id=lowest if lowest < 0 else highest, size=self.vocab_size)

    @property
    def groups(self) -> int:
        """G = H/K, query heads that share one key-value head."""
        return self.heads // self.kv_heads

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "LlamaConfig":
        """Read `config.json` keys; raise ModelFileError for what this model does not compute."""
        architecture = architecture_of(raw)
        raw, known = architecture.complete(raw), _INERT | _MATHS | architecture.keys
        for key, value in raw.items():
            if key not in known and (value is True or value not in _ABSENT):  # which 1.0 alone would let pass
                raise ModelFileError("E-CONFIG-UNKNOWN", key=shown(key), value=shown(value))
        if raw.get("hidden_act", "silu") != "silu":
            raise ModelFileError("E-CONFIG-VALUE", key="hidden_act", value=shown(raw["hidden_act"]), wanted="silu")
        heads = _positive(raw, "num_attention_heads")
        kv_heads = _positive(raw, "num_key_value_heads", default=heads)
        width = _positive(raw, "hidden_size")
        if heads % kv_heads:
            raise ModelFileError(
                "E-CONFIG-VALUE", key="num_key_value_heads", value=kv_heads, wanted=f"a divisor of {heads}"
            )
        if raw.get("head_dim") is None and width % heads:
            raise ModelFileError("E-CONFIG-VALUE", key="hidden_size", value=width, wanted=f"a multiple of {heads}")
        head_dim = _positive(raw, "head_dim", default=width // heads)
        if head_dim % 2:
            raise ModelFileError("E-CONFIG-VALUE", key="head_dim", value=head_dim, wanted="an even number")
        context = _positive(raw, "max_position_embeddings", default=2048)
        layers, biased = _positive(raw, "num_hidden_layers"), architecture.biased(raw)
        window, sliding = _window(architecture, raw, layers)
        return cls(
            vocab_size=_positive(raw, "vocab_size"),
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            ffn_width=_positive(raw, "intermediate_size"),
            norm_eps=_fraction(raw, "rms_norm_eps"),
            rope=checked(RopeConfig.from_dict(raw, head_dim=head_dim, context=context), context),
            context=context,
            tied=bool(raw.get("tie_word_embeddings", False)),
            attention_bias="q" in biased,
            output_bias="o" in biased,
            mlp_bias=bool(raw.get("mlp_bias", False)),
            head_norms=architecture.head_norms,
            window=window,
            sliding=sliding,
        )


def _window(architecture: Architecture, raw: Mapping[str, Any], layers: int) -> tuple[int, range | tuple[int, ...]]:
    """Read the sliding window and the layers that have it, as Transformers does: (0, none) where none has."""
    kinds = raw.get("layer_types") if "layer_types" in architecture.keys else None
    on = architecture.windowed or bool(raw.get("use_sliding_window"))
    window = _positive(raw, "sliding_window") if on and raw["sliding_window"] is not None else 0
    if kinds is not None:
        wanted = _LAYER_TYPES if window else _LAYER_TYPES[:1]
        if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in wanted for kind in kinds):
            said = f"{layers} times {' or '.join(wanted)}"
            raise ModelFileError("E-CONFIG-VALUE", key="layer_types", value=shown(kinds), wanted=said)
        sliding: range | tuple[int, ...] = tuple(n for n, kind in enumerate(kinds) if kind == _LAYER_TYPES[1])
    elif window:
        sliding = range(0 if architecture.windowed else _natural(raw, "max_window_layers"), layers)
    else:
        sliding = range(0)
    return (window, sliding) if sliding else (0, ())


def _natural(raw: Mapping[str, Any], key: str) -> int:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ModelFileError("E-CONFIG-VALUE", key=key, value=shown(value), wanted="a whole number")
    return value


def _positive(raw: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = raw.get(key)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise ModelFileError("E-CONFIG-VALUE", key=key, value=shown(value), wanted="a positive whole number")
    return value


def _fraction(raw: Mapping[str, Any], key: str) -> float:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ModelFileError("E-CONFIG-VALUE", key=key, value=shown(value), wanted="a number from 0 to 1")
    return float(value)

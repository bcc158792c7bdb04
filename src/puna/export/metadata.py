"""The keys of a GGUF model file: a GGUF file's own, or those that say what `config.json` says."""

from collections import Counter
from collections.abc import Mapping

import torch
from gguf.constants import LlamaFileType
from torch import Tensor

from puna.errors import ModelFileError
from puna.export.rope import gguf_rope
from puna.llama.config import LlamaConfig
from puna.tokens.folder_vocab import read_folder
from puna.tokens.gguf_export import gguf_keys
from puna.weights.architectures import Architecture, architecture_of
from puna.weights.blocks import is_quantised
from puna.weights.checkpoint import Checkpoint

# Said anew of what is written, or by the writer itself.
_STALE = frozenset(
    {"general.architecture", "general.file_type", "general.quantization_version", "general.alignment"}
)
_QUANTISATION = 2  # version of ggml's block layouts
_SMALL = {"Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S"}  # llama.cpp's names where all but the head have one type


def model_keys(checkpoint: Checkpoint, kinds: Mapping[str, str]) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Give the keys of the file, and the tensors that are no weights (divisors of rotary frequencies).

    Raises ModelFileError for what a GGUF file cannot say.
    """
    config, architecture = LlamaConfig.from_dict(checkpoint.config), architecture_of(checkpoint.config)
    if config.window and not architecture.windowed:
        raise ModelFileError("E-EXPORT-LAYERS", window=config.window, layers=len(config.sliding))
    if config.head_norms and config.attention_bias:
        raise ModelFileError("E-EXPORT-BIAS", family=architecture.name)
    rope, tensors = gguf_rope(config)
    if checkpoint.tokenizer_metadata is not None:
        keys = {
            key: value
            for key, value in checkpoint.tokenizer_metadata.items()
            if key not in _STALE and not key.startswith("split.")
        }
    else:
        path = checkpoint.path
        folder = path if path.is_dir() else path.parent
        keys = {"general.type": "model", "general.name": folder.resolve().name}
        keys |= _sizes(architecture, config, rope)
        keys |= gguf_keys(read_folder(folder), config.vocab_size)
        if type(pad := checkpoint.config.get("pad_token_id")) is int and 0 <= pad < config.vocab_size:
            keys["tokenizer.ggml.padding_token_id"] = pad
    keys["general.file_type"] = _file_type(checkpoint, kinds)
    if any(map(is_quantised, kinds.values())):
        keys["general.quantization_version"] = _QUANTISATION
    return keys, tensors


def _sizes(architecture: Architecture, config: LlamaConfig, rope: Mapping[str, object]) -> dict[str, object]:
    keys = {
        "vocab_size": config.vocab_size,
        "context_length": config.context,
        "embedding_length": config.width,
        "block_count": config.layers,
        "feed_forward_length": config.ffn_width,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": _single(config.norm_eps),
    }
    if config.window:
        keys["attention.sliding_window"] = config.window
    every = {**keys, **{key: _single(value) if isinstance(value, float) else value for key, value in rope.items()}}
    return {f"{architecture.gguf}.{key}": value for key, value in every.items()}


def _single(value: float) -> float:
    """Round to fp32, the type in which llama.cpp wants its numbers."""
    return float(torch.tensor(value, dtype=torch.float32))


def _file_type(checkpoint: Checkpoint, kinds: Mapping[str, str]) -> int:
    """Give the number of the type that most matrices have; it is only shown."""
    most = Counter(kind for name, kind in kinds.items() if len(checkpoint.shape(name)) > 1).most_common(1)[0][0]
    name = "ALL_F32" if most == "F32" else f"MOSTLY_{_SMALL.get(most, most)}"
    return int(LlamaFileType.__members__.get(name, LlamaFileType.GUESSED))

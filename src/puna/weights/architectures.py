"""What sets a family of models apart: each is a few words here, read wherever it matters, and no model of its own.

All compute as Llama does. `config.json` names a family by `model_type`, a GGUF file by `general.architecture`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from puna.errors import ModelFileError
from puna.weights.refuse import shown


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family.

    permuted: rows of q and k in GGUF files are in Meta's order (`puna.weights.names`). biases: which of the projections
    q, k, v, o always have one. head_norms: queries and keys are normed head by head before they are turned. windowed: all
    layers have the window that `sliding_window` says. keys: those of `config.json` that change what is computed, beside
    the ones that every family has. defaults: what `config.json` means where it says nothing.
    """

    name: str  # model_type
    model: str  # Transformers' class
    gguf: str  # general.architecture
    permuted: bool = False
    biases: str = ""
    head_norms: bool = False
    windowed: bool = False
    keys: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def complete(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Give a configuration with what it leaves unsaid."""
        return {**self.defaults, **config}

    def biased(self, config: Mapping[str, Any]) -> str:
        """Give which of the projections q, k, v, o have a bias in a model of this configuration."""
        return "qkvo" if "attention_bias" in self.keys and config.get("attention_bias") else self.biases


_SLIDING = frozenset({"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"})
_QWEN = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}

LLAMA = Architecture(
    "llama",
    "LlamaForCausalLM",
    "llama",
    permuted=True,
    keys=frozenset({"attention_bias", "mlp_bias"}),
    defaults={"max_position_embeddings": 2048},
)
ARCHITECTURES = (
    LLAMA,
    Architecture(
        "mistral",
        "MistralForCausalLM",
        "llama",
        permuted=True,
        windowed=True,
        keys=frozenset({"sliding_window"}),
        defaults={"max_position_embeddings": 131072, "sliding_window": 4096},
    ),
    Architecture(
        "qwen2",
        "Qwen2ForCausalLM",
        "qwen2",
        biases="qkv",
        keys=_SLIDING,
        defaults={"max_position_embeddings": 32768, **_QWEN},
    ),
    Architecture(
        "qwen3",
        "Qwen3ForCausalLM",
        "qwen3",
        head_norms=True,
        keys=_SLIDING | {"attention_bias"},
        defaults={"max_position_embeddings": 32768, "head_dim": 128, **_QWEN},
    ),
)


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """Give the family of a model by `config.json`; raise ModelFileError for one that Puna does not compute."""
    kind = config.get("model_type", "missing")
    for architecture in ARCHITECTURES:
        if architecture.name == kind:
            return architecture
    raise _unknown(kind)


def gguf_architecture(kind: object, *, window: bool) -> Architecture:
    """Give the family of a GGUF file's model by its `general.architecture`, and by whether it has a window.

    Mistral has Llama's name there. Raises ModelFileError for one that Puna does not compute.
    """
    named = [each for each in ARCHITECTURES if isinstance(kind, str) and each.gguf == kind]
    if not named:
        raise _unknown(kind)
    return next((architecture for architecture in named if architecture.windowed == window), named[0])


def _unknown(kind: object) -> ModelFileError:
    known = ", ".join(architecture.name for architecture in ARCHITECTURES)
    return ModelFileError("E-ARCHITECTURE", architecture=shown(kind), known=known)

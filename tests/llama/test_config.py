"""What a configuration may say; a model that would be computed wrongly is refused."""

from typing import Any

import pytest

from puna.errors import ModelFileError
from puna.llama.config import LlamaConfig
from tests.oracle.tiny import BASE

GOOD = {**BASE, "model_type": "llama"}


def read(**changes: Any) -> LlamaConfig:
    return LlamaConfig.from_dict({**GOOD, **changes})


def test_sizes() -> None:
    config = read(head_dim=20)
    assert (config.heads, config.kv_heads, config.groups, config.head_dim) == (6, 3, 2, 20)
    assert read().head_dim == 8
    assert LlamaConfig.from_dict({k: v for k, v in GOOD.items() if k != "num_key_value_heads"}).kv_heads == 6


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("name", ["type", "rope_type"])
def test_old_and_new_names_of_scaling(key: str, name: str) -> None:
    rope = read(**{key: {name: "linear", "factor": 3.0}}, rope_theta=77.0).rope
    assert (rope.kind, rope.factor, rope.theta) == ("linear", 3.0, 77.0)


def test_theta_from_either_place() -> None:
    assert read(rope_theta=5.0).rope.theta == 5.0
    assert read(rope_parameters={"rope_type": "default", "rope_theta": 6.0}).rope.theta == 6.0
    assert read().rope.theta == 10000.0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model_type": "mamba"}, "E-ARCHITECTURE"),
        ({"model_type": None}, "E-ARCHITECTURE"),
        ({"logit_scale": 0.5}, "E-CONFIG-UNKNOWN"),
        ({"use_alibi": True}, "E-CONFIG-UNKNOWN"),
        ({"sliding_window": 4096}, "E-CONFIG-UNKNOWN"),
        ({"quantization_config": {"bits": 4}}, "E-CONFIG-UNKNOWN"),
        ({"hidden_act": "gelu"}, "E-CONFIG-VALUE"),
        ({"num_attention_heads": 0}, "E-CONFIG-VALUE"),
        ({"num_attention_heads": True}, "E-CONFIG-VALUE"),
        ({"num_attention_heads": "6"}, "E-CONFIG-VALUE"),
        ({"num_attention_heads": 5}, "E-CONFIG-VALUE"),
        ({"num_key_value_heads": 4}, "E-CONFIG-VALUE"),
        ({"head_dim": 7}, "E-CONFIG-VALUE"),
        ({"hidden_size": 2**40}, "E-CONFIG-VALUE"),
        ({"rms_norm_eps": None}, "E-CONFIG-VALUE"),
        ({"rms_norm_eps": float("nan")}, "E-CONFIG-VALUE"),
        ({"rope_scaling": {"rope_type": "spiral"}}, "E-ROPE-TYPE"),
        ({"rope_scaling": {"type": "linear"}}, "E-ROPE-KEY"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "E-ROPE-KEY"),
        (
            {"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}},
            "E-CONFIG-VALUE",
        ),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "twist": 1}}, "E-CONFIG-UNKNOWN"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 0.0}}, "E-CONFIG-VALUE"),
        ({"rope_scaling": {"rope_type": "linear", "factor": "two"}}, "E-CONFIG-VALUE"),
        ({"rope_scaling": "linear"}, "E-CONFIG-VALUE"),
        ({"rope_theta": -1.0}, "E-CONFIG-VALUE"),
        ({"rope_theta": "big"}, "E-CONFIG-VALUE"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "E-CONFIG-VALUE"),
        ({"rope_scaling": {"rope_type": ["yarn"]}}, "E-ROPE-TYPE"),
        (
            {
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 2.0,
                    "high_freq_factor": 2.0,
                }
            },
            "E-CONFIG-VALUE",
        ),
        ({"rope_scaling": {"rope_type": "divisors", "divisors": [1.0, 0.0, 1.0, 1.0]}}, "E-CONFIG-VALUE"),
        # Each number is sound, or was taken for one; together they make no frequencies.
        ({"rope_theta": 10**400}, "E-CONFIG-VALUE"),
        ({"rope_theta": 1e-300}, "E-CONFIG-VALUE"),
        ({"rope_theta": 1.0, "rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "E-CONFIG-VALUE"),
        ({"head_dim": 2, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "E-CONFIG-VALUE"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 10**400}}, "E-CONFIG-VALUE"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1e300}},
            "E-CONFIG-VALUE",
        ),
        (
            {
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 1,
                    "high_freq_factor": 10**300,
                }
            },
            "E-CONFIG-VALUE",
        ),
        (
            {
                "rope_scaling": {
                    "rope_type": "longrope",
                    "short_factor": [1.0] * 4,
                    "long_factor": [1.0] * 4,
                    "factor": 2.0,
                    "original_max_position_embeddings": 1,
                }
            },
            "E-CONFIG-VALUE",
        ),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_factor": 1e300}}, "E-CONFIG-VALUE"),
    ],
)
def test_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        read(**changes)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_inert_and_absent_keys_are_fine() -> None:
    read(_flash_attn_2_enabled=True, _attn_implementation_autoset=True, max_sequence_length=2048)
    read(torch_dtype="bfloat16", use_cache=True, sliding_window=None, logit_scale=1.0, attn_logit_softcapping=None)

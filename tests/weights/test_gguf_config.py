"""GGUF metadata as Hugging Face's configuration: what is read, and what is refused rather than ignored."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from puna.errors import ModelFileError
from puna.weights.gguf import GgufFile
from puna.weights.gguf_config import read_config
from tests.weights.tiny_model import SIZES, THETA, Tiny, add_keys

Change = Callable[[gguf.GGUFWriter], None]
E = SIZES["head_dim"]


def shapes() -> dict[str, tuple[int, ...]]:
    d, f, q, k = 96, 160, 6 * E, 3 * E
    made: dict[str, tuple[int, ...]] = {"token_embd.weight": (96, d), "output_norm.weight": (d,)}
    for layer in range(2):
        parts = {"attn_norm": (d,), "ffn_norm": (d,), "attn_q": (q, d), "attn_k": (k, d), "attn_v": (k, d)}
        parts |= {"attn_output": (d, q), "ffn_gate": (f, d), "ffn_up": (f, d), "ffn_down": (d, f)}
        made |= {f"blk.{layer}.{part}.weight": shape for part, shape in parts.items()}
    return made


def make(
    path: Path,
    change: Change | None = None,
    *,
    without: tuple[str, ...] = (),
    add: dict[str, tuple[int, ...] | np.ndarray] | None = None,
    arch: str = "llama",
) -> GgufFile:
    """A file of zeros with the keys of the tiny model; `without` drops keys or tensors."""
    writer = gguf.GGUFWriter(path, arch)
    add_keys(writer, SIZES)
    if change:
        change(writer)
    for key in without:
        writer.kv_data[0].pop(key, None)
    for name, shape in {**shapes(), **(add or {})}.items():
        if name not in without:
            tensor = shape if isinstance(shape, np.ndarray) else np.zeros(shape, np.float32)
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return GgufFile(path)


def refused(code: str, named: str, file: GgufFile) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_config(file)
    assert caught.value.code == code
    assert named in str(caught.value)


def test_equals_transformers_configuration(tiny: Tiny) -> None:
    config = read_config(GgufFile(tiny.gguf))
    for key in tiny.config.keys() - {"pad_token_id"}:  # nothing is ever padded
        assert config[key] == pytest.approx(tiny.config[key]), key
    assert config["rope_theta"] == THETA
    assert config["rope_scaling"] is None
    assert config["model_type"] == "llama"
    assert config["architectures"] == ["LlamaForCausalLM"]


def test_default_model(default_model: Path) -> None:
    """The values of the published config.json of SmolLM2-135M-Instruct."""
    config = read_config(GgufFile(default_model))
    wanted = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "rope_theta": 100_000.0,
        "max_position_embeddings": 8192,
        "vocab_size": 49_152,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    assert {key: config[key] for key in wanted} == wanted
    assert config["rms_norm_eps"] == pytest.approx(1e-5)


def test_defaults_where_keys_are_absent(tmp_path: Path) -> None:
    bare = (
        "llama.rope.freq_base",
        "llama.vocab_size",
        "llama.attention.value_length",
        "llama.rope.dimension_count",
    )
    config = read_config(make(tmp_path / "x", without=bare))
    assert config["rope_theta"] == 10_000.0
    assert config["vocab_size"] == 96
    assert config["tie_word_embeddings"] is True
    assert config["head_dim"] == E


def test_head_dim_defaults_to_width_by_heads(tmp_path: Path) -> None:
    """Without key_length it is D/H = 16: then neither rope.dimension_count 20 nor the tensors fit."""
    refused("E-CONFIG-VALUE", "length", make(tmp_path / "x", without=("llama.attention.key_length",)))
    keys = ("llama.attention.key_length", "llama.attention.value_length", "llama.rope.dimension_count")
    refused("E-TENSOR-SHAPE", "[96, 96]", make(tmp_path / "y", without=keys))


def test_inert_and_neutral_keys_are_accepted(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.add_expert_count(0)
        writer.add_tensor_data_layout("Meta AI original pth")
        writer.add_rope_scaling_finetuned(True)
        writer.add_causal_attention(True)
        writer.add_string("general.anything", "x")

    add = {"blk.0.attn_rot_embd.weight": (10,)}
    assert read_config(make(tmp_path / "x", change, add=add)) == read_config(make(tmp_path / "y"))


UNKNOWN: dict[str, Change] = {
    "llama.expert_count": lambda w: w.add_expert_count(8),
    "llama.logit_scale": lambda w: w.add_logit_scale(0.5),
    "llama.attention.causal": lambda w: w.add_causal_attention(False),
    "llama.attention.scale": lambda w: w.add_attention_scale(0.1),
    "llama.residual_scale": lambda w: w.add_residual_scale(2.0),
    "llama.embedding_scale": lambda w: w.add_embedding_scale(2.0),
    "llama.final_logit_softcapping": lambda w: w.add_final_logit_softcapping(30.0),
    "llama.something.new": lambda w: w.add_bool("llama.something.new", False),
    "llama.rope.scaling.yarn_log_multiplier": lambda w: w.add_rope_scaling_yarn_log_mul(0.1),
    "llama.rope.scaling.yarn_beta_fast": lambda w: w.add_float32("llama.rope.scaling.yarn_beta_fast", 16.0),
    "llama.rope.scaling.attn_factor": lambda w: w.add_rope_scaling_attn_factors(1.2),
}


@pytest.mark.parametrize("key", UNKNOWN)
def test_keys_that_may_change_the_maths_are_refused(key: str, tmp_path: Path) -> None:
    refused("E-CONFIG-UNKNOWN", key, make(tmp_path / "x", UNKNOWN[key]))


@pytest.mark.parametrize(
    "key",
    [
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.layer_norm_rms_epsilon",
    ],
)
def test_required_keys(key: str, tmp_path: Path) -> None:
    refused("E-CONFIG-VALUE", f"llama.{key}", make(tmp_path / "x", without=(f"llama.{key}",)))


SCALARS = [
    *(f"llama.{key}" for key in ("block_count", "rope.freq_base", "rope.scaling.type", "rope.scaling.factor")),
    *("general.architecture", "general.type", "split.count", "tokenizer.ggml.bos_token_id"),
    *("tokenizer.ggml.eos_token_id", "llama.attention.key_length", "llama.rope.scale_linear", "llama.expert_count"),
]


@pytest.mark.parametrize("key", SCALARS)
@pytest.mark.parametrize("value", [[1, 2], ["a", "b"], "text", -1, math.nan, math.inf])
def test_values_of_a_wrong_type_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[0].pop(key, None)
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_int32(key, value)

    with pytest.raises(ModelFileError):
        read_config(make(tmp_path / "x", change))


def test_uniform_per_layer_arrays_are_one_number(tmp_path: Path) -> None:
    def change(values: list[int]) -> Change:
        return lambda w: (w.kv_data[0].pop("llama.attention.head_count_kv"), w.add_head_count_kv(values))[1]

    assert read_config(make(tmp_path / "x", change([3, 3])))["num_key_value_heads"] == 3
    refused("E-CONFIG-VALUE", "head_count_kv", make(tmp_path / "y", change([3, 6])))


@pytest.mark.parametrize("arch", ["qwen2moe", "mistral3", "gemma", "LLAMA", "mistral", ""])
def test_other_architectures(arch: str, tmp_path: Path) -> None:
    refused("E-ARCHITECTURE", arch, make(tmp_path / "x", arch=arch))


def test_a_window_makes_it_mistral(tmp_path: Path) -> None:
    """Both have Llama's name; the window stands in a key. Of Qwen's it would not say which layers have it."""
    config = read_config(make(tmp_path / "x", lambda w: w.add_sliding_window(4096)))
    assert (config["model_type"], config["sliding_window"]) == ("mistral", 4096)
    assert config["architectures"] == ["MistralForCausalLM"]
    assert read_config(make(tmp_path / "y", lambda w: w.add_sliding_window(0)))["model_type"] == "llama"
    refused(
        "E-CONFIG-VALUE",
        "window",
        make(tmp_path / "z", lambda w: w.add_int32("llama.attention.sliding_window", -1)),
    )
    add = {f"blk.{n}.attn_{p}.bias": (r,) for n in range(2) for p, r in (("q", 6 * E), ("k", 3 * E), ("v", 3 * E))}

    def qwen(writer: gguf.GGUFWriter) -> None:
        for key in list(writer.kv_data[0]):
            if key.startswith("llama."):
                writer.kv_data[0][key.replace("llama.", "qwen2.")] = writer.kv_data[0].pop(key)

    config = read_config(make(tmp_path / "q", qwen, add=add, arch="qwen2"))
    assert config["model_type"] == "qwen2"
    assert "attention_bias" not in config
    refused("E-TENSOR-MISSING", "q_proj.bias", make(tmp_path / "r", qwen, arch="qwen2"))

    def sliding(writer: gguf.GGUFWriter) -> None:
        qwen(writer)
        writer.add_uint32("qwen2.attention.sliding_window", 4096)

    refused(
        "E-CONFIG-UNKNOWN", "qwen2.attention.sliding_window", make(tmp_path / "s", sliding, add=add, arch="qwen2")
    )


def test_split_files_and_adapters(tmp_path: Path) -> None:
    refused("E-GGUF-SPLIT", "4", make(tmp_path / "x", lambda w: w.add_uint16("split.count", 4)))
    refused("E-CONFIG-VALUE", "adapter", make(tmp_path / "y", lambda w: w.add_type("adapter")))


def test_special_ids(tmp_path: Path) -> None:
    file = make(
        tmp_path / "x", lambda w: (w.add_eot_token_id(5), w.add_uint32("tokenizer.ggml.eom_token_id", 2))[1]
    )
    assert read_config(file)["eos_token_id"] == [2, 5]
    refused("E-CONFIG-VALUE", "eos_token_id", make(tmp_path / "y", lambda w: w.add_eot_token_id(96)))
    bad = make(tmp_path / "z", lambda w: w.kv_data[0].pop("tokenizer.ggml.tokens") and w.add_token_list(["a"] * 97))
    refused("E-CONFIG-VALUE", "tokens", bad)


@pytest.mark.parametrize("name", ["token_embd.weight", "output_norm.weight", "blk.1.ffn_up.weight"])
def test_missing_tensor(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_config(make(tmp_path / "x", without=(name,), add={"blk.0.attn_q.bias": (6 * E,)}))
    assert caught.value.code in {"E-TENSOR-MISSING", "E-TENSOR-LAYERS"}


@pytest.mark.parametrize("name", ["blk.2.attn_q.weight", "blk.0.ffn_gate_inp.weight", "extra", "model.norm.weight"])
def test_unexpected_tensor(name: str, tmp_path: Path) -> None:
    refused("E-TENSOR-UNEXPECTED", name.replace("blk.", "").split(".")[0], make(tmp_path / "x", add={name: (96,)}))


def test_some_biases_are_not_enough(tmp_path: Path) -> None:
    refused("E-TENSOR-MISSING", "bias", make(tmp_path / "x", add={"blk.0.attn_q.bias": (6 * E,)}))


def test_misshapen_tensors(tmp_path: Path) -> None:
    refused("E-TENSOR-SHAPE", "down_proj", make(tmp_path / "x", add={"blk.1.ffn_down.weight": (160, 96)}))
    refused("E-TENSOR-SHAPE", "norm", make(tmp_path / "y", add={"output_norm.weight": (96, 1)}))


def test_claimed_layers_are_not_listed_before_they_are_counted(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[0].pop("llama.block_count")
        writer.add_block_count(2**31 - 1)

    refused("E-TENSOR-LAYERS", "2147483647", make(tmp_path / "x", change))


def scaling(path: Path, change: Change | None = None, **tensors: np.ndarray) -> Any:
    return read_config(make(path, change, add={f"{k}.weight": v for k, v in tensors.items()}))["rope_scaling"]


def factors(first: float) -> np.ndarray:
    return np.linspace(first, 8, E // 2, dtype=np.float32)


def test_linear_scaling(tmp_path: Path) -> None:
    def typed(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(4.0)

    linear = {"rope_type": "linear", "factor": 4.0}
    assert scaling(tmp_path / "a", typed) == linear
    assert scaling(tmp_path / "b", lambda w: w.add_rope_scaling_factor(4.0)) == linear
    assert scaling(tmp_path / "c", lambda w: w.add_float32("llama.rope.scale_linear", 4.0)) == linear
    assert scaling(tmp_path / "d", lambda w: w.add_rope_scaling_factor(0.0)) is None
    assert scaling(tmp_path / "e", lambda w: w.add_rope_scaling_type(gguf.RopeScalingType.NONE)) is None


def test_yarn_scaling(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(8.0)
        writer.add_rope_scaling_orig_ctx_len(64)
        writer.add_float32("llama.rope.scaling.yarn_beta_fast", 16.0)

    want = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
    want |= {"beta_fast": 16.0, "beta_slow": 1.0}
    assert scaling(tmp_path / "a", change) == want

    def louder(writer: gguf.GGUFWriter) -> None:
        change(writer)
        writer.add_rope_scaling_attn_factors(2.0)

    got = scaling(tmp_path / "b", louder)
    assert got["attention_factor"] == pytest.approx(2.0 * (0.1 * math.log(8.0) + 1.0))


def test_llama3_divisors(tmp_path: Path) -> None:
    got = scaling(tmp_path / "a", rope_freqs=factors(1))
    assert got == {"rope_type": "divisors", "divisors": factors(1).tolist()}


def test_longrope_factors(tmp_path: Path) -> None:
    def change(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_orig_ctx_len(32)
        writer.add_rope_scaling_attn_factors(1.25)

    got = scaling(tmp_path / "a", change, rope_factors_long=factors(2), rope_factors_short=factors(1))
    assert got == {
        "rope_type": "longrope",
        "long_factor": factors(2).tolist(),
        "short_factor": factors(1).tolist(),
        "original_max_position_embeddings": 32,
        "attention_factor": 1.25,
    }


def test_senseless_scalings(tmp_path: Path) -> None:
    refused("E-TENSOR-SHAPE", "rope_freqs", make(tmp_path / "a", add={"rope_freqs.weight": (E,)}))
    zeros = {"rope_freqs.weight": np.zeros(E // 2, np.float32)}
    refused("E-CONFIG-VALUE", "rope_freqs", make(tmp_path / "b", add=zeros))
    twice = make(tmp_path / "c", lambda w: w.add_rope_scaling_factor(2.0), add={"rope_freqs.weight": factors(1)})
    refused("E-GGUF-ROPE-TWICE", "rope_freqs", twice)
    refused("E-TENSOR-MISSING", "short", make(tmp_path / "d", add={"rope_factors_long.weight": factors(1)}))
    longrope = make(tmp_path / "e", lambda w: w.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE))
    refused("E-TENSOR-MISSING", "rope_factors_long", longrope)
    refused("E-ROPE-TYPE", "ntk", make(tmp_path / "f", lambda w: w.add_string("llama.rope.scaling.type", "ntk")))


def test_quantised_vectors_are_refused(tmp_path: Path) -> None:
    """No converter writes them, and the rows of such a bias could not be moved."""
    path = tmp_path / "x"
    writer = gguf.GGUFWriter(path, "llama")
    add_keys(writer, SIZES)
    vector = gguf.quantize(np.ones(96, np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", vector, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused("E-CONFIG-VALUE", "Q8_0", GgufFile(path))

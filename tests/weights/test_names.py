"""Names both ways, and the order of q's and k's rows."""

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from puna.weights.names import permute, permuted_heads, to_gguf, to_hugging_face, unpermute
from tests.weights.tiny_model import interleave

heads_and_halves = st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 5))


@given(heads_and_halves)
def test_permute_is_the_index_formula_and_unpermute_its_inverse(sizes: tuple[int, int, int]) -> None:
    heads, half, width = sizes
    rows = np.arange(heads * 2 * half * width).reshape(heads * 2 * half, width)
    assert np.array_equal(permute(rows, heads), interleave(rows, heads))
    assert np.array_equal(unpermute(permute(rows, heads), heads), rows)
    assert np.array_equal(permute(unpermute(rows, heads), heads), rows)


@given(heads_and_halves)
def test_biases_raw_bytes_and_torch(sizes: tuple[int, int, int]) -> None:
    heads, half, width = sizes
    bias = torch.arange(heads * 2 * half)
    assert np.array_equal(permute(bias, heads).numpy(), interleave(bias.numpy(), heads))
    raw = torch.randint(0, 256, (heads * 2 * half, width * 20), dtype=torch.uint8)
    assert torch.equal(unpermute(permute(raw, heads), heads), raw)
    assert np.array_equal(permute(raw, heads).numpy(), interleave(raw.numpy(), heads))


def test_names_are_ggufs_own() -> None:
    """gguf-py's map from Hugging Face's names is the oracle."""
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 12)
    stems = ["model.embed_tokens", "model.norm", "lm_head"]
    for layer in (0, 3, 11):
        norms = ["input_layernorm", "post_attention_layernorm"]
        attention = [f"self_attn.{part}_proj" for part in "qkvo"]
        mlp = [f"mlp.{part}_proj" for part in ("gate", "up", "down")]
        stems += [f"model.layers.{layer}.{part}" for part in norms + attention + mlp]
    assert len(stems) == 3 + 3 * 9
    for stem in stems:
        assert to_gguf(f"{stem}.weight") == f"{table.get_name(stem)}.weight"
        assert to_hugging_face(f"{table.get_name(stem)}.weight") == f"{stem}.weight"
        if ".layers." in stem:
            assert to_hugging_face(to_gguf(f"{stem}.bias") or "") == f"{stem}.bias"


OTHERS = """blk.00.attn_q.weight blk.-1.attn_q.weight blk.1.attn_q blk.1.attn_q.scale blk.٣.attn_q.weight
blk.1.ffn_gate_exps.weight output output.bias rope_freqs.weight token_embd.weight.weight model.norm.weight"""


@pytest.mark.parametrize("name", [*OTHERS.split(), "", "blk.1.attn_q.weight\n"])
def test_other_gguf_names_have_none(name: str) -> None:
    assert to_hugging_face(name) is None


@pytest.mark.parametrize(
    "name", ["", "model.layers.01.mlp.up_proj.weight", "lm_head.bias", "model.layers.0.x.weight"]
)
def test_other_hugging_face_names_have_none(name: str) -> None:
    assert to_gguf(name) is None


def test_only_q_and_k_move() -> None:
    def moved(part: str, family: str = "llama") -> int | None:
        config = {"model_type": family, "num_attention_heads": 6, "num_key_value_heads": 3}
        return permuted_heads(f"model.layers.7.{part}", config)

    assert moved("self_attn.k_proj.weight", "mistral") == 3
    assert moved("self_attn.q_proj.weight", "qwen2") is moved("self_attn.k_proj.weight", "qwen3") is None
    assert moved("self_attn.q_norm.weight", "qwen3") is moved("self_attn.k_norm.weight") is None
    assert moved("self_attn.q_proj.weight") == moved("self_attn.q_proj.bias") == 6
    assert moved("self_attn.k_proj.weight") == moved("self_attn.k_proj.bias") == 3
    assert moved("self_attn.v_proj.weight") is moved("self_attn.o_proj.weight") is moved("mlp.up_proj.bias") is None

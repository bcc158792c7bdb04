"""Puna's model against Transformers on the same tiny random weights, in fp32."""

import copy

import pytest
import torch
from transformers.models.llama import modeling_llama as hf_llama

from puna.llama.attention import grouped_attention
from puna.llama.model import causal_mask
from puna.llama.norm import RMSNorm
from puna.llama.rope import frequencies, rotate, tables
from puna.llama.rope_config import RopeConfig
from tests.oracle.tiny import BASE, ROPES, SHAPES, Pair, make_pair

LENGTHS = (5, 33, 70)  # under, at and past the "original" contexts of the scaled types
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def whole(pair: Pair, ids: torch.Tensor) -> torch.Tensor:
    hidden = pair.puna(ids, torch.arange(len(ids)), None, causal_mask(0, len(ids)))
    return pair.puna.logits(hidden)


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("length", [*LENGTHS, 300])
def test_frequencies(rope: str, length: int) -> None:
    pair = make_pair(rope=rope)
    oracle = pair.hf.model.rotary_emb
    positions = torch.arange(length)
    cos, sin = oracle(torch.zeros(1), positions[None])
    ours = tables(pair.puna.config.rope, positions, length)
    half = cos.shape[-1] // 2
    torch.testing.assert_close(ours[0], cos[0, :, :half], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(ours[1], sin[0, :, :half], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("rope", ROPES)
def test_rotated_queries_and_keys(rope: str) -> None:
    pair = make_pair(rope=rope)
    positions = torch.randint(0, 60, (17,))
    q, k = torch.randn(17, 6, 8), torch.randn(17, 3, 8)
    length = int(positions.max()) + 1
    cos, sin = pair.hf.model.rotary_emb(torch.zeros(1), positions[None])
    want_q, want_k = hf_llama.apply_rotary_pos_emb(q.transpose(0, 1)[None], k.transpose(0, 1)[None], cos, sin)
    ours = tables(pair.puna.config.rope, positions, length)
    torch.testing.assert_close(rotate(q, *ours), want_q[0].transpose(0, 1), **CLOSE)
    torch.testing.assert_close(rotate(k, *ours), want_k[0].transpose(0, 1), **CLOSE)


def test_interleaved_pairing_is_the_half_pairing_permuted() -> None:
    config = RopeConfig(head_dim=10, theta=10000.0)
    cos, sin = tables(config, torch.arange(7), 7)
    x = torch.randn(7, 4, 10)
    mixed = torch.stack(x.chunk(2, dim=-1), dim=-1).flatten(-2)
    turned = rotate(mixed, cos, sin, "interleaved")
    torch.testing.assert_close(torch.cat((turned[..., 0::2], turned[..., 1::2]), -1), rotate(x, cos, sin))


def test_interleaved_pairing_is_a_complex_product() -> None:
    config = RopeConfig(head_dim=12, theta=10000.0)
    positions = torch.tensor([0, 3, 1000])
    x = torch.randn(3, 2, 12)
    inverse, _ = frequencies(config, 1)
    turn = torch.polar(torch.ones(3, 6), positions[:, None] * inverse)
    want = torch.view_as_real(torch.view_as_complex(x.view(3, 2, 6, 2)) * turn[:, None]).flatten(-2)
    torch.testing.assert_close(rotate(x, *tables(config, positions, 1), "interleaved"), want, **CLOSE)


@pytest.mark.parametrize("eps", [1e-6, 1e-5, 0.1])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_norm(eps: float, scale: float) -> None:
    oracle, ours = hf_llama.LlamaRMSNorm(48, eps), RMSNorm(48, eps)
    oracle.weight.data.normal_(1, 0.5)
    ours.load_state_dict(oracle.state_dict())
    x = torch.randn(9, 48) * scale
    torch.testing.assert_close(ours(x), oracle(x), **CLOSE)


@pytest.mark.parametrize(("heads", "kv_heads"), [(6, 3), (6, 6), (6, 1), (12, 4)])
def test_grouped_attention_is_attention_with_repeated_heads(heads: int, kv_heads: int) -> None:
    q, k, v = torch.randn(7, heads, 8), torch.randn(kv_heads, 11, 8), torch.randn(kv_heads, 11, 8)
    bias = torch.zeros(7, 11).masked_fill(~causal_mask(4, 7), float("-inf"))
    wide = [x.repeat_interleave(heads // kv_heads, 0).double() for x in (k, v)]
    scores = torch.einsum("the,hse->hts", q.double(), wide[0]) / 8**0.5 + bias
    want = torch.einsum("hts,hse->the", scores.softmax(-1), wide[1])
    torch.testing.assert_close(grouped_attention(q, k, v, bias).double(), want, **CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
def test_attention_and_block(shape: str) -> None:
    pair = make_pair(SHAPES[shape])
    x = torch.randn(13, 48)
    positions = torch.arange(13)
    cos_sin = pair.hf.model.rotary_emb(x, positions[None])
    bias = torch.zeros(13, 13).masked_fill(~causal_mask(0, 13), float("-inf"))
    ours = tables(pair.puna.config.rope, positions, 13)
    for mine, theirs in zip(pair.puna.model.layers, pair.hf.model.layers, strict=True):
        want = theirs.self_attn(x[None], position_embeddings=cos_sin, attention_mask=bias[None, None])[0][0]
        torch.testing.assert_close(mine.self_attn(x, *ours, bias, None, 0), want, **CLOSE)
        want = theirs(x[None], position_embeddings=cos_sin, attention_mask=bias[None, None])
        want = want[0] if isinstance(want, tuple) else want
        torch.testing.assert_close(mine(x, *ours, bias, None, 0), want.reshape(13, 48), **CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_of_every_shape(shape: str) -> None:
    pair = make_pair(SHAPES[shape])
    for length in LENGTHS:
        ids = torch.randint(0, BASE["vocab_size"], (length,))
        torch.testing.assert_close(whole(pair, ids), pair.hf(ids[None]).logits[0], **CLOSE)


@pytest.mark.parametrize("rope", ROPES)
def test_logits_of_every_rope_type(rope: str) -> None:
    for length in LENGTHS:
        pair = make_pair(rope=rope)  # afresh: Transformers' dynamic types keep state between calls
        ids = torch.randint(0, BASE["vocab_size"], (length,))
        torch.testing.assert_close(whole(pair, ids), pair.hf(ids[None]).logits[0], **CLOSE)


def test_eps_shows_in_the_logits() -> None:
    """The battery above would miss an eps that is ignored if it made no difference."""
    ids = torch.randint(0, 97, (9,))
    small, large = make_pair(), make_pair({"rms_norm_eps": 0.05})
    assert (whole(small, ids) - whole(large, ids)).abs().max() > 1e-3


def test_two_thetas_in_one_process() -> None:
    first, second = make_pair(rope="default"), make_pair(rope="theta")
    ids = torch.randint(0, 97, (40,))
    for pair in (first, second, first):
        torch.testing.assert_close(whole(pair, ids), pair.hf(ids[None]).logits[0], **CLOSE)


def test_bf16_leaves_the_frequencies_alone() -> None:
    puna = copy.deepcopy(make_pair().puna)
    before = frequencies(puna.config.rope, 8)[0]
    after = frequencies(puna.to(torch.bfloat16).config.rope, 8)[0]
    assert after.dtype == torch.float32
    assert torch.equal(before, after)
    cos, _ = tables(puna.config.rope, torch.tensor([256, 257]), 300)
    assert not torch.equal(cos[0], cos[1])

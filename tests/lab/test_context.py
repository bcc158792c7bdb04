"""Rotary scalings against Transformers', surprise against its logits, the hidden key against one forward for each key."""

import math
import random

import pytest
import torch
from transformers import LlamaConfig as HfConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from puna.errors import InputError
from puna.lab.context import (
    DEPTHS,
    DYNAMIC,
    KEYS,
    SCALINGS,
    Haystack,
    bits_per_byte,
    recall,
    rope_parameters,
    stretched,
    surprises,
)
from puna.llama.config import LlamaConfig
from puna.llama.load import load
from puna.llama.rope import frequencies
from puna.native.library import engines
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny
from tests.oracle.tiny import make_pair

CONTEXT = 1024  # of the tiny file


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return open_checkpoint(write_tiny(tmp_path_factory.mktemp("model") / "tiny.gguf", head=32, ffn=64))


@pytest.fixture(scope="module")
def tokenizer(checkpoint):
    return Tokenizer.from_gguf(checkpoint.tokenizer_metadata)


def theirs(scaling, factor, length, original, theta, size):
    """Transformers' frequencies; NTK-aware scaling is its dynamic one with factor 1."""
    kind, given = {"ntk": ("dynamic", 1.0), "dynamic": ("dynamic", DYNAMIC)}.get(scaling, (scaling, factor))
    config = HfConfig(
        hidden_size=4 * size,
        num_attention_heads=4,
        head_dim=size,
        max_position_embeddings=original,
        rope_parameters={
            "rope_type": kind,
            "factor": given,
            "rope_theta": theta,
            "original_max_position_embeddings": original,
        },
    )
    return ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)


@pytest.mark.parametrize("length", [512, 1024, 1536, 4096, 20000])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_frequencies_are_those_of_transformers(checkpoint, scaling, length):
    other = LlamaConfig.from_dict(stretched(checkpoint, scaling, length).config)
    found, scale = frequencies(other.rope, length)
    plain, _ = frequencies(LlamaConfig.from_dict(checkpoint.config).rope, length)
    if scaling == "none":
        wanted, wanted_scale = plain, 1.0
    else:
        wanted, wanted_scale = theirs(scaling, max(1.0, length / CONTEXT), length, CONTEXT, 10000.0, 32)
    torch.testing.assert_close(found, wanted, rtol=2e-6, atol=0)
    assert scale == pytest.approx(wanted_scale)
    assert other.context == length
    assert torch.equal(found, plain) == (length <= CONTEXT or scaling == "none")
    assert LlamaConfig.from_dict(checkpoint.config).context == CONTEXT  # the other one is as it was


def test_a_model_that_is_scaled_is_refused(tmp_path):
    scaled = open_checkpoint(write_tiny(tmp_path / "scaled.gguf", rope="linear"))
    with pytest.raises(InputError) as error:
        rope_parameters("yarn", LlamaConfig.from_dict(scaled.config), 4096)
    assert error.value.code == "E-LAB-SCALED"


@pytest.mark.parametrize("rope", ["default", "linear", "dynamic", "yarn"])
def test_surprises_are_those_of_transformers(rope):
    pair = make_pair(rope=rope)
    tokens = torch.randint(0, 97, (1100,), generator=torch.Generator().manual_seed(3)).tolist()
    told = []
    found = surprises(pair.puna, tokens, lambda done, total: told.append((done, total)))
    with torch.no_grad():
        logits = pair.hf(torch.tensor([tokens])).logits[0, :-1]
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:]), reduction="none")
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)
    assert told == [(512, 1099), (1024, 1099), (1099, 1099)]


@pytest.mark.skipif(not engines(), reason="no kernels for this CPU")
@pytest.mark.parametrize("scaling", SCALINGS)
def test_kernels_take_every_scaling(checkpoint, scaling):
    tokens = [random.Random(4).randrange(3, 259) for _ in range(1300)]
    other = stretched(checkpoint, scaling, 1300)
    packed, torchs = load(other), load(other, dtype=torch.float32, kernels=False)
    assert packed.packed is not None
    gap = (surprises(packed, tokens) - surprises(torchs, tokens)).abs()
    assert gap.mean() < 0.01  # products in bf16 at most


def test_bits_per_byte_counts_bytes_of_the_text(tokenizer):
    text = "Ann 走了 é"
    tokens = tokenizer.encode(text)
    assert bits_per_byte(3.0, tokens, tokenizer) == pytest.approx(3.0 / math.log(2) / len(text.encode()))


def test_a_haystack_hides_one_key_at_each_depth(tokenizer):
    for length in (1024, 1536):
        hay = Haystack.of(tokenizer, length, seed=1)
        assert len(hay.prompts) == len(DEPTHS)
        keys = [tokenizer.decode(key).strip() for key in hay.keys]
        assert len(set(keys)) == KEYS
        assert all(len(key) == 5 and key.isdigit() for key in keys)
        assert len({len(prompt) for prompt in hay.prompts}) == 1
        for depth, prompt in zip(DEPTHS, hay.prompts, strict=True):
            assert length - 130 < len(prompt) + len(hay.keys[0]) <= length  # within a turn of the filler
            text = tokenizer.decode(prompt)
            assert text.count(keys[0]) == 2
            assert not any(key in text for key in keys[1:])
            assert text.index(keys[0]) / len(text) == pytest.approx(depth, abs=0.2)
            assert text.endswith("The pass key is")
    again, other = Haystack.of(tokenizer, 1536, seed=1), Haystack.of(tokenizer, 1536, seed=2)
    assert again == hay
    assert other.keys[0] != hay.keys[0]
    with pytest.raises(InputError) as error:
        Haystack.of(tokenizer, 300, seed=1)
    assert error.value.code == "E-LAB-SHORT"


@pytest.mark.parametrize("kernels", [True, False])
@torch.no_grad()
def test_recall_is_what_a_forward_for_each_key_says(checkpoint, tokenizer, kernels):
    length = 1280
    model = load(stretched(checkpoint, "yarn", length), kernels=kernels and bool(engines()), dtype=torch.float32)
    hay = Haystack.of(tokenizer, length, seed=5)
    for planted in (False, True):
        if planted:  # the model's own words are a key that greedy decoding writes
            written = list(hay.prompts[2])
            for _ in hay.keys[0]:
                written.append(_logits(model, written, length)[-1].argmax().item())
            hay = Haystack(hay.prompts, [written[-len(hay.keys[0]) :], *hay.keys[1:]])
        found = recall(model, hay, length)
        for prompt, each in zip(hay.prompts, found, strict=True):
            values = []
            for key in hay.keys:
                every = [*prompt, *key]
                logs = _logits(model, every[:-1], length)[len(prompt) - 1 :].log_softmax(-1)
                values.append(float(logs[torch.arange(len(key)), torch.tensor(key)].sum()))
                if key == hay.keys[0]:
                    assert each["written"] == (logs.argmax(-1).tolist() == key)
            assert each["log_probability"] == pytest.approx(values[0], abs=2e-3)
            clear = min(abs(value - values[0]) for value in values[1:]) > 1e-2
            assert not clear or each["rank"] == 1 + sum(value > values[0] for value in values[1:])
        assert found[2]["written"] is planted


def _logits(model, tokens, length):
    """One forward without chunks and without anything shared."""
    cache = model.new_cache(len(tokens), span=length)
    return model.logits(model(torch.tensor(tokens), torch.arange(len(tokens)), cache, None))


def test_the_default_model_finds_a_key(default_bf16, default_tokenizer):
    found = recall(default_bf16, Haystack.of(default_tokenizer, 512, seed=0), 512)
    assert all(each["rank"] == 1 and each["written"] for each in found)

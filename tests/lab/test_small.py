"""The small trainable model: with RMSNorm and rotary positions it is Llama; its norms are what they are called."""

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig as HFConfig
from transformers import LlamaForCausalLM

from puna.lab.small import ENCODINGS, NORMS, SmallLlama, config_of
from puna.llama.config import LlamaConfig
from puna.llama.model import Llama
from puna.train.scratch import Sizes

SIZES = Sizes(width=32, layers=3, heads=4, kv_heads=2, ffn=48, context=64)


def shaken(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give every weight, gains too, a value of its own size of importance."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.2, generator=draw))
    return model


def test_with_rms_and_rotary_it_is_transformers_llama_and_ours():
    config = config_of(SIZES, 50)
    small = shaken(SmallLlama(config, seed=3), 4)
    draw = torch.Generator().manual_seed(5)
    tokens = torch.randint(50, (3, 17), generator=draw)
    positions = torch.stack([torch.randperm(64, generator=draw)[:17].sort().values for _ in range(3)])
    hf = LlamaForCausalLM(HFConfig(**config)).eval()
    hf.load_state_dict(small.state_dict())
    llama = Llama(LlamaConfig.from_dict(config))
    llama.load_state_dict(small.state_dict())
    with torch.no_grad():
        found = small(tokens, positions)
        wanted = hf(tokens, position_ids=positions).logits
        ours = torch.stack([llama.logits(llama(t, p, None, None)) for t, p in zip(tokens, positions, strict=True)])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found, ours, atol=1e-5, rtol=1e-5)


def test_norms_are_torchs():
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0)) * 3 + 2
    made = {norm: SmallLlama(config_of(SIZES, 50), norm=norm).model.norm for norm in NORMS}
    torch.testing.assert_close(made["rms"](x), F.rms_norm(x, (32,), eps=1e-5))
    torch.testing.assert_close(made["standard"](x), F.layer_norm(x, (32,), eps=1e-5))
    torch.testing.assert_close(made["layer"](x), F.layer_norm(x, (32,), eps=1e-5))
    assert torch.equal(made["none"](x), x)
    assert [sum(p.numel() for p in made[norm].parameters()) for norm in NORMS] == [32, 64, 0, 0]


@pytest.mark.parametrize("seed", [0, 1])
def test_models_of_a_seed_are_alike_but_for_norm_and_encoding(seed):
    plain = SmallLlama(config_of(SIZES, 50), norm="none", seed=seed).state_dict()
    for norm in NORMS:
        for encoding in ENCODINGS:
            other = SmallLlama(config_of(SIZES, 50), norm=norm, encoding=encoding, seed=seed).state_dict()
            assert all(torch.equal(other[name], weight) for name, weight in plain.items())
    other = SmallLlama(config_of(SIZES, 50), norm="none", seed=seed + 1).state_dict()
    assert not torch.equal(other["model.embed_tokens.weight"], plain["model.embed_tokens.weight"])


def test_encodings_see_positions_as_they_should():
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randint(50, (1, 9), generator=draw)
    here = torch.arange(9)[None]

    def logits(encoding, positions):
        model = shaken(SmallLlama(config_of(SIZES, 50), encoding=encoding, seed=2), 6)
        with torch.no_grad():
            return model(tokens, positions)

    assert torch.equal(logits("none", here), logits("none", here + 20))
    torch.testing.assert_close(logits("rotary", here), logits("rotary", here + 20), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits("rotary", here), logits("rotary", here * 3), atol=1e-2)
    assert not torch.allclose(logits("learned", here), logits("learned", here + 20), atol=1e-2)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_token_sees_a_later_one(encoding):
    model = shaken(SmallLlama(config_of(SIZES, 50), encoding=encoding), 7)
    tokens = torch.randint(50, (2, 12), generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 50
    places = torch.arange(12).expand(2, 12)
    with torch.no_grad():
        before, after = model(tokens, places), model(changed, places)
    torch.testing.assert_close(before[:, :7], after[:, :7], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)

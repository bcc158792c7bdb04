"""One token after another in tensors of fixed shapes: the same as forwards, and fit to be recorded."""

import random

import pytest
import torch

from puna.llama.attention import PART
from puna.llama.model import Llama, causal_mask
from puna.llama.step import Step, writing
from tests.oracle.tiny import ROPES, SHAPES, make_pair

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def all_logits(model: Llama, ids: list[int]) -> torch.Tensor:
    """Without a cache: every position from one forward over everything."""
    return model.logits(model(torch.tensor(ids), torch.arange(len(ids)), None, causal_mask(0, len(ids))))


def follow(step: Step, prompt: list[int], ids: list[int]) -> torch.Tensor:
    step.begin(len(prompt), len(prompt) + len(ids))
    step._model.read(prompt, step.cache)
    return torch.stack([step(token).clone() for token in ids])


def drawn(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(97) for _ in range(count)]


@pytest.mark.parametrize(("shape", "rope"), [(s, "default") for s in SHAPES] + [("bias", r) for r in ROPES])
def test_steps_equal_one_forward(shape: str, rope: str) -> None:
    model, rng = make_pair(SHAPES[shape], rope).puna, random.Random(f"{shape}{rope}")
    prompt, ids = drawn(rng, rng.randint(1, 40)), drawn(rng, rng.randint(1, 30))
    want = all_logits(model, prompt + ids)[len(prompt) :]
    torch.testing.assert_close(follow(Step(model), prompt, ids), want, **CLOSE)


@pytest.mark.parametrize("past", [PART - 2, 2 * PART - 1, 4 * PART - 3])
def test_steps_cross_into_more_slots(past: int) -> None:
    model, rng = make_pair().puna, random.Random(past)
    prompt, ids = drawn(rng, past), drawn(rng, 5)
    want = all_logits(model, prompt + ids)[past:]
    torch.testing.assert_close(follow(Step(model), prompt, ids), want, **CLOSE)


@pytest.mark.parametrize("rope", ["llama3", "dynamic", "longrope"])
def test_a_used_step_is_as_good_as_new(rope: str) -> None:
    """Keys left over from a longer text, and frequencies of another span, leave no trace."""
    model, rng = make_pair(rope=rope).puna, random.Random(rope)
    used = Step(model)
    for long, short in ((300, 7), (20, 40)):
        follow(used, drawn(rng, long), drawn(rng, 3))
        prompt, ids = drawn(rng, short), drawn(rng, 9)
        assert torch.equal(follow(used, prompt, ids), follow(Step(model), prompt, ids))


def test_the_joined_weights_are_the_model_s_own() -> None:
    model = make_pair(SHAPES["bias"]).puna
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    steps = [Step(model), Step(model)]
    assert {
        name: torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()
    } == dict.fromkeys(before, True)
    joined = steps[-1]._layers[0]._qkv
    assert joined.weight.data_ptr() == model.get_parameter("model.layers.0.self_attn.q_proj.weight").data_ptr()


def test_no_step_behind_the_last_position() -> None:
    step = Step(make_pair().puna)
    step.begin(1, 2)
    step(1)
    step(2)
    with pytest.raises(ValueError, match="2 positions"):
        step(3)


def test_a_cpu_writes_by_forwards() -> None:
    model = make_pair().puna
    with writing(model, 4, span=9) as writer:
        assert not isinstance(writer, Step)
        got = torch.stack([writer(token) for token in (3, 1, 4)])
    torch.testing.assert_close(got, all_logits(model, [3, 1, 4]), **CLOSE)
    assert model.step is None

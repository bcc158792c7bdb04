"""Models with an adapter, by every engine and by torch: those of matrices changed by hand."""

from dataclasses import replace

import pytest
import torch

from puna.llama.load import load
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import Adapter
from tests.native.models import SHAPES, Stored, assert_same, by_torch, chain, make_stored, packed, random_tokens
from tests.weights.adapters import draw_adapter, merged

pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture
def inference():
    with torch.inference_mode():
        yield


def made(shape: str, kind: str, seed: int) -> tuple[Stored, Adapter, Stored]:
    """A model, an adapter of some of its matrices, and the model with those changed."""
    stored = make_stored(SHAPES[shape], kind, seed=seed)
    adapter = draw_adapter({name: stored.shape(name) for name in stored.names()}, seed, share=0.7, size=0.1)
    by_hand = {
        name: ("F32", merged(stored.exact(name), adapter, name).float().numpy()) for name in adapter.matrices
    }
    return stored, adapter, replace(stored, raw={**stored.raw, **by_hand})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["BF16", "Q4_1", "mixed"])
def test_kernels(engine, shape: str, kind: str) -> None:
    stored, adapter, by_hand = made(shape, kind, len(shape) + len(kind))
    tokens = random_tokens(stored, 37)
    got = packed(AdaptedCheckpoint(stored, adapter), engine)(tokens, torch.arange(37), None, None)
    assert_same(got, chain(by_hand, tokens, engine), engine)
    plain = packed(stored, engine)(tokens, torch.arange(37), None, None)
    assert (got - plain).abs().mean() > 0.1 * plain.abs().mean()


@pytest.mark.parametrize("kind", ["BF16", "Q4_1", "Q8_0"])
def test_an_adapter_that_changes_nothing_changes_no_bit(engine, kind: str) -> None:
    """What is merged and rounded is what the kernels unpack; but for few rows, which low-bit weights meet as they are."""
    stored, adapter, _ = made("E32-G3", kind, 4)
    nothing = Adapter({name: (a, 0 * b) for name, (a, b) in adapter.matrices.items()}, adapter.scale)
    tokens = random_tokens(stored, 37)
    got, want = (
        packed(each, engine)(tokens, torch.arange(37), None, None)
        for each in (AdaptedCheckpoint(stored, nothing), stored)
    )
    assert torch.equal(got, want)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_torch(shape: str, dtype: torch.dtype) -> None:
    stored, adapter, by_hand = made(shape, "mixed", len(shape))
    model = load(AdaptedCheckpoint(stored, adapter), dtype=dtype, kernels=False)
    for name, parameter in model.named_parameters():
        want = by_hand.exact(name)
        if name in adapter.matrices:
            assert parameter.dtype == dtype
        torch.testing.assert_close(parameter.float(), want, rtol=torch.finfo(dtype).eps, atol=1e-5)
    tokens = random_tokens(stored, 37)
    if dtype == torch.float32:
        want = by_torch(by_hand)(tokens, torch.arange(37), None, None)
        torch.testing.assert_close(model(tokens, torch.arange(37), None, None), want, atol=1e-4, rtol=1e-4)


def test_load_takes_the_fastest_engine(engine) -> None:
    """Through the front door, with products in this engine's type."""
    stored, adapter, by_hand = made("E32-G3", "Q4_1", 9)
    tokens = random_tokens(stored, 20)
    model = load(AdaptedCheckpoint(stored, adapter), dtype=engine.dtype)
    assert model.packed is not None
    got = model(tokens, torch.arange(20), None, None)
    assert_same(got, chain(by_hand, tokens, model.packed.engine), model.packed.engine)

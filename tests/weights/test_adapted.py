"""A checkpoint with an adapter merged in: against W + scale · B · A in float64."""

from pathlib import Path

import pytest
import torch

from puna.errors import ModelFileError
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import Adapter
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from tests.weights.adapters import draw_adapter, merged
from tests.weights.tiny_model import Tiny, write_gguf


def shapes_of(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: checkpoint.shape(name) for name in checkpoint.names()}


@pytest.mark.parametrize("kind", ["F32", "Q4_1", "Q8_0", "folder"])
def test_every_tensor(kind: str, tiny: Tiny, tmp_path: Path) -> None:
    """Also rows of queries and keys, which a GGUF file has in another order; factors in either type."""
    path = tiny.single
    if kind != "folder":
        path = tmp_path / "tiny.gguf"
        write_gguf(path, tiny.state, tiny.config, kind)
    plain = open_checkpoint(path)
    adapter = draw_adapter(shapes_of(plain), 3, share=0.6)
    halved = {name: (a.bfloat16(), b) for name, (a, b) in adapter.matrices.items()}
    adapter = Adapter({**adapter.matrices, **dict(list(halved.items())[::2])}, adapter.scale)
    found = AdaptedCheckpoint(plain, adapter)
    assert isinstance(found, Checkpoint)
    assert found.names() == plain.names()
    for name in plain.names():
        before, want = plain.tensor(name, torch.float32), merged(plain.tensor(name, torch.float32), adapter, name)
        assert found.shape(name) == plain.shape(name)
        assert torch.equal(before.double(), want) == (name not in adapter.matrices)
        for dtype in (torch.float32, torch.bfloat16):
            got = found.tensor(name, dtype)
            assert (got.dtype, got.is_contiguous()) == (dtype, True)
            torch.testing.assert_close(got.double(), want, rtol=torch.finfo(dtype).eps, atol=1e-5)
        if name in adapter.matrices:
            assert found.type_name(name) == "F32"
            assert torch.equal(found.rows(name).view(torch.float32), found.tensor(name, torch.float32))
        else:
            assert found.type_name(name) == plain.type_name(name)
            assert torch.equal(found.rows(name), plain.rows(name))
        assert torch.equal(plain.tensor(name, torch.float32), before)


def test_bf16_is_rounded_once(tiny: Tiny) -> None:
    plain = open_checkpoint(tiny.single)
    found = AdaptedCheckpoint(plain, draw_adapter(shapes_of(plain)))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(found.tensor(name, torch.bfloat16), found.tensor(name, torch.float32).bfloat16())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("model.layers.0.mlp.up_proj.weight", (161, 96)),
        ("model.layers.0.mlp.up_proj.weight", (96, 160)),
        ("model.layers.2.mlp.up_proj.weight", (160, 96)),
        ("lm_head.weight", (96, 96)),
    ],
)
def test_an_adapter_of_another_model(name: str, shape: tuple[int, int], tiny_tied: Tiny) -> None:
    """A tied model has no head of its own to change."""
    factors = torch.ones(2, shape[1]), torch.ones(shape[0], 2)
    with pytest.raises(ModelFileError) as caught:
        AdaptedCheckpoint(open_checkpoint(tiny_tied.gguf), Adapter({name: factors}, {name: 1.0}, name="walker"))
    assert caught.value.code == "E-ADAPTER-MATRIX"
    assert "walker" in str(caught.value)
    assert name in str(caught.value)

"""Packing against gguf-py's reading of the same bytes, to the last bit."""

import ctypes

import gguf
import numpy as np
import pytest
import torch

from puna.llama.packed import _with_least
from tests.native.models import KINDS, store

FORMS = {"F32": "f32", "BF16": "bf16", "Q4_0": "q4", "Q4_1": "q4", "Q8_0": "q8"}


def packed_rows(kind: str, raw: np.ndarray) -> torch.Tensor:
    rows = torch.from_numpy(raw)
    return _with_least(rows) if kind == "Q4_0" else rows


def outputs(engine, made, wanted: torch.Tensor) -> torch.Tensor:
    out = torch.full((len(wanted), 32 * made.blocks), torch.nan)
    engine.kernels.puna_rows(ctypes.byref(made), wanted.data_ptr(), len(wanted), out.data_ptr())
    return out


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize(("count", "width"), [(32, 32), (97, 96), (40, 320), (1, 64)])
def test_every_bit_of_any_order(engine, kind: str, count: int, width: int) -> None:
    numbers = np.random.default_rng(count)
    values = numbers.normal(size=(count, width)) * 10.0 ** numbers.integers(-6, 4, (count, 1))
    _, raw = store(values, kind)
    want = torch.from_numpy(gguf.dequantize(raw, gguf.GGMLQuantizationType[kind]))
    order = torch.from_numpy(numbers.integers(-1, count, 64))  # repeated, left out, and -1: nothing
    order[7] = -1
    part = engine.pack(FORMS[kind], packed_rows(kind, raw), order)
    made, alive = engine.matrix([(FORMS[kind], part)], width, torch.tensor([(0, n) for n in range(4)]), None)
    wanted = torch.from_numpy(numbers.permutation(64))
    source = order[wanted]
    assert torch.equal(
        outputs(engine, made, wanted), torch.where(source[:, None] < 0, 0.0, want[source.clamp(min=0)])
    )
    assert alive


@pytest.mark.parametrize("kind", FORMS)
def test_any_bytes(engine, kind: str) -> None:
    """All integers in all places; the scales are finite, and 1 / 8192 of the largest for Q4_0's least value."""
    numbers = np.random.default_rng(3)
    size = {"F32": 128, "BF16": 64, "Q4_0": 18, "Q4_1": 20, "Q8_0": 34}[kind]
    raw = numbers.integers(0, 256, (128, 3, size), dtype=np.uint8)
    if kind == "F32":
        raw[..., 3::4] &= 0xBF  # no infinity
    elif kind == "BF16":
        raw[..., 1::2] &= 0xBF  # no infinity
    else:
        raw[..., : 4 if kind == "Q4_1" else 2].view(np.float16)[:] = numbers.normal(size=(128, 3, 1))
    raw = raw.reshape(128, -1)
    part = engine.pack(FORMS[kind], packed_rows(kind, raw), torch.arange(128))
    made, _ = engine.matrix([(FORMS[kind], part)], 96, torch.tensor([(0, n) for n in range(8)]), None)
    want = torch.from_numpy(gguf.dequantize(raw, gguf.GGMLQuantizationType[kind]))
    assert torch.equal(outputs(engine, made, torch.arange(128)), want)


def test_every_scale(engine) -> None:
    """All 65536 fp16 numbers, those below the normal ones, infinities and what is no number among them."""
    raw = np.zeros((2048, 32, 34), np.uint8)
    raw[..., :2].view(np.uint16)[:] = np.arange(65536).reshape(2048, 32, 1)
    raw[..., 2:] = 3
    raw = raw.reshape(2048, -1)
    part = engine.pack("q8", torch.from_numpy(raw), torch.arange(2048))
    made, _ = engine.matrix([("q8", part)], 1024, torch.tensor([(0, n) for n in range(128)]), None)
    want = torch.arange(65536).to(torch.uint16).view(torch.float16).float() * 3
    got = outputs(engine, made, torch.arange(2048)).view(-1, 32)
    torch.testing.assert_close(got, want[:, None].expand_as(got), rtol=0, atol=0, equal_nan=True)


def test_tiles_of_several_parts(engine) -> None:
    """A matrix of tiles in another order, from parts of different forms."""
    numbers = np.random.default_rng(5)
    parts, want = [], []
    for kind, form in FORMS.items():
        _, raw = store(numbers.normal(size=(32, 64)), kind)
        parts.append((form, engine.pack(form, packed_rows(kind, raw), torch.arange(32))))
        want.append(torch.from_numpy(gguf.dequantize(raw, gguf.GGMLQuantizationType[kind])))
    picks = torch.tensor([(part, tile) for tile in (1, 0) for part in (2, 0, 3, 1)])
    made, _ = engine.matrix(parts, 64, picks, None)
    assert (made.strips, made.blocks) == (4, 2)
    rows = torch.cat([want[part][16 * tile : 16 * tile + 16] for part, tile in picks.tolist()])
    assert torch.equal(outputs(engine, made, torch.arange(128)), rows)


def test_kinds_are_those_of_the_models() -> None:
    assert set(FORMS) == set(KINDS)

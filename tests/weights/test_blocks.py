"""Every block format against gguf's own dequantisation, on random bytes: NaN and infinite scales included."""

import threading

import gguf
import numpy as np
import pytest
import torch

from puna.weights import blocks

QUANTISED = [kind for kind in blocks.FORMATS if blocks.is_quantised(kind)]
SHAPES = [(1, 1), (1, 7), (3, 2), (5, 4, 3), (1000, 9)]  # rows..., blocks a row


def oracle(raw: np.ndarray, kind: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return gguf.dequantize(raw, gguf.GGMLQuantizationType[kind])


def random_rows(kind: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*shape[:-1], shape[-1] * blocks.FORMATS[kind].bytes), dtype=np.uint8)


@pytest.mark.parametrize("kind", blocks.FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_bit_equal_in_fp32(kind: str, shape: tuple[int, ...]) -> None:
    raw = random_rows(kind, shape)
    got = blocks.dequantize(torch.from_numpy(raw), kind)
    assert got.shape == (*shape[:-1], shape[-1] * blocks.FORMATS[kind].items)
    assert got.is_contiguous()
    np.testing.assert_array_equal(got.numpy(), oracle(raw, kind))  # NaN equals NaN, and 0.0 equals -0.0
    number = ~np.isnan(got.numpy())
    assert np.array_equal(np.signbit(got.numpy())[number], np.signbit(oracle(raw, kind))[number])


@pytest.mark.parametrize("kind", QUANTISED)
def test_random_bytes_reach_nan_and_infinity(kind: str) -> None:
    assert not np.isfinite(oracle(random_rows(kind, (1000, 9)), kind)).all()


@pytest.mark.parametrize("kind", blocks.FORMATS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_are_the_fp32_result_rounded_once(kind: str, dtype: torch.dtype) -> None:
    raw = torch.from_numpy(random_rows(kind, (20, 3)))
    got = blocks.dequantize(raw, kind, dtype)
    torch.testing.assert_close(got, blocks.dequantize(raw, kind).to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", blocks.FORMATS)
def test_round_trip_of_real_numbers(kind: str) -> None:
    """Not only equal to the oracle: close to the numbers that were quantised, where gguf can quantise."""
    dense = np.random.default_rng(1).standard_normal((8, 256)).astype(np.float32)
    try:
        raw = gguf.quantize(dense, gguf.GGMLQuantizationType[kind])
    except NotImplementedError:
        pytest.skip(f"gguf-py does not quantise to {kind}")
    got = blocks.dequantize(torch.from_numpy(raw.view(np.uint8)), kind).numpy()
    assert np.abs(got - dense).max() < 0.35


@pytest.mark.parametrize("kind", QUANTISED)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (1000, 9), (3, 9000)])
def test_a_product_is_added_before_rounding(kind: str, shape: tuple[int, int]) -> None:
    """To rows of every chunk, their own part of it."""
    rng = np.random.default_rng(sum(shape))
    weights = rng.standard_normal((shape[0], shape[1] * blocks.FORMATS[kind].items)).astype(np.float32)
    form = gguf.GGMLQuantizationType[kind]
    raw = gguf.quantize(weights, form) if kind in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0") else None
    if raw is None:  # gguf-py writes no K types; all zeros are one of them
        raw, weights = np.zeros((shape[0], shape[1] * blocks.FORMATS[kind].bytes), np.uint8), np.zeros_like(weights)
    b, a = (
        torch.from_numpy(rng.standard_normal((shape[0], 4))),
        torch.from_numpy(rng.standard_normal((4, weights.shape[1]))),
    )
    want = torch.from_numpy(oracle(raw, kind)).double() + b @ a
    for dtype in (torch.float32, torch.bfloat16):
        got = blocks.dequantize(torch.from_numpy(raw), kind, dtype, (b.float(), a.float()))
        torch.testing.assert_close(got.double(), want, rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("kind", ["Q4_1", "Q6_K"])
def test_strided_rows(kind: str) -> None:
    wide = random_rows(kind, (30, 4))
    view = torch.from_numpy(wide)[::3, blocks.FORMATS[kind].bytes :]
    np.testing.assert_array_equal(blocks.dequantize(view, kind).numpy(), oracle(view.numpy().copy(), kind))


@pytest.mark.parametrize("kind", QUANTISED)
def test_nothing_of_the_memory_is_left(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Poisoned memory: over several chunks, no element keeps what stood there before."""
    real = torch.empty

    def poisoned(*args: object, **options: object) -> torch.Tensor:
        return real(*args, **options).fill_(12345.0)

    raw = np.zeros((3, 70_000 // blocks.FORMATS[kind].items * 5 * blocks.FORMATS[kind].bytes), np.uint8)
    monkeypatch.setattr(torch, "empty", poisoned)
    assert not blocks.dequantize(torch.from_numpy(raw), kind, torch.bfloat16).any()


def test_formats_are_ggmls() -> None:
    wanted = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K"
    assert set(blocks.FORMATS) == set(wanted.split())
    assert blocks.FORMATS["Q4_0"] == (32, 18)
    assert blocks.FORMATS["Q6_K"] == (256, 210)


def test_usable_in_inference_mode_and_from_many_threads() -> None:
    raw = torch.from_numpy(random_rows("Q4_1", (300, 40)))
    want = blocks.dequantize(raw, "Q4_1")
    with torch.inference_mode():
        got = [blocks.dequantize(raw, "Q4_1")]
    assert not got[0].is_inference()

    threads = [threading.Thread(target=lambda: got.append(blocks.dequantize(raw, "Q4_1"))) for _ in range(8)]
    before = torch.get_num_threads()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == before
    assert len(got) == 9
    assert all(torch.equal(one.nan_to_num(), want.nan_to_num()) for one in got)


def test_wrong_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks of 20 bytes"):
        blocks.dequantize(torch.zeros(3, 21, dtype=torch.uint8), "Q4_1")
    with pytest.raises(ValueError, match="uint8"):
        blocks.dequantize(torch.zeros(3, 20), "Q4_1")
    with pytest.raises(ValueError, match="not quantised"):
        blocks.dequantize(torch.zeros(3, 4, dtype=torch.uint8), "F32", change=(torch.ones(3, 1), torch.ones(1, 1)))
    with pytest.raises(KeyError):
        blocks.dequantize(torch.zeros(3, 20, dtype=torch.uint8), "IQ4_NL")

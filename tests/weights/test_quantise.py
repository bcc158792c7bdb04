"""Weights quantised: gguf-py reads the bytes, and the errors are those of ggml's own search, written a second way."""

import gguf
import numpy as np
import pytest
import torch

from puna.weights.blocks import FORMATS, dequantize
from puna.weights.quantise import MADE, quantise

QUANTISED = [kind for kind in MADE if kind not in ("F32", "F16", "BF16")]
K = ("Q4_K", "Q5_K", "Q6_K")


def draw(seed: int, rows: int = 24, width: int = 512) -> torch.Tensor:
    """Rows of different spread and skew, with outliers, and blocks that are zero, level or tiny."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=random) * torch.logspace(-4, 1, rows)[:, None]
    x[1::3] = x[1::3] ** 3
    x[2::5] += x[2::5].abs().mean(1, keepdim=True)
    x[0, :256], x[3, 32:64], x[4, 16:32], x[5, :256] = 0.0, -0.25, 0.25, 1e-12
    return x


def back(raw: torch.Tensor, kind: str) -> torch.Tensor:
    form = gguf.GGMLQuantizationType[kind]
    return torch.from_numpy(gguf.quants.dequantize(raw.numpy(), form).copy())


@pytest.mark.parametrize("kind", MADE)
def test_both_readers_read_the_same(kind: str) -> None:
    x = draw(1)
    raw = quantise(x, kind)
    assert raw.shape == (24, 512 // FORMATS[kind].items * FORMATS[kind].bytes)
    assert torch.equal(back(raw, kind), dequantize(raw, kind))
    assert torch.equal(quantise(x, kind), raw)  # the same bytes again, and row by row
    assert torch.equal(torch.cat([quantise(row[None], kind) for row in x]), raw)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind not in K])
def test_plain_kinds_are_gguf_pys(kind: str) -> None:
    x = draw(2)
    with np.errstate(all="ignore"):
        wanted = gguf.quants.quantize(x.numpy(), gguf.GGMLQuantizationType[kind])
    assert torch.equal(quantise(x, kind), torch.from_numpy(wanted.view(np.uint8)))


@pytest.mark.parametrize(("kind", "wider", "narrower"), [("Q4_K", "Q5_0", "Q4_0"), ("Q5_K", "Q6_K", "Q5_0")])
def test_errors_lie_between_their_neighbours(kind: str, wider: str, narrower: str) -> None:
    x = torch.randn(64, 1024, generator=torch.Generator().manual_seed(3))
    error = {each: float((back(quantise(x, each), each) - x).norm()) for each in (kind, wider, narrower, "Q8_0")}
    assert error["Q8_0"] < error[wider] < error[kind] < error[narrower]


@pytest.mark.parametrize("kind", K)
def test_no_worse_than_ggmls_search(kind: str) -> None:
    x = draw(4, rows=12, width=256)
    got = back(quantise(x, kind), kind)
    ratios, apart = [], []
    for row, values in zip(x.numpy(), got.numpy(), strict=True):
        search = (15, -1.0, 20) if kind == "Q4_K" else (31, -0.5, 15)
        wanted = _q6_k(row) if kind == "Q6_K" else _affine(row, *search)
        ours, theirs = (float(np.square(each - row.astype(np.float64)).sum()) for each in (values, wanted))
        ratios.append((ours + 1e-20) / (theirs + 1e-20))
        apart.append(np.mean(np.abs(values - wanted) > 1e-6 * np.abs(row).max()))
    assert max(ratios) < 1.1  # fp32 sums decide a tie otherwise here and there
    assert np.mean(ratios) < 1.01
    assert np.mean(apart) < 0.05


def test_rows_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="blocks"):
        quantise(torch.zeros(2, 100), "Q4_K")
    with pytest.raises(KeyError):
        quantise(torch.zeros(2, 256), "Q2_K")


def _affine(row: np.ndarray, top: int, first: float, tries: int) -> np.ndarray:
    """ggml's quantize_row_q4_K_ref or q5_K, and back, as loops over single blocks."""
    blocks, found = row.astype(np.float64).reshape(8, 32), []
    for x in blocks:
        weight = np.sqrt(np.mean(x * x)) + np.abs(x)
        low, high = min(x.min(), 0.0), x.max()
        if low == high:
            found.append((0.0, -low))
            continue

        def error(scale: float, least: float, steps: np.ndarray, x=x, weight=weight) -> float:
            return float((weight * (scale * steps + least - x) ** 2).sum())

        best = ((high - low) / top, low)
        least_error = error(*best, np.clip(np.round((x - low) / best[0]), 0, top))
        for number in range(tries + 1):
            steps = np.clip(np.round((first + 0.1 * number + top) / (high - low) * (x - low)), 0, top)
            design = np.stack([steps, np.ones(32)], 1) * np.sqrt(weight)[:, None]
            if np.ptp(steps) == 0:
                continue
            scale, least = np.linalg.lstsq(design, x * np.sqrt(weight), rcond=None)[0]
            if least > 0:
                scale, least = (weight * steps * x).sum() / (weight * steps * steps).sum(), 0.0
            if (now := error(scale, least, steps)) < least_error:
                best, least_error = (scale, least), now
        found.append((best[0], -best[1]))
    scales, leasts = np.array(found).T
    out = []
    factors = [np.float16(each.max() / 63) for each in (scales, leasts)]
    steps = [
        np.minimum(63, np.round(63 / each.max() * each)) if each.max() > 0 else np.zeros(8)
        for each in (scales, leasts)
    ]
    for x, scale, least in zip(blocks, float(factors[0]) * steps[0], float(factors[1]) * steps[1], strict=True):
        integers = np.clip(np.round((x + least) / scale), 0, top) if scale else np.zeros(32)
        out.append(scale * integers - least)
    return np.concatenate(out)


def _q6_k(row: np.ndarray) -> np.ndarray:
    """ggml's quantize_row_q6_K_ref, and back."""
    blocks, scales = row.astype(np.float64).reshape(16, 16), []
    for x in blocks:
        largest = x[np.abs(x).argmax()]
        if abs(largest) < 1e-15:
            scales.append(0.0)
            continue
        best = scale = None
        for number in (0, *range(-9, 0), *range(1, 10)):
            steps = np.clip(np.round(-(32 + 0.1 * number) / largest * x), -32, 31)
            both, square = (x * x * x * steps).sum(), (x * x * steps * steps).sum()
            if best is None or both * both > best * square:
                scale, best = both / square, both * both / square
        scales.append(scale)
    largest = max(scales, key=abs)
    if abs(largest) < 1e-15:
        return np.zeros(256)
    step = float(np.float16(largest / -128))
    parts = [step * min(127, round(-128 / largest * scale)) for scale in scales]
    return np.concatenate(
        [s * np.clip(np.round(x / s), -32, 31) if s else np.zeros(16) for x, s in zip(blocks, parts, strict=True)]
    )

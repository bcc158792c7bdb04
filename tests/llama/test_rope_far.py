"""Rotary phases far out, against formulas written here in float64 from the papers, number by number."""

import math

import pytest
import torch

from puna.llama.rope import frequencies, tables
from puna.llama.rope_config import RopeConfig

FAR = (0, 1, 255, 256, 257, 8191, 8192, 32768, 131071)
E = 64


def plain(theta: float) -> list[float]:
    return [theta ** (-2 * i / E) for i in range(E // 2)]


def llama3(theta: float, factor: float, low: float, high: float, original: int) -> list[float]:
    """Meta's reference: by wavelength, three cases."""
    found = []
    for f in plain(theta):
        wavelength = 2 * math.pi / f
        if wavelength < original / high:
            found.append(f)
        elif wavelength > original / low:
            found.append(f / factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            found.append((1 - smooth) * f / factor + smooth * f)
    return found


def yarn(theta: float, factor: float, original: int, fast: float = 32, slow: float = 1) -> list[float]:
    """Peng et al. 2023: pairs that turn more than `fast` times are kept, fewer than `slow` times divided."""

    def pair(turns: float) -> float:
        return E * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = max(math.floor(pair(fast)), 0), min(math.ceil(pair(slow)), E - 1)
    found = []
    for i, f in enumerate(plain(theta)):
        ramp = min(max((i - first) / (last - first), 0), 1)
        found.append(f * (1 - ramp) + f / factor * ramp)
    return found


CASES = {
    "default": (RopeConfig(E, 100000.0), plain(100000.0)),
    "linear": (RopeConfig(E, 10000.0, "linear", 4.0), [f / 4 for f in plain(10000.0)]),
    "llama3.1": (
        RopeConfig(E, 5e5, "llama3", 8.0, 8192, None, {"low_freq_factor": 1.0, "high_freq_factor": 4.0}),
        llama3(5e5, 8.0, 1.0, 4.0, 8192),
    ),
    "llama3.2": (
        RopeConfig(E, 5e5, "llama3", 32.0, 8192, None, {"low_freq_factor": 1.0, "high_freq_factor": 4.0}),
        llama3(5e5, 32.0, 1.0, 4.0, 8192),
    ),
    "yarn": (RopeConfig(E, 10000.0, "yarn", 16.0, 4096), yarn(10000.0, 16.0, 4096)),
    "divisors": (
        RopeConfig(E, 10000.0, "divisors", options={"divisors": [1.0 + i for i in range(E // 2)]}),
        [f / (1 + i) for i, f in enumerate(plain(10000.0))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_frequencies(name: str) -> None:
    config, want = CASES[name]
    torch.testing.assert_close(
        frequencies(config, 131072)[0].double(), torch.tensor(want, dtype=torch.float64), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("name", CASES)
def test_phases_are_as_exact_as_fp32_allows(name: str) -> None:
    config, want = CASES[name]
    scale = frequencies(config, 131072)[1]
    cos, sin = tables(config, torch.tensor(FAR), 131072)
    for row, position in enumerate(FAR):
        for i, f in enumerate(want):
            # Rounding of the frequency and of the product, half a unit in the last place each.
            slack = scale * (position * f * 2**-23 + 1e-6)
            assert abs(float(cos[row, i]) - scale * math.cos(position * f)) < slack
            assert abs(float(sin[row, i]) - scale * math.sin(position * f)) < slack


def test_dynamic_base_grows_with_the_length() -> None:
    config = RopeConfig(E, 10000.0, "dynamic", 2.0, 2048)
    assert torch.equal(frequencies(config, 100)[0], frequencies(RopeConfig(E, 10000.0), 100)[0])
    base = 10000.0 * (2.0 * 8192 / 2048 - 1.0) ** (E / (E - 2))
    torch.testing.assert_close(
        frequencies(config, 8192)[0].double(), torch.tensor(plain(base), dtype=torch.float64), rtol=1e-6, atol=0
    )

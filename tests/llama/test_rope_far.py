"""Rotary phases far out, against formulas written here in float64 from the papers, number by number.

Each scaling is said in the keys of `config.json`, new and old, and where GGUF has a form for it in a file's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from puna.llama.config import LlamaConfig
from puna.llama.rope import checked, frequencies, tables
from puna.llama.rope_config import RopeConfig
from puna.weights.gguf import GgufFile
from puna.weights.gguf_config import read_config

FAR = (0, 1, 255, 256, 257, 4095, 4096, 8191, 8192, 32768, 65535, 65536, 131071, 131072)
E = 64
CONTEXT = 131072
Numbers = np.ndarray[Any, np.dtype[np.float64]]


def plain(theta: float) -> Numbers:
    """Su et al. 2021."""
    return np.array([theta ** (-2 * i / E) for i in range(E // 2)])


def llama3(theta: float, factor: float, low: float, high: float, original: int) -> Numbers:
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
    return np.array(found)


def yarn(
    theta: float, factor: float, original: int, fast: float = 32, slow: float = 1, *, whole: bool = True
) -> Numbers:
    """Peng et al. 2023: pairs that turn more than `fast` times are kept, fewer than `slow` times divided."""

    def pair(turns: float) -> float:
        return E * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair(fast), pair(slow)
    if whole:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, E - 1)
    found = []
    for i, f in enumerate(plain(theta)):
        ramp = min(max((i - first) / (last - first), 0), 1)
        found.append(f * (1 - ramp) + f / factor * ramp)
    return np.array(found)


def dynamic(theta: float, factor: float, original: int, length: int) -> Numbers:
    """NTK-aware by the sequence's length: the base grows past the original context."""
    grown = max(factor * length / original - (factor - 1), 1.0) if length > original else 1.0
    return plain(theta * grown ** (E / (E - 2)))


SHORT = [1.0 + 0.05 * i for i in range(E // 2)]
LONG = [1.0 + 0.9 * i for i in range(E // 2)]


@dataclass
class Case:
    """A scaling: its keys, what they come to, the factor on cos and sin, and how a GGUF file says it."""

    keys: dict[str, Any]
    theta: float
    want: Numbers
    scale: float = 1.0
    write: Callable[[gguf.GGUFWriter], object] | None = None
    tensors: dict[str, Numbers] = field(default_factory=dict)
    length: int = CONTEXT


def yarn_keys(factor: float, original: int, **more: float) -> Callable[[gguf.GGUFWriter], None]:
    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(factor)
        writer.add_rope_scaling_orig_ctx_len(original)
        for key, value in more.items():
            writer.add_float32(f"llama.rope.scaling.{key}", value)

    return write


def linear_keys(factor: float) -> Callable[[gguf.GGUFWriter], None]:
    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(factor)

    return write


def longrope_keys(original: int, scale: float) -> Callable[[gguf.GGUFWriter], None]:
    def write(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(scale)

    return write


def three(factor: float) -> dict[str, Any]:
    rest = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    return {"rope_type": "llama3", "factor": factor, **rest}


def divisors(want: Numbers, theta: float) -> dict[str, Numbers]:
    return {"rope_freqs.weight": plain(theta) / want}


def long(length: int, listed: list[float]) -> Case:
    keys = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG}
    scale = math.sqrt(1 + math.log(32) / math.log(4096))  # Ding et al. 2024, of the context's ratio
    return Case(
        {**keys, "original_max_position_embeddings": 4096},
        10000.0,
        plain(10000.0) / np.array(listed),
        scale,
        longrope_keys(4096, scale),
        {"rope_factors_short.weight": np.array(SHORT), "rope_factors_long.weight": np.array(LONG)},
        length,
    )


def mscale(weight: float, factor: float) -> float:
    return 0.1 * weight * math.log(factor) + 1


CASES = {
    "default": Case({"rope_type": "default"}, 10000.0, plain(10000.0), write=lambda writer: None),
    "smollm": Case({"rope_type": "default"}, 100000.0, plain(100000.0), write=lambda writer: None),
    "qwen": Case({"rope_type": "default"}, 1e6, plain(1e6), write=lambda writer: None),
    "linear": Case({"rope_type": "linear", "factor": 4.0}, 10000.0, plain(10000.0) / 4, write=linear_keys(4.0)),
    "llama3.1": Case(
        three(8.0), 5e5, llama3(5e5, 8.0, 1.0, 4.0, 8192), tensors=divisors(llama3(5e5, 8.0, 1.0, 4.0, 8192), 5e5)
    ),
    "llama3.2": Case(
        three(32.0),
        5e5,
        llama3(5e5, 32.0, 1.0, 4.0, 8192),
        tensors=divisors(llama3(5e5, 32.0, 1.0, 4.0, 8192), 5e5),
    ),
    "yarn": Case(
        {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096},
        10000.0,
        yarn(10000.0, 16.0, 4096),
        mscale(1, 16.0),
        yarn_keys(16.0, 4096),
    ),
    "yarn-qwen": Case(
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        1e6,
        yarn(1e6, 4.0, 32768),
        mscale(1, 4.0),
        yarn_keys(4.0, 32768),
    ),
    "yarn-betas": Case(
        {
            "rope_type": "yarn",
            "factor": 8.0,
            "original_max_position_embeddings": 2048,
            "beta_fast": 16,
            "beta_slow": 2,
        },
        10000.0,
        yarn(10000.0, 8.0, 2048, 16, 2),
        mscale(1, 8.0),
        yarn_keys(8.0, 2048, yarn_beta_fast=16.0, yarn_beta_slow=2.0),
    ),
    "yarn-mscale": Case(
        {
            "rope_type": "yarn",
            "factor": 40.0,
            "original_max_position_embeddings": 4096,
            "mscale": 0.7,
            "mscale_all_dim": 0.9,
        },
        10000.0,
        yarn(10000.0, 40.0, 4096),
        mscale(0.7, 40.0) / mscale(0.9, 40.0),
    ),
    "yarn-attention": Case(
        {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "attention_factor": 1.5},
        10000.0,
        yarn(10000.0, 16.0, 4096),
        1.5,
        yarn_keys(16.0, 4096, attn_factor=1.5 / mscale(1, 16.0)),
    ),
    "yarn-fractions": Case(
        {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096, "truncate": False},
        10000.0,
        yarn(10000.0, 16.0, 4096, whole=False),
        mscale(1, 16.0),
    ),
    "longrope-short": long(4096, SHORT),
    "longrope-long": long(CONTEXT, LONG),
    "dynamic-short": Case(
        {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 2048},
        10000.0,
        plain(10000.0),
        length=2000,
    ),
    "dynamic-long": Case(
        {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 2048},
        10000.0,
        dynamic(10000.0, 2.0, 2048, CONTEXT),
    ),
    "divisors": Case(
        {"rope_type": "divisors", "divisors": [1.0 + i for i in range(E // 2)]},
        10000.0,
        plain(10000.0) / np.arange(1, E // 2 + 1),
        tensors={"rope_freqs.weight": np.arange(1.0, E // 2 + 1)},
    ),
}


def new_keys(case: Case) -> dict[str, Any]:
    return {"rope_parameters": {**case.keys, "rope_theta": case.theta}}


def old_keys(case: Case) -> dict[str, Any]:
    rest = {key: value for key, value in case.keys.items() if key != "rope_type"}
    return {"rope_theta": case.theta, "rope_scaling": {"type": case.keys["rope_type"], **rest}}


def between_keys(case: Case) -> dict[str, Any]:
    """As Llama 3.1's configuration has them."""
    return {"rope_theta": case.theta, "rope_scaling": case.keys}


def read_gguf(case: Case, path: Path) -> RopeConfig:
    """A file of one layer of zeros with these keys and tensors."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(E)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(case.theta)
    if case.write:
        case.write(writer)
    parts = {f"blk.0.attn_{part}.weight": (E, E) for part in ("q", "k", "v", "output")}
    parts |= {f"blk.0.ffn_{part}.weight": (8, E) for part in ("gate", "up")} | {"blk.0.ffn_down.weight": (E, 8)}
    parts |= {f"{part}.weight": (E,) for part in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm")}
    for name, shape in {**parts, "token_embd.weight": (3, E)}.items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    for name, numbers in case.tensors.items():
        writer.add_tensor(name, numbers.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return LlamaConfig.from_dict(read_config(GgufFile(path))).rope


def check(rope: RopeConfig, case: Case, exact: float = 1e-6) -> None:
    """Frequencies, and cos and sin at every position of FAR that the job has."""
    inverse, scale = frequencies(rope, case.length)
    assert inverse.dtype == torch.float32
    np.testing.assert_allclose(inverse.double().numpy(), case.want, rtol=exact, atol=0)
    assert scale == pytest.approx(case.scale, rel=exact)
    places = np.array([place for place in FAR if place <= case.length], dtype=np.float64)
    cos, sin = (table.double().numpy() for table in tables(rope, torch.tensor(places).long(), case.length))
    angles = places[:, None] * case.want
    # Half a unit in the last place for the frequency and for the product; where a file holds fp32 numbers one for each.
    slack = case.scale * (angles * (2**-23 if exact <= 1e-6 else exact) + 2e-6)
    assert (np.abs(cos - case.scale * np.cos(angles)) < slack).all()
    assert (np.abs(sin - case.scale * np.sin(angles)) < slack).all()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("keys", [new_keys, between_keys, old_keys])
def test_from_config_json(name: str, keys: Callable[[Case], dict[str, Any]]) -> None:
    case = CASES[name]
    check(RopeConfig.from_dict(keys(case), head_dim=E, context=CONTEXT), case)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.write or case.tensors])
def test_from_a_gguf_file(name: str, tmp_path: Path) -> None:
    check(read_gguf(CASES[name], tmp_path / "a.gguf"), CASES[name], exact=4e-7)


def test_every_scaling_is_among_them() -> None:
    from puna.llama.rope_config import KINDS

    assert {case.keys["rope_type"] for case in CASES.values()} == set(KINDS)


def test_a_wrong_formula_would_show() -> None:
    """The scalings differ by more than the slack: with another's numbers the check fails."""
    for name, other in (("yarn", "linear"), ("llama3.1", "llama3.2"), ("longrope-long", "dynamic-long")):
        case, wrong = CASES[name], CASES[other]
        with pytest.raises(AssertionError):
            check(RopeConfig.from_dict(new_keys(wrong), head_dim=E, context=CONTEXT), case)


def test_several_bases_and_scalings_at_once() -> None:
    """In one process, in any order: what is remembered of one is never another's."""
    read = {name: RopeConfig.from_dict(new_keys(case), head_dim=E, context=CONTEXT) for name, case in CASES.items()}
    for name in [*CASES, *reversed(CASES), *CASES]:
        np.testing.assert_allclose(
            frequencies(read[name], CASES[name].length)[0].double().numpy(), CASES[name].want, rtol=1e-6
        )


def test_the_device_of_whoever_comes_first_is_not_kept() -> None:
    frequencies.cache_clear()
    for name, case in CASES.items():
        with torch.device("meta"):
            config = RopeConfig.from_dict(new_keys(case), head_dim=E, context=CONTEXT)
            inverse, _ = frequencies(checked(config, CONTEXT), case.length)
        assert inverse.device.type == "cpu", name
        np.testing.assert_allclose(inverse.double().numpy(), case.want, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 17, 128, 1000])
def test_tables_are_rounded_once(count: int) -> None:
    """To the last bit, wherever in memory they come to stand: fp32 cosines are not, and scores follow them."""
    config = RopeConfig(E, 100_000.0)
    positions = torch.randint(0, 8192, (count,), generator=torch.Generator().manual_seed(count))
    angles = positions.float().numpy()[:, None] * frequencies(config, 8192)[0].numpy()
    for found, want in zip(tables(config, positions, 8192), (np.cos, np.sin), strict=True):
        np.testing.assert_array_equal(found.numpy(), want(angles.astype(np.float64)).astype(np.float32))


def test_dynamic_base_grows_with_the_length() -> None:
    config = RopeConfig(E, 10000.0, "dynamic", 2.0, 2048)
    assert torch.equal(frequencies(config, 100)[0], frequencies(RopeConfig(E, 10000.0), 100)[0])
    for length in (2049, 8192, 100_000):
        want = dynamic(10000.0, 2.0, 2048, length)
        np.testing.assert_allclose(frequencies(config, length)[0].double().numpy(), want, rtol=1e-6)

"""The study of rotary positions against complex numbers, a sum written out, and Transformers' attention."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from puna.lab.rotary import PHASES, REACHES, THETAS, Rotary, angles_of, bound, deviation, scores
from puna.lab.runner import run_study
from puna.lab.studies import open_study
from puna.lab.study import Setting
from puna.llama.rope_config import RopeConfig
from puna.tokens.tokenizer import Tokenizer
from tests.export.test_families import folder_of

TEXT = "the cat sat on the mat, 高原 alpaca. " * 60


def test_scores_are_those_of_complex_numbers() -> None:
    """RoFormer's equation 16: the real part of Σ q_i · conj(k_i) · exp(i (m - n) θ_i)."""
    rng = np.random.default_rng(3)
    rope = RopeConfig(16, 10000.0)
    q, k = rng.standard_normal((2, 5, 16))
    turns = 10000.0 ** -(np.arange(8) / 8)
    places = torch.tensor([0, 7, 100])
    for apart in (0, 4, -9):
        pairs = (q[:, :8] + 1j * q[:, 8:]) * np.conj(k[:, :8] + 1j * k[:, 8:])
        wanted = (pairs * np.exp(1j * apart * turns)).sum(-1).real
        for phase, close in (("float64", 1e-6), ("fp32", 1e-4)):
            found = scores(rope, torch.from_numpy(q), torch.from_numpy(k), places, apart, phase)
            np.testing.assert_allclose(found.double().numpy(), np.tile(wanted, (3, 1)), atol=close)


def test_bf16_cannot_tell_256_from_257() -> None:
    rope = RopeConfig(64, 10000.0)
    for phase, same in (("bf16 angles", True), ("fp32", False)):
        cos, _ = angles_of(rope, torch.tensor([256, 257]), phase)
        assert torch.equal(cos[0], cos[1]) == same


def test_deviation_grows_with_what_is_rounded() -> None:
    draw = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 16, 64, generator=draw)
    for theta in THETAS:
        rope = RopeConfig(64, theta)
        for high in (300, 5000):
            places = torch.randint(high // 2, high, (32,), generator=draw)
            found = [deviation(rope, q, k, places, phase) for phase in PHASES]
            assert found == sorted(found)
            assert found[0] < 1e-12
            assert found[1] < 1e-4
            assert found[3] > 1e-2


@pytest.mark.parametrize("theta", THETAS)
def test_bound_is_the_sum_written_out(theta: float) -> None:
    half = 8
    for distance in (0, 1, 10, 1000):
        sums = [abs(sum(np.exp(1j * distance * theta ** (-i / half)) for i in range(j + 1))) for j in range(half)]
        found = bound(RopeConfig(2 * half, theta), torch.tensor([distance]))
        assert float(found) == pytest.approx(sum(sums) / half, abs=1e-3)


def test_the_whole_study(tmp_path: Path) -> None:
    study = open_study("rotary")
    assert isinstance(study, Rotary)
    outcome = run_study("rotary", study, Setting(2, "tiny"), tmp_path, lambda *told: None)
    summary = outcome.summary
    assert summary["mass"] is None
    assert set(summary["deviation"]) == set(summary["decay"]) == {"10000", "100000", "500000"}
    for found in summary["deviation"].values():
        assert all(len(values) == len(REACHES) for values in found.values())
        assert max(found["float64"]) < 1e-12
        assert max(found["fp32"]) < 0.05 < min(found["bf16 angles"]) * 5
    for found in summary["decay"].values():
        assert found["bound"][0] == pytest.approx(32.5)  # (64 + 1) / 2
        assert found["bound"][-1] < 12
        assert abs(found["equal"][-1]) < 0.4 < found["equal"][0]
        assert min(found["independent"]) > 0.8
    heads, rows = study.table(summary, "zh")
    assert len(rows) == len(THETAS) * len(PHASES)
    assert {len(row) for row in rows} == {len(heads)}
    assert (tmp_path / "rotary.png").exists() == (len(outcome.files) == 2)


@pytest.mark.parametrize("case", ["llama", "qwen3"])
def test_the_mass_is_what_transformers_attends_to(case: str, tmp_path: Path) -> None:
    folder_of(case, tmp_path / "model")
    (tmp_path / "text_lm").mkdir()
    with gzip.open(tmp_path / "text_lm" / "war_and_peace_en.txt.gz", "wt", encoding="utf-8") as file:
        file.write(TEXT)
    setting = Setting(1, "tiny", data=tmp_path, model=str(tmp_path / "model"))
    found = Rotary().run({"what": "mass"}, setting, lambda done, total: None)
    tokenizer = Tokenizer.from_folder(tmp_path / "model")
    ids = torch.tensor([*tokenizer.encode_prompt(""), *tokenizer.encode(TEXT)][: found["tokens"]])
    hf = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        every = torch.stack(hf.eval()(ids[None], output_attentions=True).attentions)[:, 0].mean((0, 1)).numpy()
    length = len(ids)
    assert length == 64
    wanted = dict.fromkeys(range(length), 0.0)
    first = 0.0
    for row in range(length // 2, length):
        first += every[row, 0] / (length // 2)
        for key in range(1, row + 1):
            wanted[row - key] += every[row, key] / (length // 2)
    assert found["first"] == pytest.approx(first, abs=1e-5)
    assert found["first"] + sum(each["mass"] for each in found["bins"]) == pytest.approx(1, abs=1e-5)
    assert [each["from"] for each in found["bins"]] == [0, 1, 2, 4, 8, 16, 32]
    for each in found["bins"]:
        mass = sum(wanted[n] for n in range(each["from"], each["to"] + 1))
        assert each["mass"] == pytest.approx(mass, abs=1e-5)

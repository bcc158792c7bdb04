"""The default model by the kernels, against torch's fp32 and torch's bf16."""

import json
import os
import subprocess
import sys

import pytest
import torch

from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from puna.llama.load import load
from puna.native.library import engines
from puna.weights.checkpoint import open_checkpoint

TEXTS = [
    "The Andean plateau lies between two ranges of mountains. Its grassland, the puna, is where llamas live. In the dry "
    "season the nights are cold, and herders bring their animals down to the wetlands, where the grass stays green.",
    "珠穆朗玛峰是世界上最高的山峰，海拔8848.86米，位于中国与尼泊尔的边界上。每年春天有许多登山者来到这里。",
    "def add(a: int, b: int) -> int:\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 2 ** i), {'a': [i]})\n",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital of France is Paris.",
]


@torch.inference_mode()
def all_log_probs(model, ids: torch.Tensor) -> torch.Tensor:
    hidden = model(ids, torch.arange(len(ids)), None, None)
    return model.logits(hidden).log_softmax(-1)


@pytest.fixture(scope="module")
def model(default_path, engine):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("puna.llama.load.engine_for", lambda config, dtype: engine)
        return load(open_checkpoint(default_path))


def test_no_further_from_fp32_than_torch(
    engine, model, default_torch, default_torch_fp32, default_tokenizer
) -> None:
    """Over all tokens of the vocabulary at every place of some texts."""
    assert default_torch_fp32.engine == default_torch.engine == "torch"
    away = {"native": 0.0, "torch": 0.0}
    for text in TEXTS:
        ids = torch.tensor(default_tokenizer.encode(text))
        exact = all_log_probs(default_torch_fp32, ids)
        for name, other in (("native", model), ("torch", default_torch)):
            away[name] += float((all_log_probs(other, ids) - exact).abs().mean()) / len(TEXTS)
    assert away["native"] < 1.1 * away["torch"], away
    assert away["native"] < (0.1 if engine.dtype == torch.bfloat16 else 1e-4), away


def test_writing_is_close_to_fp32(engine, model, default_torch_fp32, default_tokenizer) -> None:
    """One token at a time: the kernel for few rows, and its head."""
    ids = default_tokenizer.encode(TEXTS[0])
    with torch.inference_mode():
        cache = model.new_cache(len(ids))
        states = [model.read([token], cache) for token in ids]
        found = torch.cat([model.logits(each) for each in states]).log_softmax(-1)
    apart = (found - all_log_probs(default_torch_fp32, torch.tensor(ids))).abs().mean()
    assert apart < (0.1 if engine.dtype == torch.bfloat16 else 1e-4)
    chat = default_tokenizer.encode_chat([{"role": "user", "content": "What is the capital of France?"}])
    assert "Paris" in generate(model, default_tokenizer, chat, Sampling(), max_tokens=20).text


_RANK = """
import json, sys, puna
reader, candidates = puna.load(sys.argv[1]), ["珠穆朗玛峰", "珠峰", "喜马拉雅山脉", "世界第一高峰"]
ranking = reader.ask("世界上最高的山峰是什么？", sys.argv[2], candidates=candidates)
print(json.dumps({"engine": reader.model.engine, "ranked": [answer.text for answer in ranking.answers]}))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="torch caps its kernels on x86-64")
def test_capped_processes_rank_alike(default_path) -> None:
    """A cap on torch takes the wider kernels away, and the answers stay in their order."""
    found = {}
    for cap in ("", "avx512", "avx2", "default"):
        limits = {"ATEN_CPU_CAPABILITY": cap, "ONEDNN_MAX_CPU_ISA": "AVX2"} if cap else {}
        done = subprocess.run(
            [sys.executable, "-c", _RANK, str(default_path), TEXTS[1]],
            env={**os.environ, **limits},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found[cap] = json.loads(done.stdout)
    assert all(each["ranked"] == found[""]["ranked"] for each in found.values()), found
    assert found[""]["engine"] == next(iter(engines()), "torch")
    assert found["avx2"]["engine"] == ("avx2" if "avx2" in engines() else "torch")
    assert found["default"]["engine"] == "torch"

"""A peer's ways of ranking give the same numbers: which one is the fastest may then decide."""

import importlib
import random
import sys
from pathlib import Path

import pytest
import torch
import transformers

SCRIPTS = Path(__file__).parents[2] / "src/puna/bench/worker-scripts"
END = 1


@pytest.fixture
def engine(monkeypatch):
    """Transformers' worker over a random model, in fp32."""
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    known = set(sys.modules)
    module = importlib.import_module("on_transformers")
    threads = torch.get_num_threads()
    made = module.Transformers({"model": "none", "dtype": "float32", "end": END, "threads": threads})
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    made._model = transformers.LlamaForCausalLM(config).eval()
    made.forget()
    yield made
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) and str(SCRIPTS) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_transformers(engine) -> None:
    random.seed(3)
    text = random.choices(range(2, 50), k=40)
    candidates = [random.choices(range(2, 50), k=random.randrange(1, 6)) for _ in range(30)]
    engine.read(text)
    with torch.inference_mode():
        found = [way(candidates) for way in (engine._together, engine._one_by_one, engine._packed)]
    alone = []
    for candidate in candidates:
        with torch.inference_mode():
            logs = engine._model(torch.tensor([[*text, *candidate]])).logits[0].float().log_softmax(-1)
        rows = range(len(text) - 1, len(text) + len(candidate))
        alone.append(float(logs[rows, [*candidate, END]].sum()))
    for way in found:
        assert way == pytest.approx(alone, abs=1e-4)
    assert engine.rank(candidates) == pytest.approx(alone, abs=1e-4)
    assert engine._cache.get_seq_length() == len(text)

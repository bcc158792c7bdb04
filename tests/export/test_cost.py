"""What a type costs: perplexity as Transformers computes it, over the very tokens that are told."""

import math
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from puna.errors import InputError
from puna.export.cost import costs, windows
from puna.export.model import Source, export_model
from puna.tokens.tokenizer import Tokenizer
from tests.export.models import WIDE, make_folder

TEXT = "the cat sat on the mat. 高原 alpaca, 山; the alpaca sat on 高原.\n" * 9
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_folder(tmp_path / "a", **{**WIDE, "head_dim": 64})
    return tmp_path / "a"


def test_perplexity_is_transformers(folder: Path, tmp_path: Path) -> None:
    source = Source.opened(str(folder), None)
    cut = windows(TEXT, Tokenizer.from_folder(folder), 10_000, 100)
    steps: list[int] = []
    found = list(costs(source, ["Q4_0", "F32"], cut, CPU, lambda: steps.append(1)))
    assert [cost.kind for cost in found] == [None, "Q4_0", "F32"]
    assert len(steps) == 3 * len(cut.tokens)
    export_model(source, "gguf", "Q4_0", tmp_path / "q.gguf", lambda done, total: None)
    models = (
        LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32),
        LlamaForCausalLM.from_pretrained(tmp_path, gguf_file="q.gguf", dtype=torch.float32),
    )
    losses = []
    for model, cost in zip(models, found, strict=False):
        with torch.inference_mode():
            each = [
                model(ids, labels=ids).loss * (ids.shape[1] - 1) for ids in map(torch.tensor, map(_row, cut.tokens))
            ]
        losses.append(float(sum(each)) / cut.predicted)
        assert cost.nats == pytest.approx(losses[-1], rel=3e-3)  # products may be in bf16
        assert cost.perplexity == pytest.approx(math.exp(cost.nats))
    assert found[1].added == pytest.approx(found[1].nats - found[0].nats, abs=1e-9)
    assert found[1].added == pytest.approx(losses[1] - losses[0], abs=0.02)
    assert (found[2].added, found[2].error) == (0, 0)
    assert 0 < found[1].error < 0.1
    weights = sum(tensor.nbytes for tensor in models[0].state_dict().values())
    assert found[0].size_bytes == found[2].size_bytes == weights
    assert found[1].size_bytes < weights / 4


def _row(tokens: list[int]) -> list[list[int]]:
    return [list(tokens)]


@pytest.mark.parametrize("most", [5, 37, 200, 10_000])
@pytest.mark.parametrize("size", [2, 16, 1000])
def test_windows_hold_the_beginning_once(folder: Path, most: int, size: int) -> None:
    tokenizer = Tokenizer.from_folder(folder)
    cut = windows(TEXT, tokenizer, most, size)
    first = tokenizer.encode_prompt("")
    every = [token for window in cut.tokens for token in window[len(first) :]]
    ids = tokenizer.encode(TEXT)
    assert every == ids[: min(most, len(ids))][: len(every)]
    assert min(most, len(ids)) - len(every) < 2  # a last window of one token predicts nothing
    assert cut.characters == len(tokenizer.decode(ids[:most]).rstrip("\ufffd")) or most < len(ids)
    assert (cut.characters == len(TEXT)) == (most >= len(ids))
    assert cut.predicted == sum(len(window) - 1 for window in cut.tokens)


def test_nothing_to_predict(folder: Path) -> None:
    for text in ("", "a"):
        with pytest.raises(InputError) as caught:
            windows(text, Tokenizer.from_folder(folder), 100, 100)
        assert caught.value.code == "E-EXPORT-TEXT"

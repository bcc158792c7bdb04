"""Fewer key-value heads: against pooling written a second way, against Transformers, in every family."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from puna.errors import InputError
from puna.export.model import Source, export_model
from puna.export.regroup import RegroupedCheckpoint, regroup
from puna.weights.checkpoint import open_checkpoint
from tests.export.models import draw as draw_ids
from tests.export.models import logits
from tests.export.test_families import export, folder_of
from tests.oracle import families
from tests.oracle.families import CASES, weights_of

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
HEADS, KEYS, DIM = 8, 4, 8
WIDTH = 48


def make(case: str, path: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    sizes = {"num_attention_heads": HEADS, "num_key_value_heads": KEYS, "hidden_size": HEADS * DIM}
    own = {"head_dim": DIM, "hidden_size": WIDTH} if not case.startswith("qwen2") else {}
    return folder_of(case, path, dtype, **{**sizes, **own, **changes})


def fewer(
    model: Path, kv_heads: int, output: Path, by: Any = "mean", seed: int = 0, kind: str | None = None
) -> Any:
    return regroup(str(model), kv_heads, by, seed, kind, output, lambda done, total: None)


def pooled(rows: np.ndarray, kv_heads: int, first: bool = False) -> np.ndarray:
    """Head by head, row by row."""
    share = KEYS // kv_heads
    heads = [rows[n * DIM : (n + 1) * DIM].astype(np.float64) for n in range(KEYS)]
    made = []
    for group in range(kv_heads):
        mine = heads[group * share : (group + 1) * share]
        made.append(mine[0] if first else sum(mine[1:], mine[0]) / share)
    return np.concatenate(made).astype(np.float32)


def is_pooled(name: str) -> bool:
    return "k_proj" in name or "v_proj" in name


@pytest.mark.parametrize("by", ["mean", "first"])
@pytest.mark.parametrize("kv_heads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_every_family(case: str, kv_heads: int, by: str, tmp_path: Path) -> None:
    """What is pooled is, all else is the same bits, and Transformers computes with the folder what Puna does."""
    hf = make(case, tmp_path / "a")
    found = fewer(tmp_path / "a", kv_heads, tmp_path / "b", by)
    before, after = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    before.pop("lm_head.weight", None) if hf.config.tie_word_embeddings else None
    assert before.keys() == after.keys()
    assert any(name.endswith("k_proj.bias") for name in after) == (
        case in ("llama-bias", "qwen3-bias") or "n2" in case
    )
    for name, tensor in after.items():
        if is_pooled(name):
            wanted = torch.from_numpy(pooled(before[name].numpy(), kv_heads, by == "first"))
            torch.testing.assert_close(tensor, wanted, atol=1e-7, rtol=1e-6)
        else:
            assert torch.equal(tensor, before[name])
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "b", dtype=torch.float32, attn_implementation="eager")
    assert again.config.num_key_value_heads == kv_heads
    ids = draw_ids(40, hf.config.vocab_size)
    got = logits(open_checkpoint(tmp_path / "b"), ids)
    torch.testing.assert_close(got, families.logits(again.eval(), ids), **CLOSE)
    assert not torch.allclose(got, families.logits(hf, ids), atol=1e-2)
    counts = [sum(tensor.numel() for tensor in tensors.values()) for tensors in (before, after)]
    assert found.parameters == tuple(counts)
    size = 2 * 3 * DIM * (4 if found.cache_type == "float32" else 2)
    assert found.cache_bytes == (size * KEYS, size * kv_heads)


@pytest.mark.parametrize("by", ["mean", "first"])
@pytest.mark.parametrize("case", ["llama", "llama-bias", "mistral-window", "qwen2", "qwen3-bias"])
def test_heads_that_are_alike_lose_nothing(case: str, by: str, tmp_path: Path) -> None:
    hf = make(case, tmp_path / "a")
    for name, parameter in hf.named_parameters():
        if is_pooled(name):
            heads = parameter.data.unflatten(0, (2, KEYS // 2, DIM))
            heads[:] = heads[:, :1].clone()
    hf.save_pretrained(tmp_path / "a")
    fewer(tmp_path / "a", 2, tmp_path / "b", by)
    ids = draw_ids(60, hf.config.vocab_size)
    torch.testing.assert_close(logits(open_checkpoint(tmp_path / "b"), ids), families.logits(hf, ids), **CLOSE)


@pytest.mark.parametrize("case", ["llama", "mistral", "qwen2", "qwen3"])
def test_of_a_file_and_of_a_folder_the_same(case: str, tmp_path: Path) -> None:
    """A file's rows of q and k may be permuted: gguf-py shows its heads pooled in the file's own order."""
    make(case, tmp_path / "a")
    export(tmp_path / "a", "gguf", tmp_path / "a.gguf")
    fewer(tmp_path / "a", 2, tmp_path / "b")
    fewer(tmp_path / "a.gguf", 2, tmp_path / "c")
    export(tmp_path / "c", "gguf", tmp_path / "c.gguf")
    one, other = weights_of(tmp_path / "b"), weights_of(tmp_path / "c")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    before, after = (
        {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(tmp_path / name).tensors}
        for name in ("a.gguf", "c.gguf")
    )
    for name, rows in after.items():
        if "attn_k." in name or "attn_v." in name:
            np.testing.assert_allclose(rows, pooled(before[name], 2), atol=1e-7, rtol=1e-6)
        else:
            assert (rows == before[name]).all()


def test_it_is_a_checkpoint_that_can_be_written_as_a_file(tmp_path: Path) -> None:
    make("llama", tmp_path / "a")
    export(tmp_path / "a", "gguf", tmp_path / "a.gguf")
    source = Source.opened(str(tmp_path / "a.gguf"), None)
    grouped = RegroupedCheckpoint(source.checkpoint, 1)
    export_model(Source(source.path, grouped, None), "gguf", None, tmp_path / "b.gguf", lambda done, total: None)
    fewer(tmp_path / "a", 1, tmp_path / "c")
    ids = draw_ids(30, grouped.config["vocab_size"])
    found = [logits(each, ids) for each in (grouped, open_checkpoint(tmp_path / "b.gguf"))]
    for each in found:
        torch.testing.assert_close(each, logits(open_checkpoint(tmp_path / "c"), ids), **CLOSE)


def test_new_heads_have_learned_nothing(tmp_path: Path) -> None:
    """Drawn as the model's weights were at the beginning, biases zeros; a seed gives the same ones again."""
    make("llama-bias", tmp_path / "a", hidden_size=512, initializer_range=0.05)
    for name, seed in (("b", 0), ("c", 0), ("d", 1)):
        fewer(tmp_path / "a", 2, tmp_path / name, "random", seed)
    before, b, c, d = (weights_of(tmp_path / name) for name in "abcd")
    drawn = []
    for name, tensor in b.items():
        assert torch.equal(tensor, c[name])
        if not is_pooled(name):
            assert torch.equal(tensor, before[name])
        elif tensor.ndim == 1:
            assert not tensor.any()
        else:
            assert not torch.equal(tensor, d[name])
            drawn.append(tensor)
    numbers = torch.stack(drawn)  # 6 matrices of 16 x 512, no two alike
    assert len({tuple(matrix[0, :4].tolist()) for matrix in drawn}) == 6
    assert abs(float(numbers.std()) / 0.05 - 1) < 5 / (2 * numbers.numel()) ** 0.5
    assert abs(float(numbers.mean())) < 5 * 0.05 / numbers.numel() ** 0.5


def test_types(tmp_path: Path) -> None:
    """A folder keeps its type, means rounded once; blocks become F32, with the numbers that they stand for."""
    make("llama", tmp_path / "a", torch.bfloat16)
    found = fewer(tmp_path / "a", 1, tmp_path / "b")
    assert list(found.written.tensors) == ["BF16"]
    before, after = weights_of(tmp_path / "a"), weights_of(tmp_path / "b")
    for name in filter(is_pooled, after):
        wanted = torch.from_numpy(pooled(before[name].float().numpy(), 1)).bfloat16()
        torch.testing.assert_close(after[name], wanted, atol=0, rtol=2**-8)
    fewer(tmp_path / "a", 1, tmp_path / "c", kind="F32")
    wide = weights_of(tmp_path / "c")
    assert all(torch.equal(wide[name].bfloat16(), after[name]) for name in after)
    make("llama", tmp_path / "d", hidden_size=64, intermediate_size=64)
    export(tmp_path / "d", "gguf", tmp_path / "d.gguf", "Q8_0")
    found = fewer(tmp_path / "d.gguf", 1, tmp_path / "e")
    assert list(found.written.tensors) == ["F32"]
    checkpoint, made = open_checkpoint(tmp_path / "d.gguf"), weights_of(tmp_path / "e")
    for name, tensor in made.items():
        stored = checkpoint.tensor(name, torch.float32)
        if is_pooled(name):
            stored = torch.from_numpy(pooled(stored.numpy(), 1))
        torch.testing.assert_close(tensor, stored, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("wanted", [3, 4, 8, 0, -1])
def test_numbers_that_cannot_be(wanted: int, tmp_path: Path) -> None:
    make("llama", tmp_path / "a")
    with pytest.raises(InputError, match="4 key-value heads") as caught:
        fewer(tmp_path / "a", wanted, tmp_path / "b")
    assert caught.value.code == "E-REGROUP-HEADS"
    assert "1, 2" in caught.value.describe("en")[1]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_one_head_is_the_least(tmp_path: Path) -> None:
    make("llama", tmp_path / "a")
    fewer(tmp_path / "a", 1, tmp_path / "b")
    with pytest.raises(InputError) as caught:
        fewer(tmp_path / "b", 1, tmp_path / "c")
    assert caught.value.code == "E-REGROUP-ONE"


def test_a_folder_that_says_no_number_of_key_value_heads(tmp_path: Path) -> None:
    """It has as many as query heads."""
    make("llama", tmp_path / "a", num_key_value_heads=HEADS)
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    del config["num_key_value_heads"]
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    found = fewer(tmp_path / "a", 2, tmp_path / "b")
    assert found.kv_heads == (HEADS, 2)
    assert json.loads((tmp_path / "b" / "config.json").read_text())["num_key_value_heads"] == 2

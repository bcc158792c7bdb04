"""Every family written: from a folder to GGUF and back, and from Meta's files, with what no file can say told."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM

from puna.errors import ModelFileError
from puna.export.model import Source, export_model
from puna.llama.config import LlamaConfig
from puna.tokens.tokenizer import Tokenizer
from puna.weights.adapter import Adapter
from puna.weights.checkpoint import open_checkpoint
from puna.weights.gguf import GgufFile
from puna.weights.gguf_adapter import open_adapter, write_gguf_adapter
from tests.cli.tiny_file import write_tiny
from tests.export.models import PAD, WORDS, logits
from tests.export.models import draw as draw_ids
from tests.oracle import families
from tests.oracle.families import CASES, draw, gguf_tensors, make, save_pth, weights_of
from tests.tokens.kinds import write_sentence_piece
from tests.weights.adapters import draw_adapter

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
NOT = ("qwen2-window", "qwen2-window-everywhere", "qwen3-window", "qwen3-bias")
ALL = [name for name in CASES if name not in NOT]


def folder_of(case: str, path: Path, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """A folder with a tokenizer, and the model."""
    path.mkdir()
    tokenizer = Tokenizer.from_gguf(GgufFile(write_tiny(path / "t.gguf", words=WORDS)).metadata)
    (path / "t.gguf").unlink()
    hf = make(case, draw(case, 0, vocab_size=tokenizer.vocab_size + PAD, **changes))
    hf.to(dtype).save_pretrained(path)
    for name, content in tokenizer.files().items():
        (path / name).write_text(json.dumps(content), "utf-8")
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def export(model: Path, form: str, output: Path, kind: str | None = None) -> Any:
    return export_model(Source.opened(str(model), None), form, kind, output, lambda done, total: None)


@pytest.mark.parametrize("case", ALL)
def test_there_and_back(case: str, tmp_path: Path) -> None:
    """The same bits and the same model; gguf-py finds every tensor as llama.cpp's converter writes it."""
    hf = folder_of(case, tmp_path / "a")
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    export(tmp_path / "b.gguf", "hf", tmp_path / "c")
    before, after = (weights_of(tmp_path / name) for name in "ac")
    before.pop("lm_head.weight", None) if hf.config.tie_word_embeddings else None
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    wanted = gguf_tensors(hf)
    reader = gguf.GGUFReader(tmp_path / "b.gguf")
    found = {tensor.name: tensor.data for tensor in reader.tensors if tensor.name != "rope_freqs.weight"}
    assert found.keys() == wanted.keys()
    assert all((found[name] == wanted[name]).all() for name in wanted)
    family = case.partition("-")[0]
    architecture = reader.get_field("general.architecture")
    assert architecture is not None
    assert architecture.contents() == ("llama" if family in families.PERMUTED else family)
    first, last = (LlamaConfig.from_dict(open_checkpoint(tmp_path / name).config) for name in ("a", "c"))
    if "scaled" not in case:
        assert first == last
    ids = draw_ids(60, hf.config.vocab_size)
    want = families.logits(hf, ids)
    for path in (tmp_path / "b.gguf", tmp_path / "c"):
        torch.testing.assert_close(logits(open_checkpoint(path), ids), want, **CLOSE)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).eval()
    torch.testing.assert_close(families.logits(again, ids), want, **CLOSE)


@pytest.mark.parametrize("case", ["mistral", "qwen2", "qwen2-tied", "qwen3", "qwen3-tied"])
@pytest.mark.parametrize("kind", ["F32", "Q8_0", "Q6_K"])
def test_transformers_opens_the_file(case: str, kind: str, tmp_path: Path) -> None:
    """Of Qwen3 it takes heads of 128 only; these have them."""
    wide = {"hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 256}
    own = {} if case.startswith("qwen2") else {"head_dim": 128}
    folder_of(case, tmp_path / "a", **wide, **own)
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf", kind)
    hf = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="b.gguf", dtype=torch.float32).eval()
    ids = draw_ids(40, hf.config.vocab_size)
    got = logits(open_checkpoint(tmp_path / "b.gguf"), ids)
    torch.testing.assert_close(got, families.logits(hf, ids), atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("case", [name for name in ALL if "window" not in name])
def test_llama_cpp_computes_the_same(case: str, tmp_path: Path) -> None:
    """Where llama-cpp-python is installed, which is no tool of development."""
    llama_cpp = pytest.importorskip("llama_cpp")
    wide = {"hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 256}
    hf = folder_of(case, tmp_path / "a", **wide, **({} if case.startswith("qwen2") else {"head_dim": 64}))
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    ids = draw_ids(40, hf.config.vocab_size)
    options = {"n_ctx": 64, "n_threads": 1, "logits_all": True, "type_k": 0, "type_v": 0, "verbose": False}
    model = llama_cpp.Llama(str(tmp_path / "b.gguf"), **options)  # keys and values in F32
    model.eval(ids.tolist())
    got = torch.tensor(model.scores[: len(ids)])
    torch.testing.assert_close(got, families.logits(hf, ids), atol=3e-5, rtol=1e-5)


def test_a_window_is_written_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder_of("mistral-window", tmp_path / "a")
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    assert [record.msg.code for record in caplog.records] == ["E-EXPORT-WINDOW"]
    assert GgufFile(tmp_path / "b.gguf").metadata["llama.attention.sliding_window"] == 9
    caplog.clear()
    export(tmp_path / "a", "hf", tmp_path / "c")
    assert not caplog.records


@pytest.mark.parametrize("case", NOT)
def test_what_has_no_place_in_a_file(case: str, tmp_path: Path) -> None:
    """Windows of some layers, and biases where llama.cpp takes none; a folder holds both."""
    hf = folder_of(case, tmp_path / "a")
    with pytest.raises(ModelFileError) as caught:
        export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    assert caught.value.code == ("E-EXPORT-BIAS" if "bias" in case else "E-EXPORT-LAYERS")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    export(tmp_path / "a", "hf", tmp_path / "c", "F32")
    ids = draw_ids(50, hf.config.vocab_size)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).eval()
    torch.testing.assert_close(families.logits(again, ids), families.logits(hf, ids), **CLOSE)


def test_metas_files_become_a_folder_and_a_file(tmp_path: Path) -> None:
    """With the tokenizer beside them, which is SentencePiece's as in Llama 1 and 2."""
    params = {"dim": 48, "n_layers": 3, "n_heads": 8, "n_kv_heads": 4, "norm_eps": 1e-5, "vocab_size": -1}
    (tmp_path / "t").mkdir()
    write_sentence_piece(tmp_path / "t")
    tokenizer = Tokenizer.from_folder(tmp_path / "t")
    changes = {"hidden_size": 48, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 6}
    hf = make("llama", draw("llama", 0, vocab_size=tokenizer.vocab_size, intermediate_size=256, **changes))
    hf.config.rope_parameters["rope_theta"] = 10000.0
    hf.model.rotary_emb.__init__(hf.config)
    path = save_pth(hf, tmp_path / "a", params, shards=2, by_width=True)
    (tmp_path / "t" / "tokenizer.model").rename(path / "tokenizer.model")
    export(path, "hf", tmp_path / "c")
    export(path, "gguf", tmp_path / "b.gguf")
    export(path / "consolidated.01.pth", "gguf", tmp_path / "d.gguf", "F16")
    ids = draw_ids(60, hf.config.vocab_size)
    want = families.logits(hf, ids)
    for place in (path, tmp_path / "b.gguf", tmp_path / "c"):
        torch.testing.assert_close(logits(open_checkpoint(place), ids), want, **CLOSE)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).eval()
    torch.testing.assert_close(families.logits(again, ids), want, **CLOSE)
    assert again.config.eos_token_id == sorted(tokenizer.eos_ids)
    text = "the cat sat, 高原"
    for other in (
        Tokenizer.from_folder(tmp_path / "c"),
        Tokenizer.from_gguf(GgufFile(tmp_path / "b.gguf").metadata),
    ):
        assert other.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize("case", ["llama", "mistral", "qwen2", "qwen3"])
def test_adapters_of_every_family(case: str, tmp_path: Path) -> None:
    """Rows of B stand as those of their matrix do, and the file names the family."""
    hf = folder_of(case, tmp_path / "a")
    checkpoint = open_checkpoint(tmp_path / "a")
    drawn = draw_adapter({name: checkpoint.shape(name) for name in checkpoint.names()}, 5)
    adapter = Adapter(drawn.matrices, {name: 8.0 / len(a) for name, (a, _) in drawn.matrices.items()})
    write_gguf_adapter(tmp_path / "x.gguf", adapter, checkpoint.config)
    reader = gguf.GGUFReader(tmp_path / "x.gguf")
    heads = {"attn_q": hf.config.num_attention_heads, "attn_k": hf.config.num_key_value_heads}
    for tensor in reader.tensors:
        part = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        if part in heads and tensor.name.endswith("lora_b"):
            ours = {"attn_q": "q_proj", "attn_k": "k_proj"}[part]
            rows = adapter.matrices[f"model.layers.{tensor.name.split('.')[1]}.self_attn.{ours}.weight"][1].numpy()
            moved = families.interleave(rows, heads[part]) if case in families.PERMUTED else rows
            assert (tensor.data == moved).all()
    found = open_adapter(tmp_path / "x.gguf", checkpoint.config)
    for name, (a, b) in adapter.matrices.items():
        assert all(torch.equal(*pair) for pair in zip((a, b), found.matrices[name], strict=True))

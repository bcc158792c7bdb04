"""Models written as GGUF files and as folders: opened by Transformers and gguf-py, and the same numbers everywhere."""

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from puna.errors import InputError, ModelFileError
from puna.export.model import Source, export_model
from puna.llama.config import LlamaConfig
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from puna.weights.gguf import GgufFile
from puna.weights.quantise import MADE, quantise
from tests.cli.tiny_file import write_tiny
from tests.export.models import WIDE, draw, logits, make_folder
from tests.oracle.tiny import ROPES
from tests.weights.tiny_model import NAMES, interleave

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
LAYOUTS: dict[str, dict[str, Any]] = {
    "K3-G2": {},
    "multi-query": {"num_key_value_heads": 1},
    "multi-head": {"num_key_value_heads": 6},
    "own-head-dim": {"head_dim": 20},
    "bias": {"attention_bias": True, "mlp_bias": True},
    "tied": {"tie_word_embeddings": True},
}


def export(model: Path, form: str, output: Path, kind: str | None = None, adapter: Path | None = None):
    return export_model(Source.opened(str(model), adapter), form, kind, output, lambda done, total: None)


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def theirs(model, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(ids[None]).logits[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back(layout: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """A folder, a GGUF file of it, a folder of that: the same bits, the same model, the same tokens."""
    hf = make_folder(tmp_path / "a", dtype=dtype, **LAYOUTS[layout])
    found = export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    assert found.size_bytes == (tmp_path / "b.gguf").stat().st_size
    export(tmp_path / "b.gguf", "hf", tmp_path / "c")
    before, after = (state_of(tmp_path / name) for name in "ac")
    before.pop("lm_head.weight", None) if hf.config.tie_word_embeddings else None
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {tensor.dtype for tensor in after.values()} == {dtype}
    first, last = (LlamaConfig.from_dict(open_checkpoint(tmp_path / name).config) for name in ("a", "c"))
    assert first == last
    ids = draw(40, hf.config.vocab_size)
    want = theirs(hf, ids)
    for path in (tmp_path / "b.gguf", tmp_path / "c"):
        torch.testing.assert_close(logits(open_checkpoint(path), ids), want, **CLOSE)
    again = LlamaForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).eval()
    torch.testing.assert_close(theirs(again, ids), want, **CLOSE)


def test_rows_of_queries_and_keys_are_where_llama_cpp_has_them(tmp_path: Path) -> None:
    make_folder(tmp_path / "a", attention_bias=True, mlp_bias=True)
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    state, file = state_of(tmp_path / "a"), GgufFile(tmp_path / "b.gguf")
    for theirs_, ours in NAMES.items():
        for part in ("weight", "bias"):
            name = f"model.layers.1.{ours}.{part}"
            if name in state:
                wanted = state[name].numpy()
                heads = {"attn_q": 6, "attn_k": 3}.get(theirs_)
                wanted = wanted if heads is None else interleave(wanted, heads)
                assert (file.tensor(f"blk.1.{theirs_}.{part}").numpy() == wanted).all()


@pytest.mark.parametrize("kind", MADE)
def test_transformers_and_gguf_py_open_every_type(kind: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "a", seed=4, **WIDE)
    path = tmp_path / "b.gguf"
    found = export(tmp_path / "a", "gguf", path, kind)
    assert found.tensors[kind] >= 7
    assert found.fallbacks == {}
    for tensor in gguf.GGUFReader(path).tensors:
        dense = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1])
        assert (GgufFile(path).tensor(tensor.name).numpy() == dense).all()
    hf = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32).eval()
    checkpoint = open_checkpoint(path)
    ids = draw(50, 200)
    torch.testing.assert_close(logits(checkpoint, ids), theirs(hf, ids), atol=3e-5, rtol=1e-5)
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
    prompt = tokenizer.encode("the cat sat on 高原")
    written = list(prompt)
    for _ in range(12):
        written.append(int(logits(checkpoint, torch.tensor(written))[-1].argmax()))
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    assert hf.generate(torch.tensor([prompt]), **options)[0].tolist() == written


@pytest.mark.parametrize("rope", [name for name in ROPES if name != "dynamic"])
def test_every_rope_scaling(rope: str, tmp_path: Path) -> None:
    """Transformers reads the folder; what llama.cpp reads is told by Puna, from the tensors and keys of its format."""
    hf = make_folder(tmp_path / "a", rope=rope, num_attention_heads=6, hidden_size=48)
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    export(tmp_path / "b.gguf", "hf", tmp_path / "c")
    assert ("rope_freqs.weight" in GgufFile(tmp_path / "b.gguf").tensors) == (rope == "llama3")
    for length in (5, 33, 120):
        ids = draw(length, hf.config.vocab_size)
        want = theirs(LlamaForCausalLM.from_pretrained(tmp_path / "a", dtype=torch.float32).eval(), ids)
        for path in (tmp_path / "b.gguf", tmp_path / "c"):
            torch.testing.assert_close(logits(open_checkpoint(path), ids), want, **CLOSE)
        again = LlamaForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).eval()
        torch.testing.assert_close(theirs(again, ids), want, **CLOSE)


@pytest.mark.parametrize(
    ("factor", "low", "high", "original", "theta"),
    [(8.0, 1.0, 4.0, 8192, 500_000.0), (32.0, 1.0, 4.0, 8192, 500_000.0), (4.0, 1.0, 6.0, 1000, 10_000.0)],
)
def test_llama3_comes_back_by_its_numbers(
    factor: float, low: float, high: float, original: int, theta: float, tmp_path: Path
) -> None:
    numbers = {"factor": factor, "low_freq_factor": low, "high_freq_factor": high}
    numbers["original_max_position_embeddings"] = original
    make_folder(tmp_path / "a", head_dim=128)
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "llama3", "rope_theta": theta, **numbers}
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    export(tmp_path / "b.gguf", "hf", tmp_path / "c")
    scaling = json.loads((tmp_path / "c" / "config.json").read_text())["rope_scaling"]
    assert scaling == {"rope_type": "llama3", **{key: pytest.approx(value) for key, value in numbers.items()}}


def test_divisors_that_are_not_llama_3s(tmp_path: Path) -> None:
    write_tiny(tmp_path / "t.gguf", head=16)
    checkpoint = open_checkpoint(tmp_path / "t.gguf")
    checkpoint.config["rope_scaling"] = {
        "rope_type": "divisors",
        "divisors": [1.0, 3.0, 2.0, 7.5, 1.5, 1.0, 9.0, 2.0],
    }
    ids = draw(60, 200)
    source = Source(tmp_path / "t.gguf", checkpoint, None)
    export_model(source, "hf", None, tmp_path / "c", lambda done, total: None)
    again = LlamaForCausalLM.from_pretrained(tmp_path / "c", dtype=torch.float32).eval()
    torch.testing.assert_close(theirs(again, ids), logits(checkpoint, ids), **CLOSE)


def test_dynamic_scaling_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "a", rope="dynamic")
    with pytest.raises(ModelFileError, match="dynamic") as caught:
        export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    assert caught.value.code == "E-EXPORT-ROPE"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_keeps_its_type_keeps_its_bytes(tmp_path: Path) -> None:
    """From GGUF to GGUF: keys, order of tokens and bytes; and only what is asked for changes."""
    path = write_tiny(tmp_path / "a.gguf", head=16, ffn=64)
    export(path, "gguf", tmp_path / "b.gguf")
    export(path, "gguf", tmp_path / "q.gguf", "Q8_0")
    export(tmp_path / "q.gguf", "gguf", tmp_path / "r.gguf", "Q8_0")
    export(tmp_path / "q.gguf", "gguf", tmp_path / "s.gguf")
    before, after = GgufFile(path), GgufFile(tmp_path / "b.gguf")
    assert {**before.metadata, "general.file_type": 0}.keys() == after.metadata.keys()
    for key, value in before.metadata.items():
        assert key == "general.file_type" or str(value) == str(after.metadata[key])
        kinds = [gguf.GGUFReader(each).fields[key].types for each in (path, tmp_path / "b.gguf")]
        assert kinds[0] == kinds[1]
    assert all((before.raw(name) == after.raw(name)).all() for name in before.tensors)
    quantised = GgufFile(tmp_path / "q.gguf")
    assert {info.kind for info in quantised.tensors.values()} == {"F32", "Q8_0"}
    for name, info in quantised.tensors.items():
        plain = before.tensor(name)
        assert (quantised.raw(name) == quantise(plain, info.kind).flatten().numpy()).all()
    assert (tmp_path / "q.gguf").read_bytes() == (tmp_path / "r.gguf").read_bytes()
    assert (tmp_path / "q.gguf").read_bytes() == (tmp_path / "s.gguf").read_bytes()


def test_rows_that_do_not_fit_and_the_head(tmp_path: Path) -> None:
    make_folder(tmp_path / "a", **{**WIDE, "intermediate_size": 320, "hidden_size": 256})
    found = export(tmp_path / "a", "gguf", tmp_path / "b.gguf", "Q4_K")
    kinds = {name: info.kind for name, info in GgufFile(tmp_path / "b.gguf").tensors.items()}
    assert kinds["blk.0.ffn_down.weight"] == "Q5_0"  # rows of 320
    assert kinds["output.weight"] == "Q6_K"
    assert kinds["token_embd.weight"] == kinds["blk.0.attn_q.weight"] == "Q4_K"
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert found.fallbacks == {"Q5_0": 1}
    assert found.tensors == {"Q4_K": 7, "Q5_0": 1, "Q6_K": 1, "F32": 3}
    make_folder(tmp_path / "odd", hidden_size=60, num_attention_heads=6, num_key_value_heads=2, head_dim=12)
    found = export(tmp_path / "odd", "gguf", tmp_path / "odd.gguf", "Q8_0")
    assert found.fallbacks == {"F16": 16}  # rows of 60, 72 and 80


def test_a_second_quantisation_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_folder(tmp_path / "a", **WIDE)
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf", "Q8_0")
    assert not caplog.records
    export(tmp_path / "b.gguf", "gguf", tmp_path / "c.gguf", "Q4_0")
    assert [record.msg.code for record in caplog.records] == ["E-EXPORT-TWICE"]


@pytest.mark.parametrize("form", ["gguf", "hf"])
def test_nothing_is_overwritten_and_nothing_left(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "a")
    for output in (tmp_path / "a", tmp_path / "a" / "config.json"):
        with pytest.raises(InputError) as caught:
            export(tmp_path / "a", form, output)
        assert caught.value.code == "E-EXPORT-TARGET"
    inside = sorted(path.name for path in (tmp_path / "a").iterdir())

    def stopped(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(Source.opened(str(tmp_path / "a"), None), form, None, tmp_path / "b", stopped)
    with pytest.raises(InputError) as caught:
        export(tmp_path / "a", form, tmp_path / "a" / "config.json" / "b")
    assert caught.value.code == "E-OUTPUT-WRITE"
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError) as caught:
        export(tmp_path / "a", form, tmp_path / "b")
    assert caught.value.code == "E-EXPORT-ROOM"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == inside


@pytest.mark.parametrize(
    ("value", "kind", "form"),
    [(1e6, "F16", "gguf"), (1e6, "Q4_K", "gguf"), (float("nan"), "Q8_0", "gguf"), (1e6, "F16", "hf")],
)
def test_numbers_that_a_type_cannot_hold(value: float, kind: str, form: str, tmp_path: Path) -> None:
    hf = make_folder(tmp_path / "a", **WIDE)
    hf.model.layers[0].mlp.down_proj.weight.data[3, 5] = value
    hf.save_pretrained(tmp_path / "a")
    with pytest.raises(ModelFileError) as caught:
        export(tmp_path / "a", form, tmp_path / "b", kind)
    assert caught.value.code == "E-EXPORT-NUMBER"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_types_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        export(write_tiny(tmp_path / "t.gguf"), "hf", tmp_path / "b", "Q8_0")
    assert caught.value.code == "E-EXPORT-DENSE"


def test_the_tokenizer_goes_with_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a")
    export(tmp_path / "a", "gguf", tmp_path / "b.gguf")
    export(tmp_path / "b.gguf", "hf", tmp_path / "c")
    first, last = (Tokenizer.from_folder(tmp_path / name) for name in "ac")
    between = Tokenizer.from_gguf(open_checkpoint(tmp_path / "b.gguf").tokenizer_metadata)
    oracle = AutoTokenizer.from_pretrained(tmp_path / "c")
    chat = [{"role": "user", "content": "the cat sat <|im_end|> 山"}]
    for text in ("the cat sat on the mat", "高原 alpaca 123", " <|im_start|>", "a\n\n b"):
        ids = first.encode_prompt(text)
        assert between.encode_prompt(text) == last.encode_prompt(text) == ids
        assert between.decode(ids) == last.decode(ids) == text
        if "<|" not in text:
            assert oracle(text).input_ids == ids
    assert first.encode_chat(chat) == between.encode_chat(chat) == last.encode_chat(chat)
    assert first.bos_id == between.bos_id == last.bos_id
    assert first.eos_ids == between.eos_ids == last.eos_ids

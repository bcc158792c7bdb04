"""Adapters merged and apart: PEFT's own merge is the oracle, and llama.cpp's file is written out by hand."""

import random
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from puna.errors import InputError, ModelFileError
from puna.export.model import Source, export_adapter, export_model
from puna.weights import retyped
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import Adapter, read_adapter, read_own, write_adapter
from puna.weights.checkpoint import open_checkpoint
from puna.weights.digest import hash_file
from puna.weights.gguf import GgufFile
from puna.weights.gguf_adapter import open_adapter, write_gguf_adapter
from puna.weights.quantise import quantise
from tests.export.models import WIDE, draw, logits, make_folder
from tests.weights import raw_gguf
from tests.weights.adapters import draw_adapter
from tests.weights.tiny_model import interleave

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder `a`, and beside it `lora`, an adapter by PEFT; alpha and rank are not the same everywhere."""
    hf = make_folder(tmp_path / "a", **WIDE)
    config = LoraConfig(
        r=4, lora_alpha=6, target_modules=TARGETS, task_type="CAUSAL_LM", rank_pattern={"k_proj": 2},
        alpha_pattern={"down_proj": 10},
    )  # fmt: skip
    model = get_peft_model(hf, config)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.1)
    model.save_pretrained(tmp_path / "lora")
    return tmp_path


def peft_merged(root: Path) -> dict[str, torch.Tensor]:
    base = LlamaForCausalLM.from_pretrained(root / "a", dtype=torch.float32)
    return PeftModel.from_pretrained(base, root / "lora").merge_and_unload().state_dict()


def merge(root: Path, form: str, name: str, kind: str | None = None, adapter: str = "lora") -> Path:
    source = Source.opened(str(root / "a"), root / adapter)
    found = export_model(source, form, kind, root / name, lambda done, total: None)
    assert found.adapter == "lora"
    return root / name


def test_merged_is_what_peft_merges(made: Path) -> None:
    wanted = peft_merged(made)
    plain = load_file(made / "a" / "model.safetensors")
    found = load_file(merge(made, "hf", "merged") / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, wanted[name], atol=1e-6, rtol=1e-6)
        assert torch.equal(tensor, plain[name]) == ("_proj" not in name)
    checkpoint = open_checkpoint(merge(made, "gguf", "merged.gguf"))
    for name, tensor in found.items():
        assert torch.equal(checkpoint.tensor(name, torch.float32), tensor)


def test_merged_and_quantised_once(made: Path) -> None:
    """Not the quantised model with the adapter in it, but the sum, quantised."""
    dense = open_checkpoint(merge(made, "hf", "merged"))
    stored = open_checkpoint(merge(made, "gguf", "merged.gguf", "Q4_K"))
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(stored.rows(name), quantise(dense.tensor(name, torch.float32), "Q4_K"))


def test_a_quantised_model_keeps_its_types(made: Path) -> None:
    source = Source.opened(str(made / "a"), None)
    export_model(source, "gguf", "Q8_0", made / "q.gguf", lambda done, total: None)
    source = Source.opened(str(made / "q.gguf"), made / "lora")
    export_model(source, "gguf", None, made / "merged.gguf", lambda done, total: None)
    before, after = (GgufFile(made / name) for name in ("q.gguf", "merged.gguf"))
    for name, info in before.tensors.items():
        assert after.tensors[name].kind == info.kind
        changed = any(part in name for part in ("attn_", "ffn_")) and "norm" not in name
        assert (before.raw(name) == after.raw(name)).all() != changed


def test_types_that_are_only_read(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix that an adapter changes cannot stay Q3_K, say: that is told before anything is written."""
    export_model(Source.opened(str(made / "a"), None), "gguf", "Q8_0", made / "q.gguf", lambda done, total: None)
    monkeypatch.setattr(retyped, "MADE", ("F32", "F16"))
    export_model(
        Source.opened(str(made / "q.gguf"), None), "gguf", None, made / "same.gguf", lambda done, total: None
    )
    assert (made / "same.gguf").read_bytes() == (made / "q.gguf").read_bytes()
    source = Source.opened(str(made / "q.gguf"), made / "lora")
    with pytest.raises(ModelFileError) as caught:
        export_model(source, "gguf", None, made / "merged.gguf", lambda done, total: None)
    assert caught.value.code == "E-EXPORT-TYPE"
    assert not (made / "merged.gguf").exists()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
def test_gguf_and_back(made: Path, dtype: torch.dtype | None) -> None:
    """The same numbers to apply, from the file and from the folder that is made of the file."""
    config = open_checkpoint(made / "a").config
    write_gguf_adapter(made / "lora.gguf", read_adapter(made / "lora"), config, dtype)
    adapters = [read_adapter(made / "lora"), open_adapter(made / "lora.gguf", config)]
    write_adapter(made / "back", adapters[1])
    adapters.append(open_adapter(made / "back", config))
    assert adapters[1].name == "lora"
    close = {"atol": 1e-7, "rtol": 1e-6} if dtype is None else {"atol": 0, "rtol": 0.02}
    for name, (a, b) in adapters[0].matrices.items():
        change = adapters[0].scale[name] * b @ a
        for other in adapters[1:]:
            a, b = other.matrices[name]
            assert a.dtype == (dtype or torch.float32)
            found = other.scale[name] * b.float() @ a.float()
            torch.testing.assert_close(found, change, **close) if dtype is None else None
            assert float((found - change).norm() / change.norm()) < (1e-6 if dtype is None else 0.01)
    ids = draw(30, 200)
    got = [logits(AdaptedCheckpoint(open_checkpoint(made / "a"), each), ids) for each in adapters]
    torch.testing.assert_close(got[1], got[2], atol=1e-5, rtol=1e-5)
    if dtype is None:
        torch.testing.assert_close(got[0], got[1], atol=1e-5, rtol=1e-5)


def test_the_same_bits_where_one_alpha_says_all(tmp_path: Path) -> None:
    make_folder(tmp_path / "a")
    checkpoint = open_checkpoint(tmp_path / "a")
    shapes = {name: checkpoint.shape(name) for name in checkpoint.names()}
    drawn = draw_adapter(shapes, 5)
    adapter = Adapter(drawn.matrices, {name: 8.0 / len(a) for name, (a, _) in drawn.matrices.items()})
    write_adapter(tmp_path / "lora", adapter)
    write_gguf_adapter(tmp_path / "lora.gguf", adapter, checkpoint.config)
    first, second = (open_adapter(tmp_path / name, checkpoint.config) for name in ("lora", "lora.gguf"))
    assert first.digest == second.digest
    assert first.scale == second.scale
    ids = draw(30, 200)
    assert torch.equal(*(logits(AdaptedCheckpoint(checkpoint, each), ids) for each in (first, second)))


def test_rows_and_keys_are_llama_cpps(made: Path) -> None:
    """As `convert_lora_to_gguf.py` names them: B of q and k with its rows in GGUF's order, A as it is."""
    config = open_checkpoint(made / "a").config
    adapter = read_adapter(made / "lora")
    write_gguf_adapter(made / "lora.gguf", adapter, config)
    reader = gguf.GGUFReader(made / "lora.gguf")
    fields = {
        key: reader.fields[key].contents() for key in ("general.type", "general.architecture", "adapter.type")
    }
    assert fields == {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    assert reader.fields["adapter.lora.alpha"].contents() == 6.0
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(tensors) == 14
    stored = load_file(made / "lora" / "adapter_model.safetensors")
    stem = "base_model.model.model.layers.0."
    for theirs, ours, heads in (("attn_q", "q", 4), ("attn_k", "k", 2), ("attn_v", "v", None)):
        a, b = (stored[f"{stem}self_attn.{ours}_proj.lora_{part}.weight"].numpy() for part in "AB")
        assert (tensors[f"blk.0.{theirs}.weight.lora_a"] == a).all()
        wanted = interleave(b, heads) if heads else b
        if ours == "k":  # alpha 6 over a rank of 2, where one alpha over the rank is due as well
            assert np.allclose(tensors[f"blk.0.{theirs}.weight.lora_b"], wanted)
        else:
            assert (tensors[f"blk.0.{theirs}.weight.lora_b"] == wanted).all()
    down = stored[f"{stem}mlp.down_proj.lora_B.weight"].numpy()
    assert np.allclose(tensors["blk.0.ffn_down.weight.lora_b"], down * 10 / 6)


def test_export_of_an_adapter_alone(made: Path) -> None:
    source = Source.opened(str(made / "a"), made / "lora")
    found = export_adapter(source, "gguf", None, made / "lora.gguf")
    assert (found.adapter, found.tensors) == ("lora", {"F32": 14})
    back = export_adapter(Source.opened(str(made / "a"), made / "lora.gguf"), "hf", "BF16", made / "back")
    assert back.tensors == {"BF16": 14}
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(made / "a"), made / "back")
    assert model.peft_config["default"].r == 4
    for form, output in (("gguf", "lora.gguf"), ("hf", "back")):
        with pytest.raises(InputError) as caught:
            export_adapter(source, form, None, made / output)
        assert caught.value.code == "E-EXPORT-TARGET"
    with pytest.raises(InputError) as caught:
        export_adapter(source, "gguf", "Q8_0", made / "other.gguf")
    assert caught.value.code == "E-EXPORT-DENSE"
    with pytest.raises(InputError) as caught:
        export_adapter(Source.opened(str(made / "a"), None), "gguf", None, made / "other.gguf")
    assert caught.value.code == "E-EXPORT-ALONE"


def test_pointer_prompt_and_base_go_with_it(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = read_adapter(made / "lora")
    about = {
        "base": {"name": "a", "sha256": "ab" * 32},
        "prompt": {"examples": False},
        "reader": {"pointer": 0.25},
    }
    pointer = {
        "pointer.question": torch.randn(2, 3, 256),
        "pointer.text": torch.randn(2, 3, 256),
        "pointer.nowhere": torch.zeros(2, 3),
    }
    config = open_checkpoint(made / "a").config
    write_adapter(made / "reader", Adapter(plain.matrices, plain.scale, pointer, about))
    write_gguf_adapter(made / "reader.gguf", read_adapter(made / "reader"), config)
    found = open_adapter(made / "reader.gguf", config)
    assert (found.name, found.base, found.examples) == ("reader", ("a", "ab" * 32), False)
    assert found.about["reader"] == {"pointer": 0.25}
    assert found.extra.keys() == pointer.keys()
    assert all(torch.equal(found.extra[name], pointer[name]) for name in pointer)
    for name in ("reader", "reader.gguf"):
        with pytest.raises(ModelFileError) as caught:
            Source.opened(str(made / "a"), made / name)
        assert caught.value.code == "E-ADAPTER-MODEL"
    del about["base"]
    write_adapter(made / "reader", Adapter(plain.matrices, plain.scale, pointer, about))
    source = Source.opened(str(made / "a"), made / "reader")
    export_model(source, "hf", None, made / "merged", lambda done, total: None)
    own = read_own(made / "merged")
    assert own is not None
    assert not own.examples
    assert all(torch.equal(own.extra[name], pointer[name]) for name in pointer)
    assert not caplog.records
    export_model(source, "gguf", None, made / "merged.gguf", lambda done, total: None)
    assert [record.msg.code for record in caplog.records] == ["E-EXPORT-READER"]


def test_an_adapter_of_the_right_model_is_taken(made: Path) -> None:
    export_model(Source.opened(str(made / "a"), None), "gguf", None, made / "a.gguf", lambda done, total: None)
    plain = read_adapter(made / "lora")
    base = {"name": "a", "sha256": hash_file(made / "a.gguf")}
    write_adapter(made / "for-a", Adapter(plain.matrices, plain.scale, {}, {"base": base}))
    source = Source.opened(str(made / "a.gguf"), made / "for-a")
    assert export_adapter(source, "gguf", None, made / "for-a.gguf").adapter == "for-a"
    assert open_adapter(made / "for-a.gguf", source.checkpoint.config).base == ("a", base["sha256"])


Change = dict[str, Any]


def hand_made(path: Path, *, keys: Change | None = None, tensors: dict[str, tuple[int, ...]] | None = None) -> Path:
    """A file by gguf's own writer; a key that is None is left out."""
    said = {"general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 8.0, **(keys or {})}
    writer = gguf.GGUFWriter(path, said.pop("general.architecture", "llama"))
    for key, value in said.items():
        if value is not None:
            add = {str: writer.add_string, float: writer.add_float32, list: writer.add_array, bool: writer.add_bool}
            add[type(value)](key, value)
    for name, shape in (
        tensors or {"blk.0.attn_v.weight.lora_a": (2, 256), "blk.0.attn_v.weight.lora_b": (128, 2)}
    ).items():
        writer.add_tensor(name, np.full(shape, 0.5, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


HEADS = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2}
Q, NORM = "blk.0.attn_q.weight.lora_", "blk.0.attn_norm.weight.lora_"


def test_alpha_over_rank_and_none(tmp_path: Path) -> None:
    name = "model.layers.0.self_attn.v_proj.weight"
    for alpha, scale in ((8.0, 4.0), (3.0, 1.5), (0.0, 1.0)):
        found = open_adapter(hand_made(tmp_path / f"{alpha}.gguf", keys={"adapter.lora.alpha": alpha}), HEADS)
        assert found.scale == {name: scale}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("E-ADAPTER-KIND", {"keys": {"general.type": "model"}}),
        ("E-ADAPTER-KIND", {"keys": {"adapter.type": "control_vector"}}),
        ("E-ADAPTER-KIND", {"keys": {"general.type": [1, 2]}}),
        ("E-ADAPTER-KIND", {"keys": {"adapter.type": [1, 2]}}),
        ("E-ARCHITECTURE", {"keys": {"general.architecture": "gemma"}}),
        ("E-CONFIG-VALUE", {"keys": {"general.architecture": "qwen2"}}),
        ("E-ADAPTER-SETTING", {"keys": {"adapter.lora.alpha": None}}),
        ("E-ADAPTER-SETTING", {"keys": {"adapter.lora.alpha": float("nan")}}),
        ("E-ADAPTER-SETTING", {"keys": {"adapter.lora.alpha": "8"}}),
        ("E-ADAPTER-SETTING", {"keys": {"adapter.alora.invocation_tokens": [1, 2]}}),
        ("E-ADAPTER-ABOUT", {"keys": {"puna.about": '{"format": 99}'}}),
        ("E-JSON", {"keys": {"puna.about": "no JSON"}}),
        ("E-JSON", {"keys": {"puna.about": True}}),
        ("E-ADAPTER-ABOUT", {"keys": {"puna.tensor.pointer.text": [1.0, 2.0], "puna.shape.pointer.text": [3]}}),
        ("E-ADAPTER-ABOUT", {"keys": {"puna.tensor.pointer.text": [1.0, 2.0], "puna.shape.pointer.text": [-1, -2]}}),
        ("E-ADAPTER-ABOUT", {"keys": {"puna.tensor.pointer.text": "far"}}),
        ("E-ADAPTER-NUMBER", {"keys": {"puna.tensor.x": [1.0, float("inf")], "puna.shape.x": [2]}}),
        ("E-ADAPTER-TENSOR", {"tensors": {f"{NORM}a": (2, 4), f"{NORM}b": (4, 2)}}),
        ("E-ADAPTER-TENSOR", {"tensors": {"token_embd.weight.lora_a": (2, 4), "token_embd.weight.lora_b": (4, 2)}}),
        ("E-ADAPTER-TENSOR", {"tensors": {"blk.0.attn_q.bias.lora_a": (2, 4)}}),
        ("E-ADAPTER-TENSOR", {"tensors": {"blk.0.attn_q.weight": (2, 4)}}),
        ("E-ADAPTER-PAIR", {"tensors": {f"{Q}a": (2, 4)}}),
        ("E-ADAPTER-FACTORS", {"tensors": {f"{Q}a": (2, 4), f"{Q}b": (4, 3)}}),
        ("E-ADAPTER-FACTORS", {"tensors": {f"{Q}a": (2, 4, 1), f"{Q}b": (4, 2)}}),
        ("E-ADAPTER-FACTORS", {"tensors": {f"{Q}a": (2,), f"{Q}b": (4, 2)}}),
    ],
)  # fmt: skip
def test_hostile_files(code: str, change: Change, tmp_path: Path) -> None:
    path = hand_made(tmp_path / "x.gguf", **change)
    with pytest.raises(ModelFileError) as caught:
        open_adapter(path, HEADS)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_files_that_fit_no_model(made: Path) -> None:
    hand_made(made / "x.gguf", tensors={f"{Q}a": (2, 256), f"{Q}b": (100, 2)})
    with pytest.raises(ModelFileError) as caught:
        Source.opened(str(made / "a"), made / "x.gguf")
    assert caught.value.code == "E-ADAPTER-MATRIX"
    raw_gguf.write(made / "empty.gguf", raw_gguf.build())
    for name, code in (("empty.gguf", "E-ADAPTER-KIND"), ("none.gguf", "E-ADAPTER-MISSING")):
        with pytest.raises(ModelFileError) as caught:
            Source.opened(str(made / "a"), made / name)
        assert caught.value.code == code


def test_cut_and_flipped_bytes(tmp_path: Path) -> None:
    """Whatever is wrong, it is one clean error, or an adapter that can be applied."""
    raw, draw_ = hand_made(tmp_path / "x.gguf").read_bytes(), random.Random(1)
    for number in range(300):
        changed = bytearray(raw[: draw_.randrange(len(raw))] if number % 3 == 0 else raw)
        for _ in range(draw_.randint(0, 4)):
            if changed:
                changed[draw_.randrange(min(len(changed), 500))] = draw_.randrange(256)
        path = tmp_path / "y.gguf"
        path.write_bytes(changed)
        try:
            found = open_adapter(path, HEADS)
        except ModelFileError:
            continue
        assert found.matrices

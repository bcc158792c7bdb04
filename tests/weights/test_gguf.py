"""The GGUF reader against gguf-py's, on the default model and on small files."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from puna.errors import ModelFileError
from puna.weights.gguf import GgufFile
from tests.weights import raw_gguf as raw
from tests.weights.tiny_model import Tiny


def field_value(field: gguf.ReaderField) -> object:
    value = field.contents()
    return value.tolist() if isinstance(value, np.ndarray) else value


def same(one: object, other: object) -> bool:
    return (one.tolist() if isinstance(one, np.ndarray) else one) == other


def compare_with_oracle(path: Path, checked: int) -> None:
    oracle, ours = gguf.GGUFReader(path), GgufFile(path)
    fields = {key: field for key, field in oracle.fields.items() if not key.startswith("GGUF.")}
    assert ours.metadata.keys() == fields.keys()
    for key, field in fields.items():
        assert same(ours.metadata[key], field_value(field)), key
    assert list(ours.tensors) == [tensor.name for tensor in oracle.tensors]
    step = max(len(oracle.tensors) // checked, 1)
    for index, tensor in enumerate(oracle.tensors):
        info = ours.tensors[tensor.name]
        assert info.shape == tuple(int(dim) for dim in reversed(tensor.shape))
        assert (info.kind, info.nbytes) == (tensor.tensor_type.name, int(tensor.n_bytes))
        assert info.offset == int(tensor.data_offset)
        if index % step == 0:
            want = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(info.shape)
            assert np.array_equal(ours.tensor(tensor.name).numpy(), want)
            assert np.array_equal(
                ours.raw(tensor.name), np.ascontiguousarray(tensor.data).view(np.uint8).reshape(-1)
            )


def test_default_model_equals_gguf_py(default_model: Path) -> None:
    compare_with_oracle(default_model, 12)


def test_tiny_model_equals_gguf_py(tiny: Tiny) -> None:
    compare_with_oracle(tiny.gguf, 100)


def test_default_model_to_bf16(default_model: Path) -> None:
    file = GgufFile(default_model)
    for name in list(file.tensors)[:8]:
        assert torch.equal(file.tensor(name, torch.bfloat16), file.tensor(name).bfloat16())


def test_every_kind_of_value(tmp_path: Path) -> None:
    file = GgufFile(raw.write(tmp_path / "x.gguf", raw.sample()))
    meta = file.metadata
    assert meta["name"] == "羊驼 🦙"
    assert [meta[f"one.{kind}"] for kind in (raw.U8, raw.I8, raw.I32, raw.U64, raw.I64)] == [
        200,
        -3,
        -(2**31),
        2**64 - 1,
        -(2**63),
    ]
    assert meta[f"one.{raw.BOOL}"] is True
    assert meta[f"one.{raw.F64}"] == 0.1
    assert meta["texts"] == ["", "a", "草原"]
    assert meta["none"] == []
    assert isinstance(meta[f"many.{raw.U64}"], np.ndarray)
    assert meta[f"many.{raw.U64}"].tolist() == [2**64 - 1] * 2
    assert meta[f"many.{raw.BOOL}"].tolist() == [True, True]
    assert file.tensors["b"].shape == (2, 64)
    assert file.tensors["b"].nbytes == 80
    assert file.tensor("c").shape == (5,)


def test_version_2_and_other_alignments(tmp_path: Path) -> None:
    infos = [raw.info("a", [2], 0, 0), raw.info("b", [2], 0, 64)]
    data = np.array([1, 2, *[0] * 14, 3, 4], "<f4").tobytes()
    pairs = [raw.pair("general.alignment", raw.U32, 64)]
    path = raw.write(tmp_path / "x", raw.build(pairs, infos, data, version=2, alignment=64))
    assert GgufFile(path).tensor("b").tolist() == [3.0, 4.0]


def test_views_cannot_change_the_file(tmp_path: Path) -> None:
    path = raw.write(tmp_path / "x.gguf", raw.sample())
    before = path.read_bytes()
    file = GgufFile(str(path))
    with pytest.raises(ValueError, match="read-only"):
        file.raw("a")[0] = 1
    dense = file.tensor("a")
    dense.fill_(7)
    assert not torch.equal(file.tensor("a"), dense)
    assert path.read_bytes() == before


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    file = GgufFile(raw.write(tmp_path / "x.gguf", raw.sample()))
    for read in (file.raw, file.rows, file.tensor):
        with pytest.raises(ModelFileError, match="no tensor nothing"):
            read("nothing")


def test_cut_at_every_byte(tmp_path: Path) -> None:
    whole = raw.sample()
    path = tmp_path / "cut.gguf"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError) as caught:
            GgufFile(path)
        assert caught.value.code in {"E-GGUF-TRUNCATED", "E-GGUF-COUNT", "E-WEIGHTS-EMPTY"}, size


def test_cut_at_random_places_says_by_how_much(tmp_path: Path, tiny: Tiny) -> None:
    whole = tiny.gguf.read_bytes()
    path = tmp_path / "cut.gguf"
    data = min(info.offset for info in GgufFile(tiny.gguf).tensors.values())
    end = max(info.offset + info.nbytes for info in GgufFile(tiny.gguf).tensors.values())
    for size in np.random.default_rng(3).integers(1, end, 50).tolist():
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFileError) as caught:
            GgufFile(path)
        if size >= data:
            assert caught.value.code == "E-GGUF-TRUNCATED"
            assert caught.value.parameters["missing"] == end - size

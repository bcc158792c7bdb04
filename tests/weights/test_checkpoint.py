"""One model in every form that is opened, and everything that is not a model."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from puna.errors import ModelFileError
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.names import to_gguf, unpermute
from tests.weights.tiny_model import Tiny, write_gguf


def equal(checkpoint: Checkpoint, tiny: Tiny) -> None:
    assert set(checkpoint.names()) == set(tiny.state)
    for name, tensor in tiny.state.items():
        assert checkpoint.shape(name) == tuple(tensor.shape)
        assert checkpoint.type_name(name) == "F32"
        got = checkpoint.tensor(name, torch.float32)
        assert torch.equal(got, tensor), name
        assert torch.equal(checkpoint.tensor(name, torch.bfloat16), tensor.bfloat16())
        assert torch.equal(checkpoint.rows(name).contiguous().view(torch.float32).view(tensor.shape), tensor)
        got.fill_(0)
        assert torch.equal(checkpoint.tensor(name, torch.float32), tensor)


@pytest.mark.parametrize("which", ["tiny", "tiny_tied"])
@pytest.mark.parametrize("form", ["gguf", "single", "sharded", "file"])
def test_every_form_has_the_same_tensors(which: str, form: str, request: pytest.FixtureRequest) -> None:
    tiny: Tiny = request.getfixturevalue(which)
    path = tiny.single / "model.safetensors" if form == "file" else getattr(tiny, form)
    checkpoint = open_checkpoint(path)
    equal(checkpoint, tiny)
    assert checkpoint.path == path
    assert checkpoint.format == ("gguf" if form == "gguf" else "safetensors")
    assert (checkpoint.tokenizer_metadata is None) == (form != "gguf")
    files = [path] if path.is_file() else list(path.glob("*.safetensors"))
    assert len(files) > 1 if form == "sharded" else len(files) == 1
    assert checkpoint.size_bytes == sum(file.stat().st_size for file in files)


def test_gguf_is_known_by_its_magic(tiny: Tiny, tmp_path: Path) -> None:
    named = tmp_path / "model.bin"
    named.write_bytes(tiny.gguf.read_bytes())
    assert open_checkpoint(str(named)).format == "gguf"


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16"])
def test_quantised_rows_move_whole(kind: str, tiny: Tiny, tmp_path: Path) -> None:
    """Rows of stored bytes in Hugging Face's order, dequantised, are the dense tensor in that order."""
    write_gguf(tmp_path / "q.gguf", tiny.state, tiny.config, kind)
    checkpoint = open_checkpoint(tmp_path / "q.gguf")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "q.gguf").tensors}
    heads = {"q_proj": 6, "k_proj": 3}
    seen = 0
    for name in checkpoint.names():
        tensor = stored[to_gguf(name) or ""]
        dense = gguf.dequantize(tensor.data, tensor.tensor_type)
        part = next((part for part in heads if part in name), None)
        want = unpermute(dense, heads[part]) if part else dense
        assert np.array_equal(checkpoint.tensor(name, torch.float32).numpy(), want)
        assert checkpoint.type_name(name) == tensor.tensor_type.name
        again = gguf.dequantize(checkpoint.rows(name).contiguous().numpy(), tensor.tensor_type)
        assert np.array_equal(again.reshape(want.shape), want)
        seen += checkpoint.type_name(name) == kind
    assert seen >= 10


def test_default_model_is_whole(default_model: Path) -> None:
    checkpoint = open_checkpoint(default_model)
    assert len(checkpoint.names()) == 272
    kinds = [checkpoint.type_name(name) for name in checkpoint.names()]
    assert [kinds.count(kind) for kind in ("Q4_1", "F32", "Q8_0")] == [210, 61, 1]
    assert checkpoint.tokenizer_metadata is not None
    assert len(checkpoint.tokenizer_metadata["tokenizer.ggml.tokens"]) == 49_152  # type: ignore[arg-type]
    assert checkpoint.tensor("model.embed_tokens.weight", torch.bfloat16).isfinite().all()


@pytest.mark.parametrize("form", ["gguf", "single"])
def test_a_tensor_that_is_not_there(form: str, tiny_tied: Tiny) -> None:
    checkpoint = open_checkpoint(getattr(tiny_tied, form))
    for name in (
        "lm_head.weight",
        "blk.0.attn_q.weight",
        "token_embd.weight",
        "",
        "model.layers.2.mlp.up_proj.weight",
    ):
        for call in (checkpoint.shape, checkpoint.type_name, checkpoint.rows):
            with pytest.raises(ModelFileError, match="has no tensor"):
                call(name)
        with pytest.raises(ModelFileError, match="has no tensor"):
            checkpoint.tensor(name, torch.float32)


def refused(code: str, path: Path) -> None:
    with pytest.raises(ModelFileError) as caught:
        open_checkpoint(path)
    assert caught.value.code == code
    for language in ("en", "zh"):
        message, hint = caught.value.describe(language)
        assert message.isprintable()
        assert hint


def test_what_is_no_model(tmp_path: Path) -> None:
    refused("E-WEIGHTS-MISSING", tmp_path / "nothing.gguf")
    (tmp_path / "folder").mkdir()
    refused("E-FOLDER-CONFIG", tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text('{"model_type": "llama"}')
    refused("E-WEIGHTS-MISSING", tmp_path / "folder")
    (tmp_path / "folder" / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    refused("E-WEIGHTS-PICKLE", tmp_path / "folder")

    files = {
        "empty.gguf": ("E-WEIGHTS-EMPTY", b""),
        "text.gguf": ("E-WEIGHTS-KIND", b"Once upon a time there was a llama.\n"),
        "text.txt": ("E-WEIGHTS-KIND", "从前有一只羊驼。".encode()),
        "json": ("E-WEIGHTS-KIND", b'{"model_type": "llama"}'),
        "short": ("E-WEIGHTS-KIND", b"GG"),
        "pickled": ("E-WEIGHTS-PICKLE", pickle.dumps({"a": 1})),
        "weights.pt": ("E-WEIGHTS-PICKLE", b"whatever"),
        "weights.PTH": ("E-WEIGHTS-PICKLE", b"whatever"),
        "weights.bin": ("E-WEIGHTS-PICKLE", b"whatever"),
        "model.gguf": ("E-WEIGHTS-LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "alone.safetensors": ("E-FOLDER-CONFIG", (2).to_bytes(8, "little") + b"{}"),
        "alone": ("E-FOLDER-CONFIG", (2).to_bytes(8, "little") + b"{}"),
    }
    for name, (code, content) in files.items():
        (tmp_path / name).write_bytes(content)
        refused(code, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "zipped", "w") as archive:
        archive.writestr("data.pkl", b"x")
    refused("E-WEIGHTS-PICKLE", tmp_path / "zipped")
    torch.save({"a": torch.ones(1)}, tmp_path / "saved")
    refused("E-WEIGHTS-PICKLE", tmp_path / "saved")
    refused("E-WEIGHTS-MISSING", tmp_path / "nul\x00.gguf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    refused("E-WEIGHTS-KIND", tmp_path / "pipe.gguf")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    os.mkfifo(tmp_path / "model.safetensors")
    refused("E-WEIGHTS-KIND", tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    (tmp_path / "x.gguf").chmod(0)
    refused("E-WEIGHTS-READ", tmp_path / "x.gguf")

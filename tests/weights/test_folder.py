"""Folders of safetensors: the four cases of a tied head, shards, and headers and indexes that lie."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from puna.errors import ModelFileError
from puna.weights.checkpoint import open_checkpoint
from puna.weights.safetensors_header import read_header
from tests.weights.tiny_model import Tiny

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.single, tmp_path / "single"))


@pytest.fixture
def shards(tiny: Tiny, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.sharded, tmp_path / "sharded"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder: Path, **changes: torch.Tensor | None) -> None:
    state = {**load_file(folder / "model.safetensors"), **changes}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, folder / "model.safetensors")


def refused(code: str, path: Path, named: str = "") -> None:
    with pytest.raises(ModelFileError) as caught:
        open_checkpoint(path)
    assert caught.value.code == code
    for language in ("en", "zh"):
        assert "".join(caught.value.describe(language)).isprintable()
    assert named in str(caught.value)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("head", ["absent", "equal", "equal in bf16", "different"])
def test_tied_embeddings(tied: bool, head: str, folder: Path) -> None:
    edit(folder / "config.json", tie_word_embeddings=tied)
    embedding = torch.randn(96, 96).bfloat16().float()
    heads = {
        "absent": None,
        "equal": embedding.clone(),
        "equal in bf16": embedding.bfloat16(),
        "different": embedding.index_fill(0, torch.tensor([95]), 1.0),
    }
    rewrite(folder, **{EMBEDDING: embedding, HEAD: heads[head]})
    if not tied and head == "absent":
        refused("E-HEAD-MISSING", folder)
    elif tied and head == "different":
        refused("E-HEAD-DIFFERS", folder)
    else:
        assert (HEAD in open_checkpoint(folder).names()) is not tied


def test_dtypes_are_converted_and_named(folder: Path) -> None:
    rewrite(folder, **{EMBEDDING: torch.randn(96, 96).half(), HEAD: torch.randn(96, 96).bfloat16()})
    checkpoint = open_checkpoint(folder)
    assert checkpoint.type_name(EMBEDDING) == "F16"
    assert checkpoint.type_name(HEAD) == "BF16"
    assert checkpoint.tensor(HEAD, torch.float32).dtype == torch.float32
    assert checkpoint.rows(HEAD).shape == (96, 192)


def test_unexpected_missing_and_misshapen_tensors(folder: Path) -> None:
    rewrite(folder, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(10)})
    open_checkpoint(folder)
    rewrite(folder, **{"model.extra": torch.ones(10)})
    refused("E-TENSOR-UNEXPECTED", folder, "model.extra")
    rewrite(folder, **{"model.extra": None, "model.norm.weight": torch.ones(97)})
    refused("E-TENSOR-SHAPE", folder, "model.norm.weight")
    rewrite(folder, **{"model.norm.weight": None})
    refused("E-TENSOR-MISSING", folder, "model.norm.weight")
    rewrite(folder, **{"model.norm.weight": torch.ones(96, dtype=torch.int64)})
    refused("E-SAFETENSORS-TYPE", folder, "I64")


def test_configuration(folder: Path) -> None:
    config = folder / "config.json"
    sound = config.read_text()
    assert open_checkpoint(folder).config["rope_parameters"]["rope_theta"] == 54_321.0
    for code, changes in {
        "E-ARCHITECTURE": {"model_type": "gemma"},
        "E-TENSOR-UNEXPECTED": {"model_type": "qwen2"},  # biases of o
        "E-TENSOR-LAYERS": {"num_hidden_layers": 2**31 - 1},
        "E-TENSOR-SHAPE": {"vocab_size": 95},
        "E-CONFIG-VALUE": {"hidden_size": "96"},
    }.items():
        edit(config, **changes)
        refused(code, folder)
        config.write_text(sound)
    for value in (None, 0, -1, 2**31, True, 1.5, [1], {}):
        edit(config, vocab_size=value)
        refused("E-CONFIG-VALUE", folder, "vocab_size")
    for text in (
        "",
        "[]",
        "null",
        "{",
        '{"a": 1',
        "{}{}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"x": 1' + "0" * 9999 + "}",
    ):
        config.write_text(text)
        refused("E-JSON", folder)
    config.write_bytes(b'{"model_type": "\xff"}')
    refused("E-JSON", folder)
    config.write_text('{"model_type": "llama", "model_type": "llama"}')
    refused("E-JSON-DUPLICATE", folder, "model_type")
    config.write_bytes(b" " * 10_000_001)
    refused("E-JSON-LARGE", folder)


def test_ends_of_generation_config(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 8]}')
    assert open_checkpoint(folder).config["eos_token_id"] == [7, 8, 2]
    (folder / "generation_config.json").write_text("{}")
    assert open_checkpoint(folder).config["eos_token_id"] == 2
    for bad in (96, -1, "2", [2, None], True):
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": bad}))
        refused("E-CONFIG-VALUE", folder, "eos_token_id")


def test_shard_names_stay_inside(shards: Path, tmp_path: Path) -> None:
    index = shards / "model.safetensors.index.json"
    sound = json.loads(index.read_text())
    first = next(iter(sound["weight_map"].values()))
    shutil.copy(shards / first, tmp_path / "outside.safetensors")
    for name in (
        "../outside.safetensors",
        str(tmp_path / "outside.safetensors"),
        "a/b.safetensors",
        "a\\b.safetensors",
        "..",
        "",
        ".safetensors",
        "x\x00.safetensors",
        "x\n.safetensors",
        "x" * 300 + ".safetensors",
        "shard.bin",
        "shard.pt",
        7,
        None,
    ):
        lies = {key: name if value == first else value for key, value in sound["weight_map"].items()}
        edit(index, weight_map=lies)
        refused("E-FOLDER-OUTSIDE", shards)
    edit(index, weight_map=sound["weight_map"])
    (shards / first).unlink()
    refused("E-WEIGHTS-MISSING", shards, first)
    (shards / first).symlink_to(tmp_path / "outside.safetensors")
    refused("E-FOLDER-OUTSIDE", shards, first)
    for weight_map in ({}, [], None, "x"):
        edit(index, weight_map=weight_map)
        refused("E-JSON", shards)


def test_links_of_a_hub_cache_are_followed(tiny: Tiny, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "rev", tmp_path / "blobs"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(tiny.single.iterdir()):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(blobs / str(number))
    open_checkpoint(snapshot)


def test_index_and_shards_must_agree(shards: Path) -> None:
    index = shards / "model.safetensors.index.json"
    sound = json.loads(index.read_text())["weight_map"]
    files = list(sound.values())
    name, file = next((name, file) for name, file in sound.items() if files.count(file) > 1)
    edit(index, weight_map={key: value for key, value in sound.items() if key != name})
    refused("E-TENSOR-UNEXPECTED", shards, name)
    edit(index, weight_map={**sound, "extra": file})
    refused("E-TENSOR-MISSING", shards, "extra")


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def header(content: object, data: int = 8, *, length: int | None = None) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


HEADERS: dict[str, tuple[str, bytes]] = {
    "empty": ("E-WEIGHTS-EMPTY", b""),
    "three bytes": ("E-SAFETENSORS-TRUNCATED", b"abc"),
    "length of 2^64-1": ("E-SAFETENSORS-TRUNCATED", header({}, length=2**64 - 1)),
    "length past the end": ("E-SAFETENSORS-TRUNCATED", header({}, 0, length=3)),
    "length over the cap": ("E-SAFETENSORS-LARGE", header({}, 10_000_100, length=10_000_001)),
    "no object": ("E-JSON", header([])),
    "leading space": ("E-JSON", header(b' {"a": 1}')),
    "not UTF-8": ("E-JSON", header(b'{"\xff": 1}')),
    "trailing garbage": ("E-JSON", header(b'{"a": {}} x')),
    "duplicate tensor": (
        "E-JSON-DUPLICATE",
        header(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}}'
        ),
    ),
    "duplicate field": (
        "E-JSON-DUPLICATE",
        header(b'{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}'),
    ),
    "duplicate deep in the metadata": ("E-JSON-DUPLICATE", header(b'{"__metadata__":{"a":"1","a":"2"}}')),
    "entry no object": ("E-SAFETENSORS-ENTRY", header({"a": 1})),
    "entry without shape": ("E-SAFETENSORS-ENTRY", header({"a": {"dtype": "F32", "data_offsets": [0, 8]}})),
    "entry with more": ("E-SAFETENSORS-ENTRY", header({"a": {**entry(), "more": 1}})),
    "dtype unknown": ("E-SAFETENSORS-TYPE", header({"a": entry("F8_E4M3", (8,))})),
    "dtype no text": ("E-SAFETENSORS-TYPE", header({"a": entry([])})),
    "shape no list": ("E-SAFETENSORS-ENTRY", header({"a": entry(shape=2)})),
    "shape negative": ("E-SAFETENSORS-ENTRY", header({"a": entry(shape=(-1, -2))})),
    "shape of floats": ("E-SAFETENSORS-ENTRY", header({"a": entry(shape=(2.0,))})),
    "shape true": ("E-SAFETENSORS-ENTRY", header({"a": entry(shape=(True, 2))})),
    "shape that wraps": ("E-SAFETENSORS-ENTRY", header({"a": entry(shape=(2**62 + 2,))})),
    "nine dims": ("E-SAFETENSORS-ENTRY", header({"a": entry(shape=(1,) * 8 + (2,))})),
    "offsets turned round": ("E-SAFETENSORS-ENTRY", header({"a": entry(offsets=(8, 0))})),
    "three offsets": ("E-SAFETENSORS-ENTRY", header({"a": entry(offsets=(0, 8, 8))})),
    "offsets too wide": ("E-SAFETENSORS-ENTRY", header({"a": entry(offsets=(0, 9))})),
    "hole at the start": ("E-SAFETENSORS-SPAN", header({"a": entry(offsets=(8, 16))}, 16)),
    "hole": ("E-SAFETENSORS-SPAN", header({"a": entry(), "b": entry(offsets=(9, 17))}, 17)),
    "overlap": ("E-SAFETENSORS-SPAN", header({"a": entry(), "b": entry(offsets=(4, 12))}, 12)),
    "same place": ("E-SAFETENSORS-SPAN", header({"a": entry(), "b": entry()})),
    "data cut short": ("E-SAFETENSORS-TRUNCATED", header({"a": entry()}, 7)),
    "data left over": ("E-SAFETENSORS-REST", header({"a": entry()}, 9)),
    "50001 tensors": ("E-SAFETENSORS-LARGE", header({str(i): 0 for i in range(50_001)})),
}


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_headers(name: str, folder: Path) -> None:
    code, content = HEADERS[name]
    (folder / "model.safetensors").write_bytes(content)
    refused(code, folder)


def test_headers_that_are_read_are_read_as_the_library_does(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "x.safetensors"
    path.write_bytes(header({"b": entry(offsets=(8, 16)), "a": entry(), "__metadata__": {"format": "pt"}}, 16))
    entries = read_header(path)
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(entries)
        assert all(tuple(file.get_slice(name).get_shape()) == entries[name].shape for name in entries)


def test_truncated_anywhere(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    sizes = np.random.default_rng(5).integers(0, len(whole), 50).tolist()
    for size in [*range(20), start - 1, start, *sizes]:
        (folder / "model.safetensors").write_bytes(whole[:size])
        refused("E-SAFETENSORS-TRUNCATED" if size else "E-WEIGHTS-EMPTY", folder)


def test_mutated_headers_are_read_or_refused(folder: Path) -> None:
    """And what Puna accepts, the library reads: the two must not understand a file differently."""
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(11)
    for _ in range(500):
        mutant = bytearray(whole)
        mutant[int(rng.integers(start))] = int(rng.integers(256))
        path.write_bytes(mutant)
        try:
            checkpoint = open_checkpoint(folder)
        except ModelFileError:
            continue
        for name in checkpoint.names():
            assert checkpoint.tensor(name, torch.float32).shape == checkpoint.shape(name)

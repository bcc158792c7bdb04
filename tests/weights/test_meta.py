"""Meta's own layout: what `params.json` means, files that do not go together, and pickles that would run code."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from puna.errors import ModelFileError
from puna.llama.config import LlamaConfig
from puna.weights.checkpoint import open_checkpoint
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder
from tests.oracle.families import draw, make, save_pth

SIZES = {"vocab_size": 96, "hidden_size": 48, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 6}
PARAMS = {"dim": 48, "n_layers": 3, "n_heads": 8, "n_kv_heads": 4, "norm_eps": 1e-5, "vocab_size": -1}


@pytest.fixture(scope="module")
def hf() -> Any:
    return make("llama", draw("llama", 0, **SIZES, intermediate_size=256), 1)


@pytest.fixture
def folder(hf: Any, tmp_path: Path) -> Path:
    return save_pth(hf, tmp_path / "meta", PARAMS, shards=2, by_width=True)


def params(folder: Path, **changes: Any) -> None:
    kept = {key: value for key, value in {**PARAMS, **changes}.items() if value != "left out"}
    (folder / "params.json").write_text(json.dumps(kept))


def refused(code: str, path: Path, named: str = "") -> None:
    with pytest.raises(ModelFileError) as caught:
        open_checkpoint(path)
    assert caught.value.code == code
    for language in ("en", "zh"):
        assert "".join(caught.value.describe(language)).isprintable()
    assert named in str(caught.value)


def edit(folder: Path, change: Callable[[dict[str, Any]], object], shard: int = 1) -> None:
    path = folder / f"consolidated.{shard:02}.pth"
    state = torch.load(path)
    change(state)
    torch.save(state, path)


def test_tensors_are_dense_typed_and_in_their_own_memory(folder: Path, hf: Any) -> None:
    checkpoint = open_checkpoint(folder)
    state = hf.state_dict()
    assert set(checkpoint.names()) == set(state)
    for name in checkpoint.names():
        tensor = checkpoint.tensor(name, torch.float32)
        assert torch.equal(tensor, state[name])
        assert checkpoint.shape(name) == tuple(tensor.shape)
        assert (checkpoint.rows(name).view(torch.float32) == state[name]).all()
        tensor.zero_()  # what is given away is not the file's
        assert torch.equal(checkpoint.tensor(name, torch.float32), state[name])
    assert checkpoint.type_name("lm_head.weight") == "F32"
    assert checkpoint.size_bytes == sum(path.stat().st_size for path in folder.glob("*.pth"))


@pytest.mark.parametrize("name", ["model.rotary.weight", "tok_embeddings.weight", ""])
def test_tensors_that_are_not_there(name: str, folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    for ask in (checkpoint.shape, checkpoint.type_name, checkpoint.rows):
        with pytest.raises(ModelFileError):
            ask(name)


def test_what_was_trained_is_read_without_its_gradients(folder: Path) -> None:
    for shard in range(2):
        edit(folder, lambda state: [tensor.requires_grad_() for tensor in state.values()], shard)
    checkpoint = open_checkpoint(folder)
    assert not any(checkpoint.tensor(name, torch.float32).requires_grad for name in checkpoint.names())


def test_a_tied_head(folder: Path) -> None:
    for shard in range(2):
        edit(folder, lambda state: state.pop("output.weight"), shard)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.config["tie_word_embeddings"] is True
    assert "lm_head.weight" not in checkpoint.names()


def test_bf16_stays_bf16(hf: Any, tmp_path: Path) -> None:
    state = {name: tensor.bfloat16() for name, tensor in hf.state_dict().items()}
    path = save_pth(hf, tmp_path / "a", PARAMS, shards=1, by_width=False)
    edit(path, lambda found: found.update({name: t.bfloat16() for name, t in found.items()}), 0)
    checkpoint = open_checkpoint(path)
    name = "model.layers.1.self_attn.q_proj.weight"
    assert checkpoint.type_name(name) == "BF16"
    assert torch.equal(checkpoint.tensor(name, torch.bfloat16), state[name])


@pytest.mark.parametrize(
    ("width", "changes", "factor"),
    [
        (48, {}, 32.0),  # the small models of Llama 3.2
        (48, {"rope_scaling_factor": 16.0}, 16.0),
        (4096, {}, 8.0),
    ],
)
def test_scaled_rotations(width: int, changes: dict[str, Any], factor: float) -> None:
    """`params.json` says only that there is a scaling; the published models' factors are known from elsewhere."""
    from puna.weights.meta import _config

    sizes = {**PARAMS, "dim": width, "vocab_size": 96, "rope_theta": 5e5, "use_scaled_rope": True, **changes}
    config = LlamaConfig.from_dict(_config(Path("x"), sizes, {}))
    rope = config.rope
    assert (rope.kind, rope.factor, rope.original, rope.theta) == ("llama3", factor, 8192, 5e5)
    assert rope.options == {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    assert config.context == 131072


@pytest.mark.parametrize(
    ("dim", "changes", "ffn"),
    [
        (4096, {"multiple_of": 256}, 11008),  # Llama 1 and 2, 7B
        (5120, {"multiple_of": 256}, 13824),  # 13B
        (6656, {"multiple_of": 256}, 17920),  # Llama 1, 30B
        (8192, {"multiple_of": 4096, "ffn_dim_multiplier": 1.3}, 28672),  # Llama 2, 70B
        (4096, {"multiple_of": 1024, "ffn_dim_multiplier": 1.3}, 14336),  # Llama 3, 8B
        (2048, {"multiple_of": 256, "ffn_dim_multiplier": 1.5}, 8192),  # Llama 3.2, 1B
        (3072, {"multiple_of": 256, "ffn_dim_multiplier": 1.0}, 8192),  # 3B
    ],
)
def test_feed_forward_widths_of_published_models(dim: int, changes: dict[str, Any], ffn: int) -> None:
    """Against their `config.json`."""
    from puna.weights.meta import _config

    assert _config(Path("x"), {**PARAMS, "dim": dim, "vocab_size": 9, **changes}, {})["intermediate_size"] == ffn


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("E-CONFIG-VALUE", {"dim": "left out"}),
        ("E-CONFIG-VALUE", {"dim": 50}),
        ("E-CONFIG-VALUE", {"dim": -48}),
        ("E-CONFIG-VALUE", {"n_heads": 0}),
        ("E-CONFIG-VALUE", {"n_heads": 16}),  # heads of 3
        ("E-CONFIG-VALUE", {"norm_eps": "left out"}),
        ("E-CONFIG-VALUE", {"norm_eps": float("nan")}),
        ("E-CONFIG-VALUE", {"rope_theta": -1}),
        ("E-CONFIG-VALUE", {"norm_eps": 10**400}),  # an integer that is no float
        ("E-CONFIG-VALUE", {"rope_theta": 10**400}),
        ("E-CONFIG-VALUE", {"ffn_dim_multiplier": 10**400}),
        ("E-CONFIG-VALUE", {"ffn_dim_multiplier": 1.7e308}),  # one whose product is none
        ("E-CONFIG-VALUE", {"ffn_dim_multiplier": 1e300}),
        ("E-CONFIG-VALUE", {"multiple_of": 0}),
        ("E-CONFIG-VALUE", {"ffn_dim_multiplier": "1.3"}),
        ("E-CONFIG-VALUE", {"vocab_size": 1.5}),
        ("E-TENSOR-SHAPE", {"vocab_size": 97}),
        ("E-TENSOR-SHAPE", {"n_kv_heads": 2}),
        ("E-TENSOR-SHAPE", {"multiple_of": 999}),
        ("E-TENSOR-LAYERS", {"n_layers": 2**30}),
        ("E-TENSOR-UNEXPECTED", {"n_layers": 2}),
        ("E-CONFIG-UNKNOWN", {"head_dim": 6}),
        ("E-CONFIG-UNKNOWN", {"sliding_window": 4096}),
        ("E-CONFIG-UNKNOWN", {"vision_chunk_size": 448}),
        ("E-CONFIG-UNKNOWN", {"quantization_args": {"scheme": "int4"}}),
        ("E-CONFIG-UNKNOWN", {"rope_scaling_factor": 8.0}),
    ],
)
def test_params(code: str, changes: dict[str, Any], folder: Path) -> None:
    params(folder, **changes)
    refused(code, folder)


def test_params_in_an_envelope_and_what_says_nothing(folder: Path) -> None:
    inner = {**PARAMS, "max_seq_len": 2048, "max_batch_size": 32, "vision_chunk_size": -1, "qk_norm": False}
    (folder / "params.json").write_text(json.dumps({"model": inner}))
    open_checkpoint(folder)
    (folder / "params.json").write_text("[]")
    refused("E-JSON", folder)


def test_a_folder_with_a_configuration_of_hugging_face_is_theirs(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    refused("E-ARCHITECTURE", folder)


def test_files_that_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    first, second = (folder / f"consolidated.{n:02}.pth" for n in range(2))
    kept = shutil.copy(second, tmp_path / "kept")
    second.unlink()
    refused("E-TENSOR-SHAPE", folder)
    second.symlink_to(kept)
    refused("E-FOLDER-OUTSIDE", folder, second.name)
    second.unlink()
    first.rename(second)
    refused("E-PTH-SHARDS", folder, second.name)
    second.unlink()
    refused("E-WEIGHTS-MISSING", folder, first.name)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("E-TENSOR-MISSING", lambda state: state.pop("layers.1.attention.wq.weight")),
        ("E-TENSOR-SHAPE", lambda state: state.update({"layers.0.feed_forward.w2.weight": torch.zeros(47, 128)})),
        ("E-TENSOR-SHAPE", lambda state: state.update({"layers.0.feed_forward.w1.weight": torch.zeros(())})),
        ("E-TENSOR-SHAPE", lambda state: state.update({"layers.0.feed_forward.w1.weight": torch.zeros(127, 48)})),
        ("E-PTH-SHARDS", lambda state: state.update({"output.weight": state["output.weight"].half()})),
        ("E-PTH-DAMAGED", lambda state: state.update({"output.weight": state["output.weight"].double()})),
        ("E-PTH-DAMAGED", lambda state: state.update({"output.weight": state["output.weight"].int()})),
        ("E-PTH-DAMAGED", lambda state: state.update({"output.weight": torch.zeros(1).expand(48, 48)})),
        ("E-PTH-DAMAGED", lambda state: state.update({"output.weight": state["output.weight"].T})),
        ("E-PTH-DAMAGED", lambda state: state.update({"output.weight": torch._neg_view(state["output.weight"])})),
        ("E-PTH-DAMAGED", lambda state: state.update({"output.weight": {"a": 1}})),
        ("E-PTH-DAMAGED", lambda state: state.update({7: torch.zeros(1)})),
        ("E-PTH-CODE", lambda state: state.update({"output.weight": torch.nn.Parameter(state["output.weight"])})),
        ("E-PTH-CODE", lambda state: state.update({"output.weight": state["output.weight"].to_sparse()})),
        ("E-TENSOR-UNEXPECTED", lambda state: state.update({"layers.0.attention.wx.weight": torch.zeros(1)})),
        ("E-TENSOR-UNEXPECTED", lambda state: state.update({"layers.00.attention.wq.weight": torch.zeros(1)})),
        ("E-TENSOR-UNEXPECTED", lambda state: state.update({"layers.0.attention.wq.bias": torch.zeros(1)})),
    ],
)
def test_strange_tensors(code: str, change: Callable[[dict[str, Any]], object], folder: Path) -> None:
    edit(folder, change)
    refused(code, folder)


class Evil:
    """What a pickle does that runs a command; the command leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


class Writes(Evil):
    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.mark), "w")


class Imports(Evil):
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import pathlib; pathlib.Path({str(self.mark)!r}).touch()",)


@pytest.mark.parametrize("evil", [Evil, Writes, Imports])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("place", ["beside", "inside", "alone"])
def test_a_pickle_runs_nothing(evil: type[Evil], protocol: int, place: str, folder: Path, tmp_path: Path) -> None:
    """And would, where it is opened as pickles are: the test can fail."""
    mark, path = tmp_path / "mark", folder / "consolidated.01.pth"
    state = torch.load(path)
    wrong = {"beside": {**state, "x": evil(mark)}, "inside": {"output.weight": [evil(mark)]}, "alone": evil(mark)}
    torch.save(wrong[place], path, pickle_protocol=protocol)
    refused("E-PTH-CODE", folder, path.name)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_other_pickles_run_nothing(folder: Path, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", folder / "consolidated.01.pth"
    path.write_bytes(pickle.dumps(Evil(mark)))
    refused("E-PTH-DAMAGED", folder)
    torch.save({"x": Evil(mark)}, path, _use_new_zipfile_serialization=False)
    refused("E-PTH-DAMAGED", folder)
    (folder / "params.json").rename(tmp_path / "params.json")
    refused("E-WEIGHTS-PICKLE", path)
    assert not mark.exists()


def repack(path: Path, change: Callable[[str, bytes], list[tuple[str, bytes, int]]]) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            for new, data, how in change(name, content):
                archive.writestr(new, data, how)


STORED = zipfile.ZIP_STORED


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: [(name, data, zipfile.ZIP_DEFLATED)],
        lambda name, data: [(name, data, STORED)] * (2 if name.endswith("data.pkl") else 1),
        lambda name, data: [(name, data, STORED), ("b/data.pkl", b".", STORED)][: 2 if "pkl" in name else 1],
        lambda name, data: [] if name.endswith("data.pkl") else [(name, data, STORED)],
        lambda name, data: [(name, data + b"." * (1 << 21), STORED)],
        lambda name, data: [(name, b"" if name.endswith("data.pkl") else data, STORED)],
        lambda name, data: [(name, data[:-1] if name.endswith("data.pkl") else data, STORED)],
        lambda name, data: [] if "/data/" in name else [(name, data, STORED)],
        lambda name, data: [(name, data[:8] if "/data/" in name else data, STORED)],
    ],
    ids=["packed", "twice", "two", "none", "huge", "empty", "cut", "no-data", "short-data"],
)
def test_strange_archives(change: Callable[[str, bytes], list[tuple[str, bytes, int]]], folder: Path) -> None:
    repack(folder / "consolidated.01.pth", change)
    refused("E-PTH-DAMAGED", folder)


def test_truncated_anywhere(folder: Path) -> None:
    path = folder / "consolidated.01.pth"
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(3)
    for size in [*range(0, 40, 7), *torch.randint(0, len(whole), (30,), generator=generator).tolist()]:
        path.write_bytes(whole[:size])
        refused("E-PTH-DAMAGED", folder)


def test_mutated_anywhere(folder: Path) -> None:
    """Each is read or refused; nothing crashes the process."""
    path = folder / "consolidated.01.pth"
    whole = path.read_bytes()
    start = whole.index(b"data.pkl")
    generator = torch.Generator().manual_seed(4)
    for _ in range(150):
        mutant = bytearray(whole)
        place, value = (int(torch.randint(0, n, (1,), generator=generator)) for n in (4000, 256))
        mutant[start + place] = value
        path.write_bytes(mutant)
        try:
            checkpoint = open_checkpoint(folder)
            for name in checkpoint.names():
                checkpoint.tensor(name, torch.float32)
        except ModelFileError:
            continue


def test_the_digest_follows_every_file(folder: Path, tmp_path: Path) -> None:
    kept = KeptFolder(tmp_path / "kept")
    seen = {model_digest(folder, kept)[0]}
    assert model_digest(folder / "consolidated.00.pth", kept)[0] in seen
    edit(folder, lambda state: state["output.weight"].add_(1))
    seen.add(model_digest(folder, kept)[0])
    params(folder, norm_eps=1e-6)
    seen.add(model_digest(folder, kept)[0])
    assert len(seen) == 3

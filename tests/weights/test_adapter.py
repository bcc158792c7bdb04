"""LoRA adapters on disk: PEFT's own files, what PEFT makes of ours, and every kind of file that is refused."""

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from puna.errors import ModelFileError
from puna.llama.load import load
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import Adapter, check_base, check_target, read_adapter, write_adapter
from puna.weights.checkpoint import open_checkpoint
from tests.weights.adapters import draw_adapter
from tests.weights.tiny_model import Tiny

SHAPES = {
    f"model.layers.{layer}.{part}_proj.weight": shape
    for layer in (0, 1, 11)
    for part, shape in {"self_attn.q": (96, 64), "self_attn.k": (32, 64), "mlp.down": (64, 160)}.items()
}
ABOUT = {"base": {"name": "tiny", "sha256": "ab" * 32}, "prompt": {"examples": False}, "reader": {"rows": 7}}
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    adapter = draw_adapter(SHAPES, 1, extra={"pointer": torch.randn(3, 5)}, about=ABOUT)
    write_adapter(tmp_path / "reader", adapter)
    return tmp_path / "reader"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def retensor(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    (folder / WEIGHTS).unlink()
    save_file(tensors, folder / WEIGHTS)


def refused(code: str, run: Callable[[], object], named: str = "") -> None:
    with pytest.raises(ModelFileError) as caught:
        run()
    assert caught.value.code == code
    for language in ("en", "zh"):
        assert "".join(caught.value.describe(language)).isprintable()
    assert named in str(caught.value)


# --- there and back


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_is_read(dtype: torch.dtype | None, seed: int, tmp_path: Path) -> None:
    """Each matrix has a rank and a scale of its own."""
    wrote = draw_adapter(SHAPES, seed, extra={"pointer": torch.randn(3, 5)}, about=ABOUT)
    write_adapter(tmp_path / "reader", wrote, dtype=dtype)
    found = read_adapter(tmp_path / "reader")
    assert sorted(found.matrices) == sorted(wrote.matrices)
    for name, pair in wrote.matrices.items():
        for got, want in zip(found.matrices[name], pair, strict=True):
            assert got.dtype == (dtype or want.dtype)
            assert torch.equal(got, want.to(dtype))
        assert found.scale[name] == pytest.approx(wrote.scale[name], rel=1e-12)
    assert torch.equal(found.extra["pointer"], wrote.extra["pointer"].to(dtype))
    assert dict(found.about) == {"format": 1, "name": "reader", **ABOUT}
    assert (found.name, found.base, found.examples) == ("reader", ("tiny", "ab" * 32), False)


def test_a_name_in_the_file_goes_before_the_folders(folder: Path, tmp_path: Path) -> None:
    moved = folder.rename(tmp_path / "elsewhere")
    assert read_adapter(moved).name == "reader"
    (moved / "puna.json").write_text('{"format": 1, "base": null, "prompt": null, "name": null}')
    found = read_adapter(moved)
    assert (found.name, found.base, found.examples) == ("elsewhere", None, True)
    (moved / "puna.json").unlink()
    found = read_adapter(moved)
    assert (found.name, found.base, found.examples, dict(found.about)) == ("elsewhere", None, True, {})


def test_digest_is_of_all_that_answers_depend_on(folder: Path) -> None:
    def with_change(**changes: Any) -> str:
        fields = {name: getattr(found, name) for name in ("matrices", "scale", "extra", "about")}
        return Adapter(**{**fields, **changes}).digest

    found = read_adapter(folder)
    name, (a, b) = next(iter(found.matrices.items()))
    digests = {
        with_change(),
        with_change(matrices={**found.matrices, name: (a + 1e-4, b)}),
        with_change(matrices={**found.matrices, name: (a, b.bfloat16())}),
        with_change(scale={**found.scale, name: found.scale[name] * 1.01}),
        with_change(extra={}),
        with_change(about={**found.about, "prompt": {"examples": True}}),
        with_change(about={**found.about, "reader": {"rows": 8}}),
    }
    assert len(digests) == 7
    assert with_change(about={**found.about, "name": "runner", "base": None}) == found.digest


def test_the_model_that_it_is_for(folder: Path) -> None:
    adapter = read_adapter(folder)
    check_base(adapter, "other", "ab" * 32)
    with pytest.raises(ModelFileError) as caught:
        check_base(adapter, "other\x1b", "cd" * 32)
    assert caught.value.code == "E-ADAPTER-MODEL"
    said = str(caught.value)
    assert said.isprintable()
    assert all(each in said for each in ("reader", "tiny", "other", "ab" * 6, "cd" * 6))
    (folder / "puna.json").unlink()
    check_base(read_adapter(folder), "other", "cd" * 32)


# --- PEFT

peft_rules = [
    {"r": 8, "lora_alpha": 8},
    {"r": 4, "lora_alpha": 32},  # alpha is not the rank
    {"r": 6, "lora_alpha": 11, "use_rslora": True},
    {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"q_proj": 2, "mlp.up_proj": 5},
        "alpha_pattern": {"0.mlp.up_proj": 3},
    },
    {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"^model.layers.1.mlp.down_proj": 3},
        "init_lora_weights": "gaussian",
    },
]


def hf_model(tiny: Tiny) -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(tiny.single, dtype=torch.float32).eval()


def logits_of(checkpoint: Any, tokens: torch.Tensor) -> torch.Tensor:
    model = load(checkpoint, dtype=torch.float32, kernels=False)
    return model.logits(model(tokens, torch.arange(len(tokens)), None, None))


@pytest.mark.parametrize("rules", peft_rules)
def test_an_adapter_of_peft_gives_its_logits(rules: dict[str, Any], tiny: Tiny, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    kinds = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    model = peft.get_peft_model(hf_model(tiny), peft.LoraConfig(**rules, target_modules=kinds, lora_dropout=0.1))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.2)
    model.eval().save_pretrained(tmp_path, save_embedding_layers=False)
    tokens = torch.randint(0, 96, (30,))
    with torch.no_grad():
        want = model(tokens[None]).logits[0]
        plain = hf_model(tiny)(tokens[None]).logits[0]
    got = logits_of(AdaptedCheckpoint(open_checkpoint(tiny.gguf), read_adapter(tmp_path)), tokens)
    assert (want - plain).abs().max() > 0.1 * want.abs().max()
    torch.testing.assert_close(got, want, atol=2e-4 * float(want.abs().max()), rtol=0)


@pytest.mark.parametrize("share", [1.0, 0.4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_peft_loads_what_is_written_and_gives_the_same_logits(
    share: float, dtype: torch.dtype, tiny: Tiny, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Ranks and scales of each matrix its own, only some matrices changed, tensors of Puna's own beside them."""
    peft = pytest.importorskip("peft")
    shapes = {name: tuple(tensor.shape) for name, tensor in tiny.state.items()}
    adapter = draw_adapter(shapes, 5, share=share, extra={"pointer": torch.randn(3)}, about=ABOUT)
    write_adapter(tmp_path / "reader", adapter, dtype=dtype)
    model = peft.PeftModel.from_pretrained(hf_model(tiny), tmp_path / "reader").eval()
    assert not [each for each in recwarn if "missing" in str(each.message)]
    tokens = torch.randint(0, 96, (30,))
    with torch.no_grad():
        want = model(tokens[None]).logits[0]
    checkpoint = AdaptedCheckpoint(open_checkpoint(tiny.single), read_adapter(tmp_path / "reader"))
    got = logits_of(checkpoint, tokens)
    torch.testing.assert_close(got, want, atol=2e-4 * float(want.abs().max()), rtol=0)


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"lora_bias": True}, "lora_bias"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
    ],
)
def test_what_peft_can_and_puna_cannot(options: dict[str, Any], setting: str, tiny: Tiny, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=4, target_modules=["q_proj"], **options)
    peft.get_peft_model(hf_model(tiny), config).save_pretrained(tmp_path)
    refused("E-ADAPTER-SETTING", lambda: read_adapter(tmp_path), setting)


def test_an_adapter_of_the_embedding(tiny: Tiny, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "embed_tokens"])
    peft.get_peft_model(hf_model(tiny), config).save_pretrained(tmp_path, save_embedding_layers=False)
    refused("E-ADAPTER-TENSOR", lambda: read_adapter(tmp_path), "lora_embedding")


def test_another_kind_of_adapter(tiny: Tiny, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(hf_model(tiny), peft.IA3Config(target_modules=["v_proj"], feedforward_modules=[]))
    model.save_pretrained(tmp_path)
    refused("E-ADAPTER-KIND", lambda: read_adapter(tmp_path), "IA3")


# --- hostile and damaged files


SETTINGS: dict[str, Any] = {
    "r": [0, -1, True, 2.0, "8", None, [8]],
    "lora_alpha": [math.nan, math.inf, "8", None, True],
    "use_rslora": ["yes", 1],
    "use_dora": [True, "x"],
    "bias": ["all", "lora_only", None],
    "fan_in_fan_out": [True],
    "modules_to_save": [["embed_tokens"]],
    "rank_pattern": [["q_proj"], {"q_proj": 0}, {"(a+)+$": 2}, {"": 3}],
    "alpha_pattern": [{"q_proj": math.nan}, {"q_proj": "1"}, {"x" * 500 + "|": 1}],
    "init_lora_weights": ["pissa", "pissa_niter_4", "olora", "corda", "lora_ga", "loftq", "orthogonal", 7, []],
    "a_setting_of_next_year": [True, 1, "on\x1b[2J", {"a": 1}],
}
CASES = [(key, value) for key, values in SETTINGS.items() for value in values]


@pytest.mark.parametrize(("key", "value"), CASES)
def test_settings_that_cannot_be_kept(key: str, value: Any, folder: Path) -> None:
    edit(folder / CONFIG, **{key: value})
    refused("E-ADAPTER-SETTING", lambda: read_adapter(folder), key)


def test_settings_that_are_off_or_change_nothing(folder: Path) -> None:
    before = read_adapter(folder).digest
    edit(folder / CONFIG, a_setting_of_next_year=False, another={}, lora_dropout=0.5, target_modules="all-linear")
    assert read_adapter(folder).digest == before


def led_out(path: Path) -> None:
    """Put a link in a file's place, to the same file outside of the folder."""
    target = path.rename(path.parent.parent / f"{path.name}.elsewhere")
    path.symlink_to(target)


FIRST = "base_model.model.model.layers.0.self_attn.q_proj"
DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "another kind": ("E-ADAPTER-KIND", lambda path: edit(path / CONFIG, peft_type="LOHA")),
    "no kind": ("E-ADAPTER-KIND", lambda path: edit(path / CONFIG, peft_type=None)),
    "A alone": ("E-ADAPTER-PAIR", lambda path: retensor(path, lambda t: t.pop(f"{FIRST}.lora_B.weight"))),
    "B alone": ("E-ADAPTER-PAIR", lambda path: retensor(path, lambda t: t.pop(f"{FIRST}.lora_A.weight"))),
    "nothing": ("E-ADAPTER-EMPTY", lambda path: retensor(path, dict.clear)),
    "another rank": (
        "E-ADAPTER-FACTORS",
        lambda path: retensor(path, lambda t: t.update({f"{FIRST}.lora_A.weight": torch.zeros(2, 64)})),
    ),
    "a vector": (
        "E-ADAPTER-FACTORS",
        lambda path: retensor(
            path, lambda t: t.update({f"{FIRST}.lora_A.weight": t[f"{FIRST}.lora_A.weight"][:, 0].clone()})
        ),
    ),
    "a rank that is not the file's": ("E-ADAPTER-FACTORS", lambda path: edit(path / CONFIG, r=5, rank_pattern={})),
    "not a number": (
        "E-ADAPTER-NUMBER",
        lambda path: retensor(path, lambda t: t[f"{FIRST}.lora_B.weight"].view(-1)[3].fill_(math.nan)),
    ),
    "infinite": (
        "E-ADAPTER-NUMBER",
        lambda path: retensor(path, lambda t: t[f"{FIRST}.lora_A.weight"].view(-1)[0].fill_(-math.inf)),
    ),
    "not a number in the pointer": (
        "E-ADAPTER-NUMBER",
        lambda path: retensor(path, lambda t: t["puna.pointer"][0].fill_(math.nan)),
    ),
    "DoRA's lengths": (
        "E-ADAPTER-TENSOR",
        lambda path: retensor(path, lambda t: t.update({f"{FIRST}.lora_magnitude_vector": torch.ones(96)})),
    ),
    "a norm": (
        "E-ADAPTER-TENSOR",
        lambda path: retensor(
            path, lambda t: t.update({"base_model.model.model.norm.lora_A.weight": torch.ones(1, 1)})
        ),
    ),
    "a way out": (
        "E-ADAPTER-TENSOR",
        lambda path: retensor(
            path, lambda t: t.update({"base_model.model.../../x\n.lora_A.weight": torch.ones(1, 1)})
        ),
    ),
    "weights cut": ("E-SAFETENSORS-TRUNCATED", lambda path: os.truncate(path / WEIGHTS, 3000)),
    "weights empty": ("E-WEIGHTS-EMPTY", lambda path: os.truncate(path / WEIGHTS, 0)),
    "weights that lie": ("E-SAFETENSORS-TRUNCATED", lambda path: (path / WEIGHTS).write_bytes(b"\xff" * 99)),
    "weights a folder": ("E-WEIGHTS-KIND", lambda path: ((path / WEIGHTS).unlink(), (path / WEIGHTS).mkdir())),
    "configuration cut": ("E-JSON", lambda path: os.truncate(path / CONFIG, 30)),
    "configuration a list": ("E-JSON", lambda path: (path / CONFIG).write_text("[]")),
    "configuration deep": ("E-JSON", lambda path: (path / CONFIG).write_text("[" * 10**5)),
    "no configuration": ("E-ADAPTER-MISSING", lambda path: (path / CONFIG).unlink()),
    "no weights": ("E-ADAPTER-MISSING", lambda path: (path / WEIGHTS).unlink()),
    "pickled weights": ("E-WEIGHTS-PICKLE", lambda path: (path / WEIGHTS).rename(path / "adapter_model.bin")),
    "no folder": ("E-ADAPTER-MISSING", shutil.rmtree),
    "another format": ("E-ADAPTER-ABOUT", lambda path: edit(path / "puna.json", format=2)),
    "no format": ("E-ADAPTER-ABOUT", lambda path: (path / "puna.json").write_text("{}")),
    "a name with a line": ("E-ADAPTER-ABOUT", lambda path: edit(path / "puna.json", name="a\nb")),
    "a base without name": ("E-ADAPTER-ABOUT", lambda path: edit(path / "puna.json", base={"sha256": "ab" * 32})),
    "a base of no sha256": (
        "E-ADAPTER-ABOUT",
        lambda path: edit(path / "puna.json", base={"name": "x", "sha256": 7}),
    ),
    "a prompt of next year": ("E-ADAPTER-ABOUT", lambda path: edit(path / "puna.json", prompt={"chat": True})),
    "examples that are no yes or no": (
        "E-ADAPTER-ABOUT",
        lambda path: edit(path / "puna.json", prompt={"examples": "no"}),
    ),
    "an alpha of 400 digits": ("E-ADAPTER-SETTING", lambda path: edit(path / CONFIG, lora_alpha=10**400)),
    "an alpha of 400 digits for one": (
        "E-ADAPTER-SETTING",
        lambda path: edit(path / CONFIG, alpha_pattern={"q_proj": 10**400}),
    ),
    "a reader that is a number": ("E-ADAPTER-ABOUT", lambda path: edit(path / "puna.json", reader=0.5)),
    "weights elsewhere": ("E-FOLDER-OUTSIDE", lambda path: led_out(path / WEIGHTS)),
    "configuration elsewhere": ("E-FOLDER-OUTSIDE", lambda path: led_out(path / CONFIG)),
    "what Puna says of it elsewhere": ("E-FOLDER-OUTSIDE", lambda path: led_out(path / "puna.json")),
    "a prompt that is text": ("E-ADAPTER-ABOUT", lambda path: edit(path / "puna.json", prompt="x")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_and_hostile_folders(damage: str, folder: Path) -> None:
    code, harm = DAMAGES[damage]
    harm(folder)
    refused(code, lambda: read_adapter(folder))


# --- writing


def test_an_adapter_is_replaced_whole_and_nothing_is_left(folder: Path) -> None:
    (folder / "calibration.json").write_text("{}")
    other = draw_adapter(SHAPES, 2)
    write_adapter(folder, other)
    assert sorted(each.name for each in folder.iterdir()) == [CONFIG, WEIGHTS, "puna.json"]
    assert len({each.stat().st_mode for each in folder.iterdir()}) == 1  # who may read one may read all
    assert sorted(each.name for each in folder.parent.iterdir()) == ["reader"]
    assert read_adapter(folder).matrices.keys() == other.matrices.keys()
    assert read_adapter(folder).base is None


@pytest.mark.parametrize("kind", ["a file", "notes beside it", "photographs", "an adapter's file alone"])
def test_what_is_no_adapter_is_left_alone(kind: str, folder: Path) -> None:
    if kind == "notes beside it":
        (folder / "notes.txt").write_text("mine")
    else:
        shutil.rmtree(folder)
        if kind == "a file":
            folder.write_text("mine")
        else:
            folder.mkdir()
            (folder / ("photo.jpg" if kind == "photographs" else "README.md")).write_text("mine")
    before = {path: path.read_bytes() for path in [folder, *folder.rglob("*")] if path.is_file()}
    refused("E-ADAPTER-OTHER", lambda: write_adapter(folder, draw_adapter(SHAPES)))
    assert {path: path.read_bytes() for path in [folder, *folder.rglob("*")] if path.is_file()} == before
    assert sorted(each.name for each in folder.parent.iterdir()) == ["reader"]


def test_an_empty_folder_and_a_new_one_may_be_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "new" / "deep"):
        check_target(path)
        write_adapter(path, draw_adapter(SHAPES))
        assert read_adapter(path).matrices


@pytest.mark.parametrize("moment", ["saving", "placing"])
def test_a_write_that_fails_leaves_what_was_there(
    moment: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_adapter(folder).digest

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if moment == "saving":
        monkeypatch.setattr("puna.weights.adapter.save", full)
    else:
        real = Path.replace
        steps: list[Path] = []

        def replace(self: Path, target: Path) -> Path:
            steps.append(self)
            return full() if len(steps) == 2 else real(self, target)  # type: ignore[func-returns-value, return-value]

        monkeypatch.setattr(Path, "replace", replace)
    refused("E-ADAPTER-WRITE", lambda: write_adapter(folder, draw_adapter(SHAPES, 3)), "No space left")
    assert read_adapter(folder).digest == before
    assert sorted(each.name for each in folder.parent.iterdir()) == ["reader"]


BROKEN: dict[str, tuple[str, Callable[[], Adapter]]] = {
    "a norm": ("E-ADAPTER-TENSOR", lambda: draw_adapter({"a_proj.weight": (4, 4)})),
    "nothing": ("E-ADAPTER-EMPTY", lambda: Adapter({}, {})),
    "NaN": (
        "E-ADAPTER-NUMBER",
        lambda: Adapter(
            {"lm_head.weight": (torch.full((1, 4), math.nan), torch.ones(5, 1))}, {"lm_head.weight": 1.0}
        ),
    ),
    "ranks apart": (
        "E-ADAPTER-FACTORS",
        lambda: Adapter({"lm_head.weight": (torch.ones(2, 4), torch.ones(5, 1))}, {"lm_head.weight": 1.0}),
    ),
    "unknown prompt": ("E-ADAPTER-ABOUT", lambda: draw_adapter(SHAPES, about={"prompt": {"chat": True}})),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_could_not_be_read_is_not_written(kind: str, tmp_path: Path) -> None:
    code, make = BROKEN[kind]
    refused(code, lambda: write_adapter(tmp_path / "reader", make()))
    assert not list(tmp_path.iterdir())

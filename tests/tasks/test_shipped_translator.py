"""The translator that comes with Puna, where there is one: whole, small, for the default model, and able to translate."""

import json
from pathlib import Path

import pytest

import puna
from puna.answer.adapters import TRANSLATORS
from puna.tasks.translate import Translator
from puna.weights.store import DEFAULT_MODEL

FOLDERS = sorted(path.parent for path in TRANSLATORS.glob("*/puna.json"))
FILES = {"adapter_config.json", "adapter_model.safetensors", "puna.json"}

of_each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@of_each
def test_it_is_whole_and_small(folder: Path) -> None:
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(files) == FILES
    assert sum(files.values()) <= 12e6
    about = json.loads((folder / "puna.json").read_text("utf-8"))
    assert about["training"]["kind"] == "translator"
    assert about["base"]["sha256"] == DEFAULT_MODEL.sha256
    assert str(Path.home()) not in json.dumps(about)


@of_each
def test_the_default_model_translates_with_it(folder: Path, default_path: Path) -> None:
    reader = puna.load(default_path, adapter="translator")
    assert reader.examples is False
    translator = Translator(reader.model, reader.tokenizer, reader.name, examples=reader.examples)
    (chinese,) = translator.translate(["I love you."], "zh")
    assert "爱" in chinese.text
    (english,) = translator.translate(["我爱你。"], "en")
    assert "love" in english.text

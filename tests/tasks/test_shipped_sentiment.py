"""The sentiment adapter that comes with Puna, where there is one: whole, small, for the default model, and of use."""

import json
from pathlib import Path

import pytest

import puna
from puna.answer.adapters import SENTIMENTS
from puna.tasks.sentiment import NAMES, Sentiment
from puna.weights.store import DEFAULT_MODEL

FOLDERS = sorted(path.parent for path in SENTIMENTS.glob("*/puna.json"))
FILES = {"adapter_config.json", "adapter_model.safetensors", "puna.json"}
SAID = {
    "A warm, funny film with a splendid cast.": "positive",
    "Two hours of boredom; avoid it.": "negative",
    "房间很干净，服务也好，下次还会再来。": "positive",
    "屏幕有坏点，客服态度极差，后悔买了。": "negative",
}

of_each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@of_each
def test_it_is_whole_and_small(folder: Path) -> None:
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(files) == FILES
    assert sum(files.values()) <= 4e6
    about = json.loads((folder / "puna.json").read_text("utf-8"))
    assert about["training"]["kind"] == "classify"
    assert set(about["training"]["labels"]) == set(NAMES)
    assert about["base"]["sha256"] == DEFAULT_MODEL.sha256
    assert str(Path.home()) not in json.dumps(about)


@of_each
def test_the_default_model_tells_sentiment_with_it(folder: Path, default_path: Path) -> None:
    reader = puna.load(default_path, adapter="sentiment")
    found = [each.best for each in Sentiment(reader).each(list(SAID))]
    assert [each.label for each in found] == list(SAID.values())
    classify = puna.pipeline("text-classification", model=default_path)
    assert [each["label"].lower() for each in classify(list(SAID))] == list(SAID.values())
    # Labels of one's own are the plain model's business.
    assert puna.Classifier(reader, ["sports", "politics"]).model == reader.plain.name != reader.name

"""The reader that comes with Puna: whole, small, for the default model, calibrated, and able to read."""

import gzip
import json
import os
import random
from pathlib import Path

import prepare
import pytest

import puna
from puna.answer.adapters import READERS, choose_adapter
from puna.answer.calibration import load_calibration
from puna.answer.reader import Reader
from puna.evaluate.metrics import exact_match_and_f1
from puna.weights.checkpoint import open_checkpoint
from puna.weights.digest import hash_file

TOWN = "Aldermoor was founded in 1312 by the weaver Tom Hale. Its mill, built of red stone, burned down in 1840."
SHIP = "“远志号”于1928年在马尾造船厂下水，船长是林永年。它载有四十二名船员，航行了十九年。"
ASKED = [
    (TOWN, "Who founded Aldermoor?", ["Tom Hale", "the weaver Tom Hale"]),
    (TOWN, "In which year was the town founded?", ["1312"]),
    (TOWN, "What was the mill built of?", ["red stone"]),
    (TOWN, "When did the mill burn down?", ["1840", "in 1840"]),
    (SHIP, "远志号的船长是谁？", ["林永年"]),
    (SHIP, "远志号在哪里下水？", ["马尾造船厂"]),
    (SHIP, "远志号是哪一年下水的？", ["1928年", "1928"]),
    (SHIP, "船上有多少名船员？", ["四十二名", "四十二", "四十二名船员"]),
]
ELSEWHERE = [(TOWN, "How tall is the lighthouse of Porto Negro?"), (SHIP, "这座寺庙的住持是谁？")]
FOLDERS = sorted(path.parent for path in READERS.glob("*/puna.json"))

of_each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@pytest.fixture(scope="module")
def reader(default_path: Path) -> Reader:
    return puna.load(default_path)


def test_there_is_one() -> None:
    assert FOLDERS


@of_each
def test_it_is_whole_and_small(folder: Path) -> None:
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors", "puna.json", "calibration.json"}
    assert sum(files.values()) <= 24e6
    about = json.loads((folder / "puna.json").read_text("utf-8"))
    assert about["training"]["kind"] == "reader"
    assert str(Path.home()) not in json.dumps(about)


def test_the_default_model_reads_with_it(default_path: Path, reader: Reader) -> None:
    model, config = default_path.stem, open_checkpoint(default_path).config
    size = default_path.stat().st_size
    chosen = choose_adapter("shipped", model, size, config, lambda: hash_file(default_path))
    assert chosen is not None
    assert reader.name == f"{default_path.stem}+{chosen.adapter.name}-{chosen.adapter.digest[:8]}"
    load_calibration(chosen.calibration).check(reader.name)


def test_it_reads_english_and_chinese(reader: Reader) -> None:
    found = [(reader.ask(question, text).answers[0].text, right) for text, question, right in ASKED]
    wrong = [(text, right) for text, right in found if text not in right]
    assert len(wrong) <= 1, wrong


def test_it_says_what_is_not_there(reader: Reader) -> None:
    for text, question in ELSEWHERE:
        there = max(reader.ask(asked, text).no_answer_probability for of, asked, _ in ASKED if of == text)
        assert reader.ask(question, text).no_answer_probability > max(0.5, there)


@pytest.fixture(scope="module")
def held_back() -> list[dict]:
    """Rows of articles that the training has not seen."""
    data = os.environ.get("PUNA_DATA")
    if not data:
        pytest.skip("PUNA_DATA, the folder of the data sets, is not set")
    with gzip.open(Path(data) / "squad11/dev_a.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    articles = prepare.held_back(rows, "title", prepare.SQUAD_BACK)
    return random.Random(1).sample([row for row in rows if row["title"] in articles], 25)


def test_it_is_better_than_the_plain_model(default_path: Path, reader: Reader, held_back: list[dict]) -> None:
    scores = []
    for each in (reader, puna.load(default_path, adapter=None)):
        best = [each.ask(row["question"], row["context"]).answers[0].text for row in held_back]
        right = [[answer["text"] for answer in row["answers"]] for row in held_back]
        triples = zip((row["question"] for row in held_back), best, right, strict=True)
        scores.append(sum(exact_match_and_f1(*each)[1] for each in triples) / len(held_back))
    assert scores[0] > 0.6
    assert scores[0] > scores[1] + 0.2

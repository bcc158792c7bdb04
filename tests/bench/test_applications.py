"""`bench/applications.py`: all of it runs on small sets and goes on; the page against records made by hand."""

import gzip
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from applications_page import label_rows, page, percent, spread, strange_rows, verdict
from applications_sets import CHOICES, HALVES, LABELS, NOTHING, choice_material, label_material, with_options
from applications_simple import ChoiceRegression, Regression, most_frequent, most_frequent_place, similarities
from applications_words import WORDS

from puna.evaluate.choice_rows import ChoiceRow
from puna.evaluate.texts import LabelRow
from tests.cli.tiny_file import write_tiny
from tests.tasks.tiny_translator import PAIRS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "applications.py"


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small sets in the form of the real ones."""
    folder = tmp_path / "data"
    rng = random.Random(3)

    def texts(labels: dict[str, str], count: int) -> list[dict]:
        return [
            {"text": f"{rng.choice('abc')} {word} {n}", "label": label}
            for n in range(count)
            for label, word in labels.items()
        ]

    topics = {"Sports": "goal", "World_news": "vote"}
    write(folder / "ag_news/test.jsonl.gz", texts(topics, 20))
    for part, count in (("train", 20), ("test", 6)):
        intents = {"card_arrival": "card", "pay_bill": "bill"}
        write(folder / f"clinc150/{part}.jsonl.gz", [*texts(intents, count), *texts({"oos": "moon"}, count // 2)])
    for part, count in (("train", 12), ("test", 5)):
        rows = [
            {
                "context": f"男：第{n}天去哪？女：去海边。",
                "question": "去哪？",
                "candidates": ["海边", "山上"],
                "answer_index": 0,
            }
            for n in range(count)
        ]
        write(folder / f"c3/{part}.jsonl.gz", rows)
    sentences = {"context": None, "question": None, "candidates": ["Ann ran.", "Bob ran."], "answer_index": 1}
    write(folder / "winogrande/val.jsonl.gz", [sentences] * 3)
    pairs = [{"src": en, "tgt": zh, "src_lang": "en", "tgt_lang": "zh"} for en, zh in PAIRS]
    for part in ("train", "dev", "test"):
        write(folder / f"tatoeba_en_zh/{part}.jsonl.gz", pairs)
    monkeypatch.setenv("PUNA_DATA", str(folder))
    return folder


def run(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PUNA_CACHE": str(cwd / "cache"), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, check=False, capture_output=True, cwd=cwd, env=environment, encoding="utf-8")


@pytest.mark.usefixtures("data")
def test_it_measures_keeps_and_goes_on(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "tiny.gguf", head=32, ffn=96)
    sets = "ag_news,clinc150,c3,winogrande,tatoeba_zh_en"
    options = ["work", "--sets", sets, "--model", str(model), "--limit", "4", "--train-rows", "16"]
    options += ["--translations", "2", "--markdown", "page.md"]
    done = run(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text, chinese = ((tmp_path / name).read_text("utf-8") for name in ("page.md", "page.zh.md"))
    assert done.stdout == text + "\n"
    for title in ("AG News", "CLINC150"):
        methods = [line.split("|")[5].split("(")[0].strip() for line in text.splitlines() if f"| {title} |" in line]
        assert methods == ["most frequent", "tf-idf", "Puna, untrained", "Puna, trained"]
    for line in ("| C3 | 4 | 50.0 | **100.0", "| WinoGrande | 3 | 50.0 | **100.0", "| Tatoeba zh → en | 2 |"):
        assert line in text
        assert line in chinese
    assert "--limit 4 --translations 2 --train-rows 16 --sets" in text

    kept = {path.name: path.read_bytes() for path in (tmp_path / "work").glob("*.json")}
    assert len(kept) == 2 * 4 + 3 + 2 + 2  # neither a reader of Puna's own nor a translator is for this model
    (gone,) = (name for name in kept if name.startswith("ag_news.untuned"))
    (changed,) = (name for name in kept if name.startswith("clinc150.tuned"))
    record = json.loads(kept[changed])
    (tmp_path / "work" / gone).unlink()
    (tmp_path / "work" / changed).write_text(json.dumps({**record, "minutes": 4321.0}), "utf-8")
    again = run(*options, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "4321 min" in again.stdout  # what is kept is not measured again
    assert json.loads((tmp_path / "work" / gone).read_text("utf-8"))["found"] == json.loads(kept[gone])["found"]


def test_without_data_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUNA_DATA", raising=False)
    done = run("work", "--sets", "sst2", cwd=tmp_path)
    assert done.returncode == 2
    assert "no folder of data sets is named" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("work", "--sets", "sst3", cwd=tmp_path).returncode == 2


@pytest.mark.usefixtures("data")
def test_rows_to_learn_from_are_never_measured() -> None:
    for name in ("ag_news", "clinc150"):
        found = label_material(LABELS[name], 100, 100)
        assert not {row.text for row in found.learn} & {row.text for row in found.known}
    assert len(label_material(LABELS["ag_news"], 100, 100).learn) == 20
    assert label_material(LABELS["ag_news"], 100, 100) == label_material(LABELS["ag_news"], 100, 100)
    assert label_material(LABELS["ag_news"], 100, 100).labels == ("Sports", "World news")
    few = label_material(LABELS["clinc150"], 2, 20)
    assert (len(few.known), len(few.strange), len(few.learn)) == (2, 2, 20)
    assert sum(row.label == NOTHING for row in few.learn) == 1
    assert {row.label for row in few.strange} == {NOTHING}
    assert HALVES != 0  # else the rows that are measured first would be those that are learned from


@pytest.mark.usefixtures("data")
def test_options_stand_where_they_are_said_to() -> None:
    rows, _ = choice_material(CHOICES["c3"], 5, 5)
    for row in rows:
        text, starts = with_options(row)
        assert text.startswith(str(row.context))
        assert [text[start : start + len(each)] for start, each in zip(starts, row.candidates, strict=True)] == [
            *row.candidates
        ]


def test_simple_methods() -> None:
    learn = [
        LabelRow(f"the {word} of day {n}", label) for n in range(9) for label, word in (("a", "cat"), ("b", "dog"))
    ]
    labels = ("a", "b", "never")
    assert most_frequent([*learn, LabelRow("x", "b")], labels).tolist() == pytest.approx([9 / 19, 10 / 19, 0])
    shares = Regression(learn, labels, chinese=False)(["a dog", "a cat"])
    assert shares.argmax(1).tolist() == [1, 0]
    assert shares.sum(1) == pytest.approx([1, 1])
    assert (shares[:, 2] == 0).all()

    rows = [ChoiceRow(str(n), f"甲说{n}，去海边。", "去哪？", ("山上", "海边", "海边看山"), 1) for n in range(6)]
    assert most_frequent_place(rows, rows[:1]) == [[0, 1, 0]]
    assert np.argmax(ChoiceRegression(rows, chinese=True)(rows), 1).tolist() == [1] * 6
    assert similarities(rows, chinese=True) is None  # all have the same candidates
    other = ChoiceRow("7", "甲说，去海边。", "去哪？", ("山上", "海边"), 1)
    found = similarities([*rows, other], chinese=True)
    assert found is not None
    assert found[-1] == pytest.approx([0, 1])
    assert similarities([ChoiceRow("8", None, None, ("a", "b"), 0), other], chinese=True) is None


def test_differences_are_told_from_chance() -> None:
    """Against the paired test's formula in NumPy."""
    rng = np.random.default_rng(4)
    for _ in range(200):
        ours, theirs = rng.random((2, 40)) < rng.random((2, 1))
        moved = ours.astype(float) - theirs
        error = moved.std(ddof=1) / math.sqrt(40)
        wanted = "equal" if abs(moved.mean()) <= 2 * error else "better" if moved.mean() > 0 else "worse"
        assert verdict(ours.tolist(), theirs.tolist()) == wanted
    assert percent([True, False, False, False]) == "25.0 ± 21.7"


def test_spread_of_an_auroc_against_draws() -> None:
    """Of scores with exponential distributions, for which the formula is exact."""
    rng = np.random.default_rng(5)
    areas = []
    for _ in range(4000):
        high, low = rng.exponential(3.0, 30), rng.exponential(1.0, 40)
        areas.append((high[:, None] > low).mean())
    assert spread(0.75, 30, 40) == pytest.approx(np.std(areas), rel=0.06)


def record(right: list[str], found: list[str], **more: object) -> dict:
    size = len(right)
    return {
        "right": right,
        "found": found,
        "probability": [0.9] * size,
        "highest": [0.5] * size,
        "nothing": [float(each == NOTHING) for each in found],
        "seconds": 2.0,
        "labels": ["a", "b", NOTHING],
        "learned": 0,
        **more,
    }


def test_where_a_simple_method_wins_the_page_says_so() -> None:
    right = ["a", "b"] * 20 + [NOTHING] * 10
    wrong = ["b", "a"] * 20 + [NOTHING] * 5 + ["a"] * 5
    records = {
        "majority": record(right, ["a"] * 50),
        "tfidf": record(right, right),
        "untuned": record(right, wrong),
    }
    rows = {row[4]: row for row in label_rows(WORDS["en"], {"clinc150": records})}
    assert rows["tf-idf"][5] == "**100.0 ± 0.0**"
    assert rows["Puna, untrained"][5:7] == ["0.0 ± 0.0", "0.0"]
    assert rows["Puna, untrained"][7:] == ["0.900", "25", "**worse**"]
    assert rows["most frequent"][1:3] == ["2", "40"]
    assert rows["most frequent"][6] == "33.3"  # F1 of a: 2/3, of b: 0
    strange = {row[0]: row for row in strange_rows(WORDS["en"], records)}
    assert strange["tf-idf"][2:4] == ["100.0 ± 0.0", "0.0 ± 0.0"]
    assert strange["Puna, untrained"][2] == "50.0 ± 15.8"
    assert strange["Puna, untrained"][4].startswith("0.750 ± ")
    assert strange["Puna, untrained"][5].startswith("0.500 ± ")


def test_both_languages_say_the_same() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    for name, text in WORDS["en"].items():
        assert text.count("|") == WORDS["zh"][name].count("|"), name
    nothing = {"labels": {}, "choices": {}, "translations": {}}
    facts = {"command": "x", "processor": "p", "threads": 2, "python": "3", "torch": "2", "model": "m"}
    for language in ("en", "zh"):
        assert page(nothing, facts, language).count("\n## ") == 0

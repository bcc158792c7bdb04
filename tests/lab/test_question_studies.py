"""The studies `lstm` and `context` from data files to summary and picture, on a tiny model and a few rows."""

import gzip
import json
import statistics

import pytest
from prepare import held_back

from puna.errors import InputError
from puna.evaluate.metrics import exact_match_and_f1
from puna.lab.context import SCALINGS
from puna.lab.lstm_run import _covered
from puna.lab.questions import drawn, files, parts
from puna.lab.runner import run_study
from puna.lab.studies import open_study
from puna.lab.study import Setting
from tests.cli.tiny_file import write_tiny

NAMES = "Ann Ben Cleo Dan Eve Fay Gus Hal Ida Jon Kim Leo".split()


def row(number, title, context, question, answer):
    found = {"id": str(number), "title": title, "context": context, "question": question}
    return {**found, "answers": [{"text": answer, "start": context.index(answer)}], "unanswerable": False}


def english(number, title=None):
    name, other = NAMES[number % 12], NAMES[(number + 5) % 12]
    context = f"On day {number}, {name} led the walk, and {other} came along."
    return row(number, title, context, "Who led the walk?", name)


def chinese(number, title=None):
    name = "甲乙丙丁戊己庚辛壬癸"[number % 10]
    return row(number, title, f"第{number}天，{name}先生走在前面。", "谁走在前面？", name + "先生")


@pytest.fixture
def data(tmp_path, monkeypatch):
    made = {
        "squad11/train_sample": [english(n) for n in range(30)],
        "squad11/dev_a": [english(100 + n, f"Article {n // 4}") for n in range(48)],
        "cmrc2018/dev_a": [chinese(200 + n, f"文{n // 3}") for n in range(9)],
        "cmrc2018/trial": [chinese(300 + n, f"试{n // 3}") for n in range(6)],
    }
    half = made["cmrc2018/dev_a"] + made["cmrc2018/trial"]
    made["cmrc2018/train"] = [chinese(n, f"题{n // 2}") for n in range(40)] + half[::2]
    folder = tmp_path / "data"
    for name, rows in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "text_lm").mkdir()
    for book, text in (("war_and_peace_en", "The prince said no. "), ("hongloumeng_zh", "话说宝玉走了．")):
        text = "".join(f"{text}{n}" for n in range(900))
        (folder / f"text_lm/{book}.txt.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_article_is_in_two_parts(data, language):
    found = parts(Setting(1, data=data), language, None, None)
    articles = [{each.article for each in part} for part in (found.train, found.valid, found.held)]
    texts = [{each.row.context for each in part} for part in (found.train, found.valid, found.held)]
    for sets in (articles, texts):
        assert all(sets)
        assert not sets[0] & sets[1]
        assert not (sets[0] | sets[1]) & sets[2]
    learned = len(found.train) + len(found.valid)
    assert (learned, len(found.held)) == ((30 + 36 + 4, 8) if language == "en" else (40, 9))
    some = parts(Setting(1, data=data), language, 20, 3)
    assert (len(some.train) + len(some.valid), len(some.held)) == (20, 3)
    assert {each.row.id for each in some.held} <= {each.row.id for each in found.held}


def test_held_back_articles_are_those_of_the_shipped_reader():
    rows = [{"title": f"Article {n % 24}"} for n in range(200)]
    assert drawn([each["title"] for each in rows], 5 / 24) == held_back(rows, "title", 5 / 24)


def test_an_answer_covers_the_words_it_touches():
    text = "In the 1990s, Ann-Marie led it."
    for answer, words in (("1990", (2, 2)), ("Ann-Marie led", (4, 7)), (" ", None)):
        start = text.index(answer)
        assert _covered(text, start, start + len(answer)) == words


def test_lstm_study_on_a_few_rows(data, tmp_path):
    model = write_tiny(tmp_path / "tiny.gguf")
    study, setting = open_study("lstm"), Setting(2, "tiny", data=data, model=str(model))
    told = []
    made = run_study("lstm", study, setting, tmp_path, lambda *each: told.append(each))
    summary = made.summary
    assert set(summary) == {"en", "zh"}
    for language, readers in summary.items():
        assert list(readers) == ["classes", "joined", "lstm", "puna"]
        held = parts(setting, language, 12, 4).held
        for reader, found in readers.items():
            runs = {}
            for each in made.result["pieces"]:
                piece = each["piece"]
                if (piece["reader"], piece["language"]) == (reader, language):
                    runs.setdefault(piece.get("seed"), []).extend(each["found"]["scores"])
            assert all(len(run) == len(held) == found["n"] for run in runs.values())
            for place, metric in enumerate(("em", "f1")):
                means = [100 * statistics.fmean(score[place] for score in run) for run in runs.values()]
                assert found[metric] == pytest.approx(statistics.fmean(means))
            assert found["runs"] == (1 if reader == "puna" else 2)
    for language in ("en", "zh"):
        heads, lines = study.table(summary, language)
        assert len(lines) == 8
        assert all(len(line) == len(heads) for line in lines)
    assert [path.suffix for path in made.files] == [".json", ".png"]
    first = study.run(made.result["pieces"][2]["piece"], setting, lambda done, total: None)
    assert json.loads(json.dumps(first)) == made.result["pieces"][2]["found"]


def test_lstm_finds_the_answer_once_it_has_learned(data):
    """What is scored as right is the right text: the rows learned are asked again after a long training."""
    from dataclasses import replace

    from puna.lab.lstm_run import SIZES, Trained
    from puna.lab.lstm_training import Course

    for language in ("en", "zh"):
        rows = parts(Setting(1, data=data), language, 12, 4)
        rows = replace(rows, held=rows.train)
        size = replace(SIZES["tiny"], width=24, hidden=24, course=Course(120, rows=4, rate=0.01, patience=120))
        found = Trained(replace(rows, valid=rows.train), size, "lstm", 0, "cpu").run(lambda done, total: None)
        assert found["scores"] == [(1.0, 1.0)] * len(rows.train)
        right = [exact_match_and_f1(each.row.question, each.places[0][0], each.row.answers) for each in rows.train]
        assert found["scores"] == right


def test_context_study_on_a_tiny_model(data, tmp_path):
    model = write_tiny(tmp_path / "tiny.gguf")
    study, setting = open_study("context"), Setting(2, "tiny", data=data, model=str(model))
    made = run_study("context", study, setting, tmp_path, lambda *each: None)
    summary, pieces = made.summary, made.result["pieces"]
    assert len(pieces) == 2 * 3 * (1 + len(SCALINGS))  # at the context itself all scalings are one
    assert summary["context"] == 1024
    assert len(summary["text"]) == 2 * 2 * len(SCALINGS)
    for found in summary["text"]:
        assert len(found["by_position"]) == found["length"] // 256
        assert found["bits_per_byte"] == found["by_position"][-1]
        assert 4 < found["bits_per_byte"] < 20  # random weights over 259 tokens: 8 and more
    same = {
        found["bits_per_byte"] for found in summary["text"] if (found["length"], found["language"]) == (1024, "en")
    }
    other = {
        found["bits_per_byte"] for found in summary["text"] if (found["length"], found["language"]) == (1536, "en")
    }
    assert (len(same), len(other)) == (1, len(SCALINGS))
    for found in summary["passkey"]:
        own = [each["found"]["depths"] for each in pieces if each["piece"]["measure"] == "passkey"
               and each["piece"]["length"] == found["length"]
               and each["piece"]["scaling"] in (found["scaling"], "none" if found["length"] == 1024 else "")]  # fmt: skip
        ranks = [depth["rank"] for depths in own for depth in depths]
        assert found["n"] == len(ranks) == 10
        assert found["first"] == pytest.approx(ranks.count(1) / 10)
    for language in ("en", "zh"):
        heads, lines = study.table(summary, language)
        assert len(lines) == 1 + len(SCALINGS)
        assert all(len(line) == len(heads) for line in lines)
    assert [path.suffix for path in made.files] == [".json", ".png"]


def test_a_book_that_is_too_short_is_said(data, tmp_path):
    (data / "text_lm/war_and_peace_en.txt.gz").write_bytes(gzip.compress(b"Well, Prince."))
    setting = Setting(1, "tiny", data=data, model=str(write_tiny(tmp_path / "tiny.gguf")))
    with pytest.raises(InputError) as error:
        run_study("context", open_study("context"), setting, tmp_path, lambda *each: None)
    assert error.value.code == "E-LAB-BOOK"


def test_the_studies_name_the_files_they_read(data):
    assert sorted(files()) == sorted(str(path.relative_to(data)) for path in data.rglob("*.jsonl.gz"))

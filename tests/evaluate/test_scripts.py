"""Exact match and F1 against values that the official scripts gave, and words against NLTK's.

official.json: "squad" is from `squad_metrics.get_raw_scores` of transformers 4.40.2, which is SQuAD 2.0's script; "cmrc"
and "segments" from cmrc2018_evaluate.py (v5, squad-style-data) under Python 3 with `NLTKWordTokenizer` as its tokenizer.
"""

import gzip
import json
import os
import random
import re
import string
from pathlib import Path
from typing import Any

import pytest
from nltk.tokenize import NLTKWordTokenizer

from puna.evaluate import cmrc, squad
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.treebank import words

OFFICIAL = json.loads(Path(__file__).with_name("official.json").read_text("utf-8"))
SETS = ("squad11/dev_a", "squad20/dev_a", "cmrc2018/dev_a", "cmrc2018/train", "drcd/dev", "dureader_robust/dev")
nltk_words = NLTKWordTokenizer().tokenize


@pytest.mark.parametrize("case", OFFICIAL, ids=lambda case: f"{case['prediction']}-{case['answers'][0]}")
def test_official_values(case: dict[str, Any]) -> None:
    prediction, answers = case["prediction"], case["answers"]
    assert [squad.exact_match(prediction, answers), squad.f1(prediction, answers)] == pytest.approx(case["squad"])
    assert [cmrc.exact_match(prediction, answers), cmrc.f1(prediction, answers)] == pytest.approx(case["cmrc"])
    assert cmrc.segments(prediction) == case["segments"]


@pytest.mark.parametrize("script", [squad, cmrc])
def test_without_answers_only_nothing_is_right(script: Any) -> None:
    assert (script.exact_match("", ()), script.f1("", ())) == (1, 1)
    assert (script.exact_match("Ann 安", ()), script.f1("Ann 安", ())) == (0, 0)


def pieces(text: str) -> list[str]:
    """Give what CMRC's script hands to the tokenizer."""
    return re.split(
        "[\u4e00-\u9fa5]", re.sub("[-:_*^/\\\\~`+=，。：？！“”；’《》·、「」（）－～『』]", "", text.lower())
    )


@pytest.mark.parametrize("name", SETS)
def test_words_of_real_answers(name: str) -> None:
    folder = os.environ.get("PUNA_DATA")
    if not folder:
        pytest.skip("PUNA_DATA does not name the folder of the data sets")
    path = Path(folder) / f"{name}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = {
            piece for line in lines for answer in json.loads(line)["answers"] for piece in pieces(answer["text"])
        }
    assert len(found) > 100
    assert [piece for piece in found if words(piece) != nltk_words(piece)] == []


def test_words_of_random_strings() -> None:
    rng = random.Random(8)
    marks = [c for c in string.punctuation + " \t\n" if c not in "-:*`"]
    latin = [c for c in map(chr, range(0xE0, 0x100)) if c.isalpha()]
    letters = [*string.ascii_lowercase, *string.digits, *marks, *"«»‘„‒–—―…"]
    joined = (
        "cannot d'ye gimme gonna gotta lemme more'n wanna 'tis 'twas n't 's 'll 're 've 'm 'd ''' .. 3,4".split()
    )
    for _ in range(20_000):
        pool = rng.choice([letters, marks + latin, joined, [*joined, *marks, "a", "1", "st. "]])
        piece = "".join(rng.choices(pool, k=rng.randrange(14)))
        assert words(piece) == nltk_words(piece), repr(piece)


def test_common_runs_against_brute_force() -> None:
    rng = random.Random(9)
    for _ in range(2000):
        prediction, answer = ("".join(rng.choices("一二三", k=rng.randrange(1, 9))) for _ in range(2))
        runs = {prediction[a:b] for a in range(len(prediction)) for b in range(a, len(prediction) + 1)}
        shared = max(len(run) for run in runs if run in answer)
        precision, recall = shared / len(prediction), shared / len(answer)
        wanted = 2 * precision * recall / (precision + recall) if shared else 0
        assert cmrc.f1(prediction, [answer]) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("question", "answers", "script"),
    [
        ("谁？", ("Ann the Great",), cmrc),
        ("谁？", (), cmrc),
        ("Who?", ("安 来", "安"), cmrc),
        ("Who?", ("Yuán Cháo", "元朝"), squad),
        ("Who?", ("Ann",), squad),
        ("Who?", (), squad),
    ],
)
def test_the_script_goes_by_language(question: str, answers: tuple[str, ...], script: Any) -> None:
    for prediction in ("", "the Great Ann", "来 安", "元朝 Yuán", "Ann!"):
        wanted = script.exact_match(prediction, answers), script.f1(prediction, answers)
        assert exact_match_and_f1(question, prediction, answers) == wanted
    assert len({m.f1("Great Ann the", ("Ann the Great",)) for m in (cmrc, squad)}) == 2

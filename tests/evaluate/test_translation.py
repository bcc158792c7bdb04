"""Rows of translations, and BLEU and chrF against sacrebleu's own functions and formulas written out."""

import json
import math
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import sacrebleu

from puna.errors import InputError
from puna.evaluate import translation
from puna.evaluate.rows import read_rows
from puna.evaluate.translation import TranslationRun, pair_row, scores_of
from puna.tasks.translate import Wanted

GOOD = {"src": "Good day.", "tgt": "你好。", "src_lang": "en", "tgt_lang": "zh"}


def rows_of(tmp_path: Path, *rows: dict) -> list[translation.PairRow]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return read_rows(path, pair_row)


def test_rows(tmp_path: Path) -> None:
    turned = {"src": "你好。", "tgt": "Good day.", "src_lang": "zh", "tgt_lang": "en", "id": 5, "tgt_alt": None}
    found = rows_of(tmp_path, GOOD, {**GOOD, "tgt_alt": "您好。"}, {**GOOD, "tgt_alt": ["您好。", "嗨。"]}, turned)
    assert [row.targets for row in found] == [
        ("你好。",),
        ("你好。", "您好。"),
        ("你好。", "您好。", "嗨。"),
        ("Good day.",),
    ]
    assert [row.direction for row in found] == ["en-zh"] * 3 + ["zh-en"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"src": None}, "E-ROWS-FIELD"),
        ({"tgt": " "}, "E-ROWS-BLANK"),
        ({"src": 5}, "E-ROWS-TYPE"),
        ({"tgt_lang": "fr"}, "E-TRANSLATE-ROW"),
        ({"tgt_lang": "en"}, "E-TRANSLATE-ROW"),
        ({"src_lang": None}, "E-ROWS-FIELD"),
        ({"tgt_alt": 5}, "E-ROWS-TYPE"),
        ({"tgt_alt": ["a", ""]}, "E-ROWS-BLANK"),
        ({"src": "\ud800"}, "E-ROWS-UNICODE"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict, code: str) -> None:
    with pytest.raises(InputError) as caught:
        rows_of(tmp_path, GOOD, {**GOOD, **change})
    assert caught.value.code == code
    assert "line 2" in str(caught.value)


def some(rng: random.Random, letters: str, least: int = 1) -> str:
    return "".join(rng.choices(letters, k=rng.randint(least, 12)))


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_sacrebleus(seed: int) -> None:
    rng = random.Random(seed)
    for language, letters, tokenize in (("zh", "我你他来去了。", "zh"), ("en", "ab cd e, f.", "13a")):
        texts = [some(rng, letters) for _ in range(20)]
        references = [[some(rng, letters), some(rng, letters)] for _ in range(20)]
        found = scores_of(texts, references, language)
        streams = [list(stream) for stream in zip(*references, strict=True)]
        assert found.bleu == pytest.approx(sacrebleu.corpus_bleu(texts, streams, tokenize=tokenize).score)
        assert found.chrf == pytest.approx(sacrebleu.corpus_chrf(texts, streams).score)
        assert f"tok:{tokenize}" in found.bleu_signature
        assert "nrefs:2" in found.bleu_signature
        assert scores_of([each[0] for each in references], references, language).bleu == pytest.approx(100)


def test_bleu_is_papinenis_over_chinese_characters() -> None:
    """Written out: clipped precisions of one to four characters, geometric mean, brevity penalty."""
    rng = random.Random(3)
    texts = ["".join(rng.choices("我你他来去", k=rng.randint(8, 15))) for _ in range(30)]
    references = ["".join(rng.choices("我你他来去", k=rng.randint(8, 18))) for _ in range(30)]
    logs = 0.0
    for n in range(1, 5):
        hits = total = 0
        for text, reference in zip(texts, references, strict=True):
            ours, theirs = (
                Counter(each[i : i + n] for i in range(len(each) - n + 1)) for each in (text, reference)
            )
            hits += (ours & theirs).total()
            total += ours.total()
        logs += math.log(hits / total) / 4
    ours, theirs = (sum(map(len, each)) for each in (texts, references))
    want = 100 * math.exp(logs + min(0.0, 1 - theirs / ours))
    assert scores_of(texts, [[each] for each in references], "zh").bleu == pytest.approx(want)


def test_rows_may_have_more_references_than_others() -> None:
    found = scores_of(["a b c d e", "f g h i j"], [["x y", "a b c d e"], ["f g h i j"]], "en")
    assert found.bleu == pytest.approx(100)
    assert "nrefs:var" in found.bleu_signature


class Parrot:
    """Gives the reference of some rows, and keeps what it was asked."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known, self.asked = known, []

    def translate(self, texts, to, *, source, wanted, batch):
        self.asked.append((source, to, texts))
        for text in texts:
            if self.known.get(text) == "stop":
                raise KeyboardInterrupt
            best = SimpleNamespace(complete=text in self.known)
            yield SimpleNamespace(text=self.known.get(text, "?"), candidates=(best,))


def test_both_directions_are_measured_apart(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        {**GOOD, "src": "A long way to go.", "tgt": "还有很长的路要走。"},
        {"src": "我们都在这里等你。", "tgt": "We all wait for you here.", "src_lang": "zh", "tgt_lang": "en"},
        {**GOOD, "src": "B", "tgt": "我不知道。"},
    )
    parrot = Parrot({"A long way to go.": "还有很长的路要走。", "我们都在这里等你。": "We all wait for you here."})
    run = TranslationRun(rows, Wanted(), 8)
    run.go(parrot)
    found = run.summary()
    assert [(source, to) for source, to, _ in parrot.asked] == [("en", "zh"), ("zh", "en")]
    assert parrot.asked[0][2] == ["B", "A long way to go."]
    assert (found.n, found.incomplete) == (3, 1)
    assert found.directions["zh-en"].bleu == pytest.approx(100)
    assert found.directions["en-zh"].n == 2
    assert found.bleu == pytest.approx((100 + found.directions["en-zh"].bleu) / 2)
    assert found.chrf == pytest.approx((100 + found.directions["en-zh"].chrf) / 2)
    assert found.sentences_per_second > 0


def test_what_was_done_before_a_stop_is_kept(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, *({**GOOD, "src": "a" * n} for n in range(1, 6)))
    run = TranslationRun(rows, Wanted(), 2)
    with pytest.raises(KeyboardInterrupt):
        run.go(Parrot({"aaaa": "stop"}))
    assert [each.row.source for each in run.done] == ["a", "aa"]
    assert run.summary().n == 2


def test_without_sacrebleu_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        translation.check_sacrebleu()
    assert caught.value.code == "E-SACREBLEU"
    assert "puna[translate]" in caught.value.describe("en")[1]

"""Training for labels: its loss is the surprise by which texts are labelled, and what it learned is found again."""

import math
import random
from pathlib import Path

import pytest
import torch

import puna
from puna.errors import InputError
from puna.evaluate.texts import LabelRow
from puna.llama.load import load
from puna.tasks.classify import Classifier
from puna.tasks.labels import Label, labels_of
from puna.tasks.sentiment import NAMES, Sentiment
from puna.tokens.tokenizer import Tokenizer
from puna.train.classify import LabelExam, Material, label_lessons, material, train_labels
from puna.train.loop import Watch
from puna.train.network import LoRA
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.session import Order, Session
from puna.train.trees import grow
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny
from tests.train.rows import write_rows

LABELS = labels_of([Label("sports", "games"), "politics", "world news", "world"])
RECIPE = Recipe(epochs=8, questions=8, rate=1e-2, answer=0.0, among=1.0, pointer=0.0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf", head=32, ffn=96)


def session_of(tiny: Path, recipe: Recipe = RECIPE) -> Session:
    order = Order(tiny.parent / "topics", recipe, LoRA(8, 8.0), model=str(tiny), dtype="fp32")
    return Session("classify", order, Ranks("cpu"))


def some_rows(count: int, seed: int = 0) -> list[LabelRow]:
    draw = random.Random(seed)
    words = {"sports": "goal", "politics": "vote", "world news": "quake", "world": "globe"}
    rows = []
    for n in range(count):
        label = draw.choice(list(words))
        rows.append(LabelRow(f"Day {n}: 大家都在谈论它" if n % 7 == 6 else f"A {words[label]} on day {n}", label))
    return rows


def test_what_is_learned_is_what_labels_are_ranked_by(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student's log-probabilities and loss are those that a classifier gives, each text's windows among them."""
    monkeypatch.setattr("puna.train.session.products_dtype", lambda config, device: torch.float32)
    session = session_of(tiny)
    checkpoint = open_checkpoint(tiny)
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
    reader = puna.Reader(load(checkpoint, dtype=torch.float32), tokenizer, "tiny")
    classifier = Classifier(reader, LABELS, prior=False)
    rows = [*some_rows(20), LabelRow("word " * 300, "world")]
    passages = list(label_lessons(rows, LABELS, tokenizer, session.context, 0))
    questions = [question for passage in passages for question in passage.questions]
    assert {int(question.id) for question in questions} == set(range(21))
    assert sum(question.id == "20" for question in questions) > 1
    assert len(passages) < len(questions)
    with torch.no_grad():
        found = session.student([grow(passage) for passage in passages], scores=True)
    surprises = []
    for question, scores in zip(questions, found["scores"].split(len(LABELS)), strict=True):
        right = rows[int(question.id)].label
        names = [right, *(label.name for label in LABELS if label.name != right)]
        surprises.append(float(scores.logsumexp(0) - scores[0]))
        if question.id != "20":
            wanted = classifier.classify(rows[int(question.id)].text)
            given = {each.label: each.log_probability for each in wanted.labels}
            assert dict(zip(names, scores.tolist(), strict=True)) == pytest.approx(given, abs=1e-3)
            share = {each.label: each.probability for each in wanted.labels}[right]
            assert surprises[-1] == pytest.approx(-math.log(share), abs=1e-3)
    assert float(found["among"]) == pytest.approx(sum(surprises), rel=1e-4)
    figures = LabelExam(passages, RECIPE)(session.student)
    assert figures["loss"] == pytest.approx(sum(surprises) / len(questions), rel=1e-4)
    best = [int(scores.argmax()) == 0 for scores in found["scores"].split(len(LABELS))]
    assert (figures["accuracy"], figures["questions"]) == (sum(best) / len(best), len(best))


def test_sentiment_is_learned_as_it_is_asked_for(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In both languages, with the sentences and the names that `Sentiment` has for them."""
    monkeypatch.setattr("puna.train.session.products_dtype", lambda config, device: torch.float32)
    session = session_of(tiny)
    tokenizer = Tokenizer.from_gguf(open_checkpoint(tiny).tokenizer_metadata)
    reader = puna.Reader(load(open_checkpoint(tiny), dtype=torch.float32), tokenizer, "tiny")
    rows = [
        LabelRow("a warm film", "positive"),
        LabelRow("no plot at all", "negative"),
        LabelRow("房间很干净", "positive"),
        LabelRow("服务太差了", "negative"),
    ]
    labels = labels_of(NAMES)
    passages = list(label_lessons(rows, labels, tokenizer, session.context, 0, sentiment=True))
    assert len(passages) == 2  # a language each
    with torch.no_grad():
        found = session.student([grow(passage) for passage in passages], scores=True)["scores"].split(2)
    questions = [question for passage in passages for question in passage.questions]
    asked = Sentiment(reader, prior=False)
    for question, scores in zip(questions, found, strict=True):
        row = rows[int(question.id)]
        given = {each.label: each.log_probability for each in asked.classify(row.text).labels}
        wrong = next(name for name in NAMES if name != row.label)
        assert scores.tolist() == pytest.approx([given[row.label], given[wrong]], abs=1e-3)


def test_the_same_rows_asked_otherwise_are_other_data(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [{"text": f"{n}", "label": NAMES[n % 2]} for n in range(100)])
    plain, asked = (material([path], None, [], strict=True, seed=0, sentiment=how) for how in (False, True))
    assert (plain.labels, plain.rows) == (asked.labels, asked.rows)
    assert plain.digest != asked.digest
    with pytest.raises(InputError) as refused:
        material([path], None, [Label("a"), Label("b")], strict=True, seed=0, sentiment=True)
    assert refused.value.code == "E-LABELS-SENTIMENT"


def test_labels_are_learned_and_given(tiny: Path) -> None:
    session = session_of(tiny)
    rows = [row for row in some_rows(160) if not row.text.startswith("Day")]
    found = Material(LABELS, rows[20:], rows[:20], [])
    passages = list(label_lessons(found.rows, LABELS, session.base.tokenizer, session.context, 0))
    loop = train_labels(session, found, passages, Watch())
    assert loop is not None
    assert loop.state.figures["accuracy"] >= 0.9
    trained = puna.load(tiny, adapter=session.order.output, device="cpu")
    assert trained.trained == "classify"
    classifier = Classifier(trained, LABELS)
    assert not classifier.prior
    right = [classifier.classify(row.text).best.label == row.label for row in found.held]
    assert sum(right) >= 18


def test_many_labels_have_some_rivals(tiny: Path) -> None:
    labels = labels_of([f"label {n}" for n in range(300)])
    rows = [LabelRow("x", "label 7"), LabelRow("y", "label 7"), LabelRow("x", "label 8")]
    tokenizer = session_of(tiny).base.tokenizer
    (passage,) = label_lessons(rows, labels, tokenizer, 1024, 0)
    stop = tokenizer.encode("\n\nText: ", start=False)[0]
    rivals = {}
    for question in passage.questions:
        texts = [tokenizer.decode(tokens[:-1]).strip() for tokens in question.candidates]
        assert {tokens[-1] for tokens in question.candidates} == {stop}
        assert texts[0] == rows[int(question.id)].label
        assert len(set(texts)) == 128
        rivals[question.id] = texts[1:]
    assert rivals["0"] != rivals["1"]
    (again,) = label_lessons(rows, labels, tokenizer, 1024, 0)
    assert again == passage


def test_rows_that_cannot_be_learned(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(200)]
    path = write_rows(tmp_path / "rows.jsonl", [*rows, {"text": "x"}, {"text": "y", "label": "c"}])
    found = material([path], None, [Label("a"), Label("b")], strict=False, seed=0)
    assert [error.code for error in found.wrong] == ["E-ROWS-FIELD", "E-ROWS-LABEL"]
    assert (len(found.rows), len(found.held)) == (196, 4)
    assert {row.text for row in found.rows} | {row.text for row in found.held} == {row["text"] for row in rows}
    assert len(material([path], path, [], strict=False, seed=0).labels) == 3
    for labels, strict, code in (([], True, "E-ROWS-FIELD"), ([Label("a")], False, "E-LABEL-ONE")):
        with pytest.raises(InputError) as caught:
            material([path], None, labels, strict=strict, seed=0)
        assert caught.value.code == code

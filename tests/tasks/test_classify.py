"""Labels' probabilities against teacher forcing: each label alone behind its whole prompt, in one plain forward."""

import itertools
import math
import random
from pathlib import Path

import pytest
import torch

import puna
from puna.answer.reader import Reader
from puna.answer.windows import windows_of
from puna.errors import InputError
from puna.llama.load import load
from puna.llama.model import Llama
from puna.tasks.classify import Classified, Classifier
from puna.tasks.labels import Example, Label
from puna.tasks.sentiment import Sentiment
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny

LABELS = ["sports", "politics", "world news", "world", "科技"]
LONG = " ".join(f"Day {n}: they walked to the sea and back." for n in range(60))
EXAMPLES = [Example("They won.", ("sports",)), Example("They lost the vote.", ("politics",))]
TEXTS = ["The striker scored twice.", "议会通过了法案。", "A vote on the cup.", "x"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """In fp32, so that the oracle's numbers are its numbers."""
    checkpoint = open_checkpoint(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
    return Reader(load(checkpoint, dtype=torch.float32), tokenizer, "tiny")


def forced(model: Llama, prompt: list[int], tail: list[int]) -> float:
    """Log-probability of a tail: the whole sequence in one causal forward without a cache of anything before."""
    every = [*prompt, *tail]
    cache = model.new_cache(len(every))
    size = len(every)
    mask = torch.ones(size, size, dtype=torch.bool).tril()
    with torch.inference_mode():
        hidden = model(torch.tensor(every), torch.arange(size), cache, mask)
        values = model.logits(hidden).double().log_softmax(-1)
    return sum(float(values[len(prompt) - 1 + n, token]) for n, token in enumerate(tail))


def expected(reader: Reader, classifier: Classifier, text: str, language: str) -> dict[str, float]:
    """Log-probabilities of the labels by name, of prompts that are put together here."""
    encode = reader.tokenizer.encode
    names = sorted(label.name for label in classifier.labels)
    if language == "en":
        head = f"Categories: {', '.join(names)}.\n\n"
        head += "".join(f"Text: {each.text}\nCategory: {each.labels[0]}\n\n" for each in classifier.examples)
        item, lead, end = f"Text: {text}\nCategory:", " ", "\n\nText: "
    else:
        head = f"判断每段文本的类别，可选：{'、'.join(names)}。\n\n"
        head += "".join(f"文本：{each.text}\n类别：{each.labels[0]}\n\n" for each in classifier.examples)
        item, lead, end = f"文本：{text}\n类别：", "", "\n\n文本："
    prompt = reader.tokenizer.encode_prompt(head) + encode(item, start=False)
    stop = encode(end, start=False)[0]
    return {name: forced(reader.model, prompt, [*encode(lead + name, start=False), stop]) for name in names}


def softmax(values: dict[str, float]) -> dict[str, float]:
    top = max(values.values())
    every = {name: math.exp(value - top) for name, value in values.items()}
    return {name: value / sum(every.values()) for name, value in every.items()}


def probabilities(found: Classified) -> dict[str, float]:
    return {each.label: each.probability for each in found.labels}


@pytest.mark.parametrize("examples", [[], EXAMPLES], ids=["zero-shot", "few-shot"])
@pytest.mark.parametrize("prior", [False, True], ids=["as it is", "prior divided out"])
def test_equals_teacher_forcing(reader: Reader, prior: bool, examples: list[Example]) -> None:
    classifier = Classifier(reader, LABELS, examples=examples, prior=prior)
    for text, language in zip(TEXTS, ("en", "zh", "en", "en"), strict=True):
        found = classifier.classify(text)
        raw = expected(reader, classifier, text, language)
        free = expected(reader, classifier, "", language) if prior else dict.fromkeys(raw, 0.0)
        wanted = softmax({name: raw[name] - free[name] for name in raw})
        assert found.language == language
        assert probabilities(found) == pytest.approx(wanted, abs=2e-5)
        assert {each.label: each.log_probability for each in found.labels} == pytest.approx(raw, abs=2e-4)
        assert [each.label for each in found.labels] == sorted(wanted, key=lambda name: -wanted[name])
        assert sum(probabilities(found).values()) == pytest.approx(1)
        assert found.chosen == (found.best.label,)


@pytest.mark.parametrize("prior", [False, True])
def test_several_labels_equal_teacher_forcing(reader: Reader, prior: bool) -> None:
    labels = [Label("price", "what it costs"), Label("noise")]
    examples = [Example("Cheap.", ("price",)), Example("Fine.", ())]
    classifier = Classifier(reader, labels, examples=examples, multi=True, prior=prior, threshold=0.5)
    encode = reader.tokenizer.encode
    questions = {"noise": "Category: noise\nFits:", "price": "Category: price (what it costs)\nFits:"}
    head = "Say for each category whether it fits the text: yes or no.\n\n"
    for text, right in (("Cheap.", ["price"]), ("Fine.", [])):
        head += f"Text: {text}\n" + "".join(
            f"{questions[name]} {'yes' if name in right else 'no'}\n" for name in ("noise", "price")
        )
        head += "\n"
    (stop,) = encode("\nCategory: ", start=False)[:1]

    def odds(text: str, name: str) -> tuple[float, float]:
        prompt = reader.tokenizer.encode_prompt(head) + encode(f"Text: {text}\n", start=False)
        prompt += encode(questions[name], start=False)
        yes, no = (forced(reader.model, prompt, [*encode(f" {a}", start=False), stop]) for a in ("yes", "no"))
        return yes - no, yes

    found = classifier.classify("Cheap but loud.")
    assert set(probabilities(found)) == {"price", "noise"}
    for each in found.labels:
        value, yes = odds("Cheap but loud.", each.label)
        value -= odds("", each.label)[0] if prior else 0
        assert each.probability == pytest.approx(1 / (1 + math.exp(-value)), abs=2e-5)
        assert each.log_probability == pytest.approx(yes, abs=2e-4)
    assert found.chosen == tuple(each.label for each in found.labels if each.probability >= 0.5)
    assert found.labels[0].probability >= found.labels[1].probability


def bare(found: Classified) -> object:
    return found.labels, found.chosen, found.coverage


def test_order_of_labels_and_company_do_not_matter(reader: Reader) -> None:
    """To the last bit: labels in any order, texts alone, before and behind others."""
    alone = [bare(Classifier(reader, LABELS, examples=EXAMPLES).classify(text)) for text in TEXTS]
    for seed in range(3):
        rng = random.Random(seed)
        labels, order = rng.sample(LABELS, len(LABELS)), rng.sample(range(len(TEXTS)), len(TEXTS))
        classifier = Classifier(reader, labels, examples=EXAMPLES)
        for n in order:
            assert bare(classifier.classify(TEXTS[n])) == alone[n]
        every = [*(TEXTS[n] for n in order), LONG, *TEXTS]
        found = [bare(each) for each in classifier.each(every)]
        assert found[: len(order)] == [alone[n] for n in order]
        assert found[len(order)] == bare(classifier.classify(LONG))
        assert found[len(order) + 1 :] == alone


def test_many_texts_take_few_forwards(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(reader, ["a", "b"], prior=False)
    wanted = [bare(classifier.classify(f"day {n}")) for n in range(70)]
    count = 0
    forward = Llama.forward

    def counted(self: Llama, *given: object, **named: object) -> torch.Tensor:
        nonlocal count
        count += 1
        return forward(self, *given, **named)

    monkeypatch.setattr(Llama, "forward", counted)
    assert [bare(each) for each in classifier.each([f"day {n}" for n in range(70)])] == wanted
    assert 0 < count < 35
    with pytest.raises(InputError):
        list(classifier.each(["x", " "]))


def test_the_head_is_read_once(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    forward = Llama.forward

    def counted(self: Llama, tokens: torch.Tensor, *more: object, **named: object) -> torch.Tensor:
        rows.append(len(tokens))
        return forward(self, tokens, *more, **named)

    monkeypatch.setattr(Llama, "forward", counted)
    classifier = Classifier(reader, LABELS, examples=EXAMPLES * 5, prior=False)
    classifier.classify(TEXTS[0])
    head = len(classifier.prompts("en").head)
    assert sum(rows) >= head
    rows.clear()
    classifier.classify(TEXTS[2])
    assert sum(rows) < head


@pytest.mark.parametrize("multi", [False, True], ids=["one label", "several"])
def test_examples_are_read_once_for_all_batches_and_calls(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, multi: bool
) -> None:
    """A head for each language, read as one chain, once; no other chain is read but what fits no shared forward."""
    chains: list[list[int]] = []
    forwards = 0
    read, forward = Llama.read, Llama.forward

    def counted_read(self: Llama, tokens: list[int], *more: object) -> torch.Tensor:
        chains.append(list(tokens))
        return read(self, tokens, *more)

    def counted(self: Llama, *given: object, **named: object) -> torch.Tensor:
        nonlocal forwards
        forwards += 1
        return forward(self, *given, **named)

    classifier = Classifier(reader, ["sports", "politics"], examples=EXAMPLES, multi=multi)
    heads = [classifier.prompts(language).head for language in ("en", "zh")]
    monkeypatch.setattr(Llama, "read", counted_read)
    monkeypatch.setattr(Llama, "forward", counted)
    texts = [text for n in range(70) for text in (f"Day {n}.", f"第{n}天。")]
    first = [bare(each) for each in classifier.each(texts)]  # three batches, both languages in each
    assert [chains.count(head) for head in heads] == [1, 1]
    assert len(chains) == 2
    batches = forwards
    assert [bare(classifier.classify(text)) for text in texts[:6]] == first[:6]
    assert [bare(each) for each in classifier.each(texts)] == first
    assert len(chains) == 2
    assert batches < len(texts)


def test_a_long_text_is_read_whole_and_its_windows_are_averaged(reader: Reader) -> None:
    text = LONG
    classifier = Classifier(reader, ["walks", "ships"])
    steps: list[tuple[int, int]] = []
    found = classifier.classify(text, progress=lambda done, total: steps.append((done, total)))
    assert found.coverage.characters == found.coverage.read == len(text)
    assert found.coverage.windows > 2
    assert steps == [(n, found.coverage.windows) for n in range(1, found.coverage.windows + 1)]
    size = classifier.prompts("en").size
    parts = [text[start:end].strip() for start, end in windows_of(text, reader.tokenizer, size)]
    each = [probabilities(classifier.classify(part)) for part in parts]
    total = sum(map(len, parts))
    wanted = {
        name: sum(len(part) / total * values[name] for part, values in zip(parts, each, strict=True))
        for name in ("walks", "ships")
    }
    assert probabilities(found) == pytest.approx(wanted, abs=1e-9)


def test_of_several_labels_the_window_where_one_fits_most_counts(reader: Reader) -> None:
    text = LONG
    classifier = Classifier(reader, ["walks", "ships"], multi=True)
    size = classifier.prompts("en").size
    each = [
        probabilities(classifier.classify(text[start:end]))
        for start, end in windows_of(text, reader.tokenizer, size)
    ]
    wanted = {name: max(values[name] for values in each) for name in ("walks", "ships")}
    assert probabilities(classifier.classify(text)) == wanted


def test_a_stop_says_how_far_it_came(reader: Reader) -> None:
    text = LONG
    asked = itertools.count()
    found = Classifier(reader, ["a", "b"]).classify(text, stop=lambda: next(asked) >= 2)
    assert found.coverage.windows == 2
    assert 0 < found.coverage.read < found.coverage.characters
    with pytest.raises(KeyboardInterrupt):
        Classifier(reader, ["a", "b"]).classify(text, stop=lambda: True)


def test_ten_thousand_labels(reader: Reader) -> None:
    """Too many to be listed in the prompt; all are scored, and one is what it is among few."""
    names = [f"label {n}" for n in range(10_000)]
    classifier = Classifier(reader, names, prior=False)
    found = classifier.classify("x")
    assert len(found.labels) == 10_000
    assert not classifier.prompts("en").listed
    assert sum(each.probability for each in found.labels) == pytest.approx(1)
    head = reader.tokenizer.encode_prompt("Choose the category that fits the text.\n\n")
    prompt = head + reader.tokenizer.encode("Text: x\nCategory:", start=False)
    stop = reader.tokenizer.encode("\n\nText: ", start=False)[0]
    raw = {each.label: each.log_probability for each in found.labels}
    for name in random.Random(0).sample(names, 5):
        tail = [*reader.tokenizer.encode(f" {name}", start=False), stop]
        assert raw[name] == pytest.approx(forced(reader.model, prompt, tail), abs=2e-4)


BAD = {
    "long label": ({"labels": ["a", "b " * 300]}, "E-LABEL-LONG"),
    "long label, one of several": ({"labels": ["a", "b " * 300], "multi": True}, "E-LABEL-LONG"),
    "long descriptions": ({"labels": [Label("a", "b " * 300), "c"]}, "E-LABELS-DESCRIBED"),
    "long examples": ({"labels": ["a", "b"], "examples": [Example("x " * 600, ("a",))]}, "E-EXAMPLES-LONG"),
    "empty text": ({"labels": ["a", "b"], "text": " \n"}, "E-TEXT-EMPTY"),
    "threshold": ({"labels": ["a", "b"], "threshold": 1.5}, "E-THRESHOLD"),
    "no threshold": ({"labels": ["a", "b"], "threshold": math.nan}, "E-THRESHOLD"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_is_said(reader: Reader, name: str) -> None:
    given, code = BAD[name]
    given = dict(given)
    text = given.pop("text", "x")
    with pytest.raises(InputError) as caught:
        Classifier(reader, given.pop("labels"), **given).classify(text)
    assert caught.value.code == code


def test_an_adapter_trained_for_labels_needs_no_prior(reader: Reader) -> None:
    trained = Reader(reader.model, reader.tokenizer, "topics", trained="classify")
    assert (Classifier(reader, ["a", "b"]).prior, Classifier(trained, ["a", "b"]).prior) == (True, False)
    assert Classifier(trained, ["a", "b"], prior=True).prior


def test_sentiment_has_the_same_labels_in_both_languages(reader: Reader) -> None:
    found = [Sentiment(reader).classify(text) for text in ("A warm film.", "房间很干净。")]
    assert [each.language for each in found] == ["en", "zh"]
    for each in found:
        assert {label.label for label in each.labels} == {"positive", "negative"}
        assert each.chosen == (each.best.label,)


def test_the_default_model_knows_some(default_path: Path) -> None:
    reader = puna.load(default_path)
    film = Sentiment(reader)
    assert film.classify("A warm, funny and moving film.").best.label == "positive"
    assert film.classify("A dull, stupid waste of time.").best.label == "negative"
    topics = Classifier(reader, ["sports", "politics"])
    assert topics.classify("The striker scored twice and the team won the cup.").best.label == "sports"

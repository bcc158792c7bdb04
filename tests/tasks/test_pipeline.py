"""The calls of the pipelines that Transformers 5 removed: forms as Transformers gives them, numbers as Puna does."""

import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import puna
from puna.answer.reader import Reader
from puna.answer.spans import in_one_line, spans
from puna.errors import InputError
from puna.llama.load import load
from puna.tasks.classify import Classifier
from puna.tasks.pipeline import OF_LOADING, TASKS
from puna.tasks.sentiment import Sentiment
from puna.tasks.translate import Translator, Wanted
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny
from tests.tasks.old_pipelines import ANSWER, LABEL, TRANSLATION, form, old_pipeline
from tests.tasks.test_classify import forced, softmax
from tests.tasks.tiny_translator import PAIRS, taught  # noqa: F401

Q, C = "Where do I live?", "My name is Wolfgang and I live in Berlin"
PAIR = {"question": Q, "context": C}
TEXTS = ["This movie is disgustingly good !", "Director tried too much."]
LABELS = ["urgent", "not urgent", "phone"]
TEMPLATE = "The topic is {}, they say."
PAGES = [Path(__file__).parents[2] / "docs" / f"pipelines{ending}.md" for ending in ("", ".zh")]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TO_CHINESE, TO_ENGLISH = dict(PAIRS), {zh: en for en, zh in PAIRS}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("pipeline") / "tiny.gguf")


@pytest.fixture(scope="module")
def reader(path: Path) -> Reader:
    """In fp32, so that an oracle's numbers are its numbers."""
    checkpoint = open_checkpoint(path)
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
    return Reader(load(checkpoint, dtype=torch.float32), tokenizer, "tiny")


@pytest.fixture(scope="module")
def qa(reader: Reader) -> Any:
    return puna.pipeline("question-answering", model=reader)


@pytest.fixture(scope="module")
def translator(taught: tuple[Path, Path]) -> Reader:  # noqa: F811
    model, adapter = taught
    return puna.load(model, adapter=adapter)


# As Transformers 4.57.1 gives them (with a random BERT).
@pytest.mark.parametrize(
    ("inputs", "given", "wanted"),
    [
        ((), PAIR, ANSWER),
        ((Q, C), {}, ANSWER),
        ((PAIR,), {}, ANSWER),
        (([PAIR],), {}, ANSWER),
        (([PAIR, PAIR],), {}, [ANSWER] * 2),
        ((PAIR, PAIR), {}, [ANSWER] * 2),
        ((), {"question": [Q, Q], "context": C}, [ANSWER] * 2),
        ((), {"question": [Q, Q], "context": [C, C]}, [ANSWER] * 2),
        ((), {"question": [Q], "context": [C]}, ANSWER),
        ((), {"question": [Q], "context": C}, ANSWER),
        (({"question": [Q, Q], "context": [C, C]},), {}, [ANSWER] * 2),
        (({"question": [Q], "context": [C]},), {}, [ANSWER]),
        ((), {"X": PAIR}, ANSWER),
        ((), {"data": [PAIR, PAIR]}, [ANSWER] * 2),
        ((), {**PAIR, "top_k": 3}, [ANSWER] * 3),
        ((), {**PAIR, "topk": 3}, [ANSWER] * 3),
        ((), {**PAIR, "top_k": 2, "handle_impossible_answer": True}, [ANSWER] * 2),
        ((), {"question": [Q, Q], "context": C, "top_k": 2}, [[ANSWER] * 2] * 2),
        ((), {"question": Q, "context": "Berlin", "top_k": 3}, ANSWER),
        (([],), {}, []),
    ],
)
def test_answers_have_their_form(qa: Any, inputs: tuple[Any, ...], given: Any, wanted: Any) -> None:
    found = qa(*inputs, **given)
    assert form(found) == wanted
    assert list(form(found)) == list(wanted)  # the order of the fields


@pytest.mark.parametrize("seed", range(4))
def test_every_answer_stands_where_it_says(qa: Any, reader: Reader, seed: int) -> None:
    """All spans and the empty answer: each once, in order, and their scores sum to 1."""
    rng = random.Random(seed)
    pieces = ["Ann ", "won ", "3,5 %", "\n", "安走了", "。", "\U0001f999 ", "  ", "e\u0301"]
    context = "".join(rng.choices(pieces, k=9)) + "end"
    found = qa(question="谁?", context=context, top_k=5000, handle_impossible_answer=True)
    empty = [each for each in found if not each["answer"]]
    whole = reader.ask("谁?", context, top=5000, group=False)
    assert empty == [{"score": whole.no_answer_probability, "start": 0, "end": 0, "answer": ""}]
    assert all(context[each["start"] : each["end"]] == each["answer"] for each in found)
    scores = [each["score"] for each in found]
    assert scores == sorted(scores, reverse=True)
    assert math.fsum(scores) == pytest.approx(1)
    texts = [in_one_line(each["answer"]) for each in found if each["answer"]]
    first: dict[str, tuple[int, int]] = {}
    for start, end in sorted(spans(context)):
        first.setdefault(in_one_line(context[start:end]), (start, end))
    assert sorted(texts) == sorted(first)
    assert {(each["start"], each["end"]) for each in found if each["answer"]} == set(first.values())


def test_answers_are_those_of_the_reader(qa: Any, reader: Reader) -> None:
    for top in (1, 4):
        found = qa(question=Q, context=C, top_k=top)
        wanted = [(each.probability, each.text) for each in reader.ask(Q, C, top=top, group=False)]
        assert [(each["score"], each["answer"]) for each in (found if top > 1 else [found])] == wanted
    preset = puna.pipeline("question-answering", model=reader, top_k=3, handle_impossible_answer=True)
    assert preset(**PAIR) == qa(**PAIR, top_k=3, handle_impossible_answer=True)
    assert preset(**PAIR, top_k=1, handle_impossible_answer=False) == qa(**PAIR)
    one = qa(question=[Q, "Who?"], context=[C, "Ann won."])
    assert one == [qa(Q, C), qa("Who?", "Ann won.")]


def test_length_of_answers(qa: Any) -> None:
    context = "Ann won the race. 安走了。"
    found = qa(question=Q, context=context, top_k=100, max_answer_len=1)
    assert {each["answer"] for each in found} == {"Ann", "won", "the", "race", *"安走了"}


def test_what_changes_nothing_is_taken(path: Path, qa: Any) -> None:
    loaded = puna.pipeline(
        "question-answering",
        model=str(path),
        tokenizer=str(path),
        device=-1,
        framework="pt",
        batch_size=8,
        torch_dtype="auto",
        revision=None,
        config=None,
    )
    given = {"doc_stride": 64, "max_seq_len": 100, "max_question_len": 9, "padding": True, "align_to_words": True}
    found = loaded(question=Q, context=C, **given, top_k=None)
    assert found == puna.pipeline("question-answering", path, device="cpu")(question=Q, context=C)
    assert form(found) == ANSWER


@pytest.mark.parametrize("multi", [False, True])
def test_labels_have_their_form(reader: Reader, multi: bool) -> None:
    old = old_pipeline("zero-shot-classification", ["contradiction", "neutral", "entailment"])
    new = puna.pipeline("zero-shot-classification", model=reader)
    for inputs in ((TEXTS[0], LABELS), (TEXTS, LABELS), ([TEXTS[0]], ["a,b", "c"]), (TEXTS[0], "urgent, phone,")):
        found, wanted = (each(*inputs, multi_label=multi) for each in (new, old))
        assert form(found) == form(wanted)
        for one, other in zip(
            *((each if isinstance(each, list) else [each]) for each in (found, wanted)), strict=True
        ):
            assert list(one) == list(other)
            assert one["sequence"] == other["sequence"]
            assert set(one["labels"]) == set(other["labels"])
            assert one["scores"] == sorted(one["scores"], reverse=True)
            assert multi or sum(one["scores"]) == pytest.approx(1)
    assert form(new(TEXTS[0], ["urgent"])) == form(old(TEXTS[0], ["urgent"]))


def test_labels_are_those_of_the_classifier(reader: Reader) -> None:
    pipe = puna.pipeline("zero-shot-classification", model=reader)

    def scores(found: Any) -> dict[str, float]:
        return dict(zip(found["labels"], found["scores"], strict=True))

    def wanted(labels: list[str], multi: bool) -> dict[str, float]:
        found = Classifier(reader, labels, multi=multi).classify(TEXTS[0])
        return {each.label: each.probability for each in found.labels}

    assert scores(pipe(TEXTS[0], LABELS)) == wanted(LABELS, False)
    assert scores(pipe(TEXTS[0], candidate_labels=",".join(LABELS))) == wanted(LABELS, False)
    assert scores(pipe(TEXTS[0], LABELS, hypothesis_template="This example is {}.")) == wanted(LABELS, False)
    for given in ({"multi_label": True}, {"multi_class": True}):
        assert scores(pipe(TEXTS[0], LABELS, **given)) == wanted(LABELS, True)
    assert scores(pipe(TEXTS[0], "urgent")) == wanted(["urgent"], True)
    assert scores(pipe(TEXTS[0], ["not  urgent", "phone"])) == {
        {"not urgent": "not  urgent"}.get(name, name): value
        for name, value in wanted(["not urgent", "phone"], False).items()
    }
    preset = puna.pipeline("zero-shot-classification", model=reader, candidate_labels=LABELS, multi_label=True)
    assert preset(TEXTS) == pipe(TEXTS, LABELS, multi_label=True)


def test_a_template_is_the_sentence_that_is_scored(reader: Reader) -> None:
    """Against teacher forcing of prompts that are put together here, the prior divided out."""
    encode, names = reader.tokenizer.encode, sorted(LABELS)
    head = f"Categories: {', '.join(names)}.\n\n"
    (end,) = encode("\n\nText: ", start=False)[:1]

    def raw(text: str) -> dict[str, float]:
        prompt = reader.tokenizer.encode_prompt(head) + encode(f"Text: {text}\nThe topic is", start=False)
        return {
            name: forced(reader.model, prompt, [*encode(f" {name}, they say.", start=False), end]) for name in names
        }

    prior, given = raw(""), raw(TEXTS[0])
    wanted = softmax({name: given[name] - prior[name] for name in names})
    pipe = puna.pipeline("zero-shot-classification", model=reader, hypothesis_template=TEMPLATE)
    found = pipe(TEXTS[0], LABELS)
    assert dict(zip(found["labels"], found["scores"], strict=True)) == pytest.approx(wanted, abs=2e-5)


def test_a_template_asks_for_each_of_several_labels(reader: Reader) -> None:
    encode = reader.tokenizer.encode
    head = "Say for each category whether it fits the text: yes or no.\n\n"
    (end,) = encode("\nThe topic is ", start=False)[:1]

    def odds(text: str, name: str) -> float:
        prompt = reader.tokenizer.encode_prompt(head) + encode(f"Text: {text}\n", start=False)
        prompt += encode(f"The topic is {name}, they say.\nFits:", start=False)
        yes, no = (forced(reader.model, prompt, [*encode(f" {word}", start=False), end]) for word in ("yes", "no"))
        return yes - no

    pipe = puna.pipeline("zero-shot-classification", model=reader)
    found = pipe(TEXTS[0], LABELS, hypothesis_template=TEMPLATE, multi_label=True)
    for label, score in zip(found["labels"], found["scores"], strict=True):
        value = odds(TEXTS[0], label) - odds("", label)
        assert score == pytest.approx(1 / (1 + math.exp(-value)), abs=2e-5)


@pytest.mark.parametrize("given", [{}, {"top_k": 1}, {"top_k": 2}, {"top_k": None}], ids=str)
def test_sentiments_have_their_form(reader: Reader, given: dict[str, Any]) -> None:
    old = old_pipeline("text-classification", ["NEGATIVE", "POSITIVE"])
    new = puna.pipeline("sentiment-analysis", model=reader)
    preset = puna.pipeline("text-classification", model=reader, **given)
    old_preset = old_pipeline("text-classification", ["NEGATIVE", "POSITIVE"], **given)
    for inputs in (TEXTS[0], TEXTS, [TEXTS[0]], {"text": TEXTS[0]}, [{"text": TEXTS[0]}]):
        assert form(new(inputs, **given)) == form(old(inputs, **given))
        assert form(preset(inputs)) == form(old_preset(inputs))
    assert new([], **given) == []


def test_all_scores_have_their_form_and_order(reader: Reader) -> None:
    """As Transformers 4.57.1 gives them; Transformers 5 has no `return_all_scores`."""
    pipe = puna.pipeline("text-classification", model=reader)
    for inputs, wanted in (
        (TEXTS[0], [[LABEL] * 2]),
        (TEXTS, [[LABEL] * 2] * 2),
        ({"text": TEXTS[0]}, [LABEL] * 2),
    ):
        found = pipe(inputs, return_all_scores=True)
        assert form(found) == wanted
        flat = [each for group in found for each in (group if isinstance(group, list) else [group])]
        assert [each["label"] for each in flat] == ["NEGATIVE", "POSITIVE"] * (len(flat) // 2)
    assert pipe(TEXTS, return_all_scores=False) == pipe(TEXTS)


def test_sentiments_are_those_of_the_sentiment(reader: Reader) -> None:
    pipe = puna.pipeline("text-classification", model=reader)
    texts = [*TEXTS, "房间很干净，服务也好。"]
    for text, each in zip(texts, Sentiment(reader).each(texts), strict=True):
        wanted = [{"label": one.label.upper(), "score": one.probability} for one in each.labels]
        assert pipe(text, top_k=None) == wanted
        assert pipe(text) == wanted[:1]
        assert sum(one["score"] for one in wanted) == pytest.approx(1)
        assert pipe(text, top_k=None, function_to_apply="softmax") == wanted
        logs = {one["label"]: one["score"] for one in pipe(text, top_k=None, function_to_apply="none")}
        assert softmax(logs) == pytest.approx({one["label"]: one["score"] for one in wanted})
    assert pipe(texts, truncation=True, max_length=8, padding=True, batch_size=2) == pipe(texts)


def test_text_classification_with_labels_of_ones_own(reader: Reader) -> None:
    pipe = puna.pipeline("text-classification", model=reader, candidate_labels=["sports", "politics", "a, b"])
    found = pipe(TEXTS[0], return_all_scores=True)
    assert [each["label"] for each in found[0]] == ["sports", "politics", "a, b"]
    classified = Classifier(reader, ["sports", "politics", "a, b"]).classify(TEXTS[0])
    assert {each["label"]: each["score"] for each in found[0]} == {
        each.label: each.probability for each in classified.labels
    }


# As Transformers 4.57.1 gives them (with a random T5).
@pytest.mark.parametrize(
    ("inputs", "given", "wanted"),
    [
        (PAIRS[0][0], {}, [TRANSLATION]),
        ([PAIRS[0][0]], {}, [TRANSLATION]),
        ([PAIRS[0][0], PAIRS[1][0]], {"num_beams": 2}, [TRANSLATION] * 2),
        ([], {}, []),
        (PAIRS[0][0], {"num_beams": 2, "num_return_sequences": 2}, [TRANSLATION] * 2),
        ([PAIRS[0][0]], {"num_beams": 2, "num_return_sequences": 2}, [[TRANSLATION] * 2]),
        ([PAIRS[0][0], PAIRS[1][0]], {"num_beams": 2, "num_return_sequences": 2}, [[TRANSLATION] * 2] * 2),
    ],
)
def test_translations_have_their_form(translator: Reader, inputs: Any, given: Any, wanted: Any) -> None:
    pipe = puna.pipeline("translation_en_to_zh", model=translator)
    assert form(pipe(inputs, max_length=400, **given)) == wanted


def test_translations_are_those_of_the_translator(translator: Reader) -> None:
    def said(*texts: str) -> list[dict[str, str]]:
        return [{"translation_text": text} for text in texts]

    english, chinese = list(TO_CHINESE), list(TO_ENGLISH)
    assert puna.pipeline("translation_en_to_zh", model=translator)(english) == said(*chinese)
    assert puna.pipeline("translation_zh_to_en", model=translator)(chinese) == said(*english)
    pipe = puna.pipeline("translation", model=translator)
    mixed = [english[0], chinese[1], "?!", chinese[2], english[3]]
    assert pipe(mixed) == said(chinese[0], english[1], "?!", english[2], chinese[3])
    for given in ({"tgt_lang": "zho_Hans"}, {"src_lang": "en_XX"}, {"src_lang": "en", "tgt_lang": "zh_CN"}):
        assert pipe(english[0], **given) == said(chinese[0])
    plain = Translator(translator.model, translator.tokenizer, "", examples=translator.examples)
    (several,) = plain.translate([english[1]], "zh", wanted=Wanted(3, 3))
    assert pipe(english[1], num_return_sequences=3, num_beams=3) == said(
        *(each.text for each in several.candidates)
    )


def test_models_are_taken_by_path_and_adapter(taught: tuple[Path, Path]) -> None:  # noqa: F811
    model, adapter = taught
    pipe = puna.pipeline("translation_zh_to_en", str(model), adapter=adapter, device=-1)
    assert pipe(PAIRS[0][1]) == [{"translation_text": PAIRS[0][0]}]


@pytest.mark.parametrize(
    ("task", "given", "code", "said"),
    [
        ("summarization", {}, "E-PIPELINE-TASK", "translation_en_to_zh"),
        ("translation_en_to_fr", {}, "E-PIPELINE-TASK", "translation_en_to_zh"),
        (None, {}, "E-PIPELINE-TASK", "question-answering"),
        ("question-answering", {"top": 3}, "E-PIPELINE-ARGUMENT", "handle_impossible_answer"),
        ("question-answering", {"multi_label": True}, "E-PIPELINE-ARGUMENT", "top_k"),
        ("question-answering", {"top_k": 0}, "E-PIPELINE-VALUE", "top_k"),
        ("question-answering", {"top_k": True}, "E-PIPELINE-VALUE", "top_k"),
        ("question-answering", {"topk": "3"}, "E-PIPELINE-VALUE", "topk"),
        ("question-answering", {"align_to_words": False}, "E-PIPELINE-VALUE", "True"),
        ("question-answering", {"handle_impossible_answer": "no"}, "E-PIPELINE-VALUE", "False"),
        ("question-answering", {"tokenizer": "bert-base-cased"}, "E-PIPELINE-VALUE", "tokenizer"),
        ("question-answering", {"torch_dtype": torch.float16}, "E-PIPELINE-VALUE", "auto"),
        ("question-answering", {"adapter": "x"}, "E-PIPELINE-VALUE", "puna.load"),
        ("text-classification", {"function_to_apply": "sigmoid"}, "E-PIPELINE-VALUE", "softmax"),
        ("text-classification", {"topk": 2}, "E-PIPELINE-ARGUMENT", "top_k"),
        ("translation", {"temperature": 0.5}, "E-PIPELINE-ARGUMENT", "num_beams"),
        ("translation", {"do_sample": True}, "E-PIPELINE-VALUE", "False"),
        ("translation", {"return_tensors": True}, "E-PIPELINE-VALUE", "False"),
    ],
)
def test_what_there_is_not_is_told(reader: Reader, task: Any, given: Any, code: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        puna.pipeline(task, model=reader, **given)
    assert error.value.code == code
    assert said in " ".join(error.value.describe("en"))


@pytest.mark.parametrize(
    ("task", "inputs", "given", "code"),
    [
        ("question-answering", (), {}, "E-PIPELINE-INPUT"),
        ("question-answering", (), {"question": Q}, "E-PIPELINE-INPUT"),
        ("question-answering", (), {"question": Q, "context": [C, C]}, "E-PIPELINE-INPUT"),
        ("question-answering", (), {"question": None, "context": C}, "E-PIPELINE-INPUT"),
        ("question-answering", (), {"question": [Q, Q], "context": [C]}, "E-PIPELINE-PAIRS"),
        ("question-answering", ({"question": Q},), {}, "E-PIPELINE-INPUT"),
        ("question-answering", ({**PAIR, "id": 1},), {}, "E-PIPELINE-INPUT"),
        ("question-answering", (Q,), {}, "E-PIPELINE-INPUT"),
        ("question-answering", ("", C), {}, "E-QUESTION-EMPTY"),
        ("question-answering", (Q, ""), {}, "E-TEXT-EMPTY"),
        ("question-answering", (Q, C), {"beams": 3}, "E-PIPELINE-ARGUMENT"),
        ("zero-shot-classification", (Q,), {}, "E-LABEL-NONE"),
        ("zero-shot-classification", (Q, " , "), {}, "E-LABEL-NONE"),
        ("zero-shot-classification", (Q, ["a", "b", "a"]), {}, "E-LABEL-TWICE"),
        ("zero-shot-classification", (Q, ["a", 3]), {}, "E-PIPELINE-INPUT"),
        ("zero-shot-classification", ([Q, None], "a, b"), {}, "E-PIPELINE-INPUT"),
        ("zero-shot-classification", ("", "a, b"), {}, "E-TEXT-EMPTY"),
        *(
            ("zero-shot-classification", (Q, "a, b"), {"hypothesis_template": template}, "E-PIPELINE-TEMPLATE")
            for template in ("This is it.", "{} or {}", "{label}", "{", "{0.__class__}", "{!r}", "{:>9}", "{{}}")
        ),
        ("text-classification", ({"text": Q, "text_pair": C},), {}, "E-PIPELINE-INPUT"),
        ("text-classification", ([[Q, C]],), {}, "E-PIPELINE-INPUT"),
        ("text-classification", (" ",), {}, "E-TEXT-EMPTY"),
        ("text-classification", (Q,), {"candidate_labels": "a"}, "E-LABEL-ONE"),
        ("translation", (3,), {}, "E-PIPELINE-INPUT"),
        ("translation", ("Hello.",), {"tgt_lang": "fr"}, "E-TRANSLATE-LANGUAGE"),
        ("translation", ("Hello.",), {"src_lang": "fr"}, "E-TRANSLATE-LANGUAGE"),
        ("translation", ("Hello.",), {"src_lang": "zh", "tgt_lang": "zh"}, "E-TRANSLATE-SAME"),
        ("translation", ("Hello.",), {"tgt_lang": "en"}, "E-TRANSLATE-SAME-TEXT"),
        ("translation", ("これは",), {}, "E-TRANSLATE-SCRIPT"),
    ],
)
def test_input_that_cannot_be_used_is_told(
    reader: Reader, task: str, inputs: tuple[Any, ...], given: dict[str, Any], code: str
) -> None:
    with pytest.raises(InputError) as error:
        puna.pipeline(task, model=reader)(*inputs, **given)
    assert error.value.code == code


def test_the_pages_have_every_argument_and_one_structure() -> None:
    english, chinese = (page.read_text("utf-8") for page in PAGES)
    named = {name for kind in TASKS.values() for name in kind.takes | kind.inert} | OF_LOADING
    for text in (english, chinese):
        assert {name for name in named if not re.search(f"`{name}[`=]", text)} == set()
        assert {task for task in TASKS if f'"{task}"' not in text} == set()
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert (PAGES[0].parent / target).exists(), target
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    shapes = [
        [
            line.split(" ")[0] + "|" * line.count(" | ")
            for line in text.splitlines()
            if line.startswith(("#", "|", "- "))
        ]
        for text in (english, chinese)
    ]
    assert shapes[0] == shapes[1]


def test_the_page_runs_and_the_old_examples_hold(default_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and texts are those of the documentation of Transformers 4, and so are answer, place and label."""
    monkeypatch.setattr(puna, "load", lambda load=puna.load: load(default_path), raising=False)
    ((kind, code),) = BLOCK.findall(PAGES[0].read_text("utf-8"))
    assert kind == "python"
    done: dict[str, Any] = {}
    exec(compile(code, PAGES[0].name, "exec"), done)
    score = done["answer"].pop("score")
    assert done["answer"] == {"start": 34, "end": 40, "answer": "Berlin"}
    assert score > 0.5
    assert done["labels"]["labels"][0] == "education"
    assert [each["label"] for each in done["moods"]] == ["POSITIVE", "NEGATIVE"]
    unknown = done["qa"](question="What is the price of the ticket?", context=C, handle_impossible_answer=True)
    assert unknown == {"score": unknown["score"], "start": 0, "end": 0, "answer": ""}

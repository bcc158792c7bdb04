"""What a trained reader says of answers by `ask`, beside what the student that was trained says of the same rows."""

import random
from functools import partial
from pathlib import Path

import pytest
import torch

import puna
from puna.answer import reader as reading
from puna.answer.spans import in_one_line, spans
from puna.llama.load import load
from puna.tokens.tokenizer import Tokenizer
from puna.train import session as training
from puna.train.lesson import lessons
from puna.train.loop import Watch
from puna.train.network import LoRA
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.rows import SpanRow
from puna.train.session import Order, Session
from puna.train.student import Student
from puna.train.trees import grow, passages
from tests.cli.tiny_file import write_tiny

WORDS = ("Ann", "Bob's", "Rome", "walked", "to", "the", "1,000", "(old)", "sea;", "co-op", "in", "May", "naïve")
HAN = ("安娜", "走到", "奥斯陆", "在1937年", "大海", "，", "。", "哈哈", "他")
ASKED = ("Who walked?", "Where to?", "谁走到了奥斯陆？")
LONG = 4000  # bytes, more than a window of the tiny model
_LEAST = -30.0  # as the search has it


def some_text(draw: random.Random, size: int) -> str:
    """Words that recur, in English, Chinese or both, with line breaks and runs of spaces."""
    words = draw.choice((WORDS, HAN, WORDS + HAN))
    text = ""
    while len(text.encode()) < size:
        text += draw.choice(words) + draw.choice((" ", " ", "  ", ". ", "\n")) * (
            words != HAN or draw.random() < 0.1
        )
    return text.strip()


def places_of(text: str, longest: int) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for start, end in spans(text, longest, longest):
        found.setdefault(in_one_line(text[start:end]), []).append((start, end))
    return found


def rows_of(draw: random.Random, count: int) -> list[SpanRow]:
    rows = []
    for number in range(count):
        text = some_text(draw, 60)
        places = draw.choice([*places_of(text, 2).values(), []])
        rows.append(SpanRow(str(number), text, draw.choice(ASKED), tuple((text[a:b], a) for a, b in places)))
    return rows


def log_probability(
    student: Student, tokenizer: Tokenizer, question: str, text: str, places: list[tuple[int, int]]
) -> float:
    """The most that a window says of an answer: log P by the model, and half of that by the pointer."""
    row = SpanRow("0", text, question, tuple((text[a:b], a) for a, b in places))
    found = []
    for passage in passages([row], tokenizer, student.network.config.context):
        if passage.questions[0].spans:
            with torch.no_grad():
                surprise = student([grow(passage)])
            found.append(-float(surprise["answer"]) + 0.5 * max(-float(surprise["pointer"]), _LEAST))
    return max(found)


@pytest.mark.parametrize(
    ("dtype", "limit"), [(torch.float32, 2e-3), (torch.bfloat16, 0.15)], ids=["fp32", "as the machine has it"]
)
@pytest.mark.parametrize("whole", [False, True], ids=["adapter", "folder"])
def test_ask_says_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, limit: float, whole: bool
) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    if dtype == torch.float32:
        monkeypatch.setattr(training, "products_dtype", lambda config, device: dtype)
        monkeypatch.setattr(reading, "load_model", partial(load, dtype=dtype))
    draw = random.Random(f"{dtype} {whole}")
    base = write_tiny(tmp_path / "tiny.gguf", words=[*(f" {word}" for word in WORDS), *HAN], head=32, ffn=96)
    recipe = Recipe(epochs=2, questions=8, rate=1e-2)
    order = Order(tmp_path / "trained", recipe, None if whole else LoRA(8, 16.0), model=str(base), dtype="fp32")
    session = Session("reader", order, Ranks("cpu"))
    tokenizer = session.base.tokenizer
    learned = list(lessons(rows_of(draw, 40), tokenizer, session.context))
    assert session.train(learned, None, {}, Watch())

    reader = puna.load(order.output) if whole else puna.load(base, adapter=order.output)
    opinions = set()
    for size in (40, 90, 90, LONG):
        question, text = draw.choice(ASKED), some_text(draw, size)
        longest = 1 if size == LONG else 3
        places = places_of(text, longest)
        found = reader.ask(
            question, text, exact=True, group=False, top=len(places), max_words=longest, max_chars=longest
        )
        for answer in draw.sample(found.answers, min(len(found), 12)):
            wanted = log_probability(session.student, tokenizer, question, text, places[answer.text])
            assert answer.log_probability == pytest.approx(wanted, abs=limit), (question, text, answer.text)
            opinions.add(round(wanted, 3))
        assert (found.coverage.windows > 1) == (size == LONG)
    assert len(opinions) > 20

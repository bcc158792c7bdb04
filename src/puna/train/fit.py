"""Fitting a model to a text: the text itself, token by token, and questions that it answers by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from puna.errors import InputError
from puna.train.chains import TextExam, chains, documents
from puna.train.lesson import lessons
from puna.train.loop import Loop, Watch
from puna.train.make_rows import Made, rows_of
from puna.train.rows import SpanRow
from puna.train.rows_text import paragraphs_of
from puna.train.session import Session, digest_of_data
from puna.train.trees import Passage

_MOST = 32  # chains by which a text is measured, from all of it


@dataclass(frozen=True)
class Text:
    """What is learned from a text, and what it is measured by: some of what is learned, and of what is not."""

    passages: list[Passage]
    rows: int
    seen: list[Passage]
    unseen: list[Passage]


def text_of(session: Session, paths: Sequence[Path], hold_back: float, length: int) -> Text:
    """Read files; the last share `hold_back` of each document is not learned. Raises InputError for no text."""
    tokenizer, seed = session.base.tokenizer, session.order.recipe.seed
    size = min(length, session.context)
    pairs = [_cut(text, hold_back) for text in documents(paths)]
    seen = [chain for head, _ in pairs for chain in chains(head, tokenizer, size)]
    unseen = [chain for _, tail in pairs for chain in chains(tail, tokenizer, size)]
    if not seen:
        raise InputError("E-TRAIN-TEXT", files=", ".join(map(str, paths)))
    rows = questions_of([head for head, _ in pairs], seed)
    return Text([*seen, *lessons(rows, tokenizer, session.context)], len(rows), _some(seen), _some(unseen))


def questions_of(texts: Sequence[str], seed: int) -> list[SpanRow]:
    """Make rows of texts that nobody has labelled."""
    paragraphs = (each for n, text in enumerate(texts) for each in paragraphs_of(text, None, n))
    return [
        SpanRow(row["id"], row["context"], row["question"], tuple((a["text"], a["start"]) for a in row["answers"]))
        for row in rows_of(paragraphs, Made(), seed=seed)
    ]


def measure(session: Session, text: Text) -> dict[str, float]:
    """Give the bits a byte of the text as the model is now, and of what it does not learn."""
    found = {}
    for name, passages in (("seen", text.seen), ("unseen", text.unseen)):
        if passages:
            exam = TextExam(passages, session.base.tokenizer, session.order.recipe)
            found[name] = exam(session.student)["bits_per_byte"]
    return found


def fit(session: Session, text: Text, watch: Watch) -> Loop | None:
    """Train on a text and write the adapter; None where it was stopped."""
    tokens = sum(len(passage.tokens) for passage in text.passages if not passage.questions)
    content = [[each.tokens, [question.tokens for question in each.questions]] for each in text.passages]
    data = {"tokens": tokens, "rows": text.rows, "data": digest_of_data(content)}
    return session.train(text.passages, None, data, watch)


def _cut(text: str, share: float) -> tuple[str, str]:
    """Part a text in its beginning and its last share, at a space or a line's end where one is near."""
    place = round(len(text) * (1 - share))
    near = max(text.rfind("\n", 0, place), text.rfind(" ", 0, place))
    place = near + 1 if place < len(text) and near > place - 200 else place
    return text[:place], text[place:]


def _some(passages: Sequence[Passage]) -> list[Passage]:
    every = -(-len(passages) // _MOST) or 1
    return list(passages[::every])

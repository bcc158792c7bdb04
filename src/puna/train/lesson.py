"""What is learned from rows, and what is held back to see how well."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch

from puna.evaluate.metrics import exact_match_and_f1
from puna.tokens.tokenizer import Tokenizer
from puna.train.loop import summary
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.rows import SpanRow
from puna.train.student import Student
from puna.train.trees import Passage, Tree, grow, parts, passages

_TREE = 2048  # tokens of a tree at most, where it has more than one question
SHARE, MOST = 0.02, 300  # of the questions that are held back


class _HasContext(Protocol):
    @property
    def context(self) -> str: ...


_Row = TypeVar("_Row", bound=_HasContext)


def hold_back(
    rows: Sequence[_Row], seed: int, share: float = SHARE, most: int = MOST
) -> tuple[list[_Row], list[_Row]]:
    """Part rows in those to learn from and those held back, all questions about one text on the same side.

    Texts are held back until their questions are enough. Which come first follows from the seed and each text alone, so
    that more rows move few.
    """
    wanted = min(most, int(share * len(rows)))
    texts: dict[str, int] = {}
    for row in rows:
        texts[row.context] = texts.get(row.context, 0) + 1
    held, count = set[str](), 0
    for text in sorted(texts, key=lambda text: hashlib.sha256(f"{seed} {text}".encode()).digest()):
        if count >= wanted or len(held) == len(texts) - 1:
            break
        held.add(text)
        count += texts[text]
    return [row for row in rows if row.context not in held], [row for row in rows if row.context in held]


def lessons(
    rows: Iterable[SpanRow], tokenizer: Tokenizer, context: int, report: Callable[[int], None] | None = None
) -> Iterator[Passage]:
    """Give the passages of rows, those with very many questions in parts; `report` gets the questions so far."""
    done = 0
    for passage in passages(rows, tokenizer, context):
        yield from _narrow(passage)
        done += len(passage.questions)
        if report:
            report(done)


def _narrow(passage: Passage) -> Iterator[Passage]:
    if not passage.questions:
        return
    found = replace(passage, questions=[])
    for question in passage.questions:
        more = replace(passage, questions=[*found.questions, question])
        if found.questions and len(more) > _TREE:
            yield found
            more = replace(passage, questions=[question])
        found = more
    yield found


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question held back, and what may be answered."""

    question: str
    answers: tuple[str, ...]


class SpanExam:
    """Questions held back: the losses, and EM and F1 of the pointer's best span, as fractions.

    Where a text has several windows, the best is that of the window which is surest of it. "Not in the text" is predicted
    where every window thinks it more probable than any one span, in sets that have unanswerable questions.
    """

    def __init__(
        self, rows: Sequence[SpanRow], tokenizer: Tokenizer, context: int, recipe: Recipe, ranks: Ranks
    ) -> None:
        numbered = [replace(row, id=str(number)) for number, row in enumerate(rows)]
        self._asked = [_Asked(row.question, tuple(text for text, _ in row.answers)) for row in rows]
        self._refusing = any(not asked.answers for asked in self._asked)
        self._tokenizer, self._recipe, self._ranks = tokenizer, recipe, ranks
        self.passages = list(lessons(numbered, tokenizer, context))

    @torch.no_grad()
    def __call__(self, student: Student) -> dict[str, float]:
        """Ask."""
        trees = [grow(passage) for passage in self.passages]
        best: dict[int, tuple[float, float, str]] = {}
        sums = dict.fromkeys(self._recipe.weights, 0.0)
        for cut in parts([len(tree.tokens) for tree in trees], self._recipe.tokens):
            share = [trees[index] for index in cut]
            found = student(share, spans=True)
            for name in sums:
                sums[name] += float(found[name])
            self._note(best, share, found["spans"].tolist())
        student.network.changed()
        scores = [self._score(number, *best[number]) for number in best]
        em, f1 = (sum(values) / len(scores) for values in zip(*scores, strict=True))
        return {**summary(sums, trees, self._recipe), "em": em, "f1": f1, "questions": len(scores)}

    def _note(
        self, best: dict[int, tuple[float, float, str]], trees: Sequence[Tree], spans: list[list[float]]
    ) -> None:
        rows = iter(spans)
        for tree in trees:
            for question in tree.passage.questions:
                first, last, span, nowhere = next(rows)
                number = int(question.id)
                known = best.get(number)
                if known is None or span - nowhere > known[0] - known[1]:
                    tokens = tree.passage.tokens[int(first) : int(last) + 1]
                    best[number] = (span, nowhere, self._tokenizer.decode(tokens).strip())

    def _score(self, number: int, span: float, nowhere: float, text: str) -> tuple[float, float]:
        asked = self._asked[number]
        return exact_match_and_f1(asked.question, "" if self._refusing and nowhere > span else text, asked.answers)

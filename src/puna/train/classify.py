"""Training for labels: from labelled texts to an adapter that gives them.

What is made small is the surprise at the right label among all labels: minus log-softmax over the exact log-probabilities
of their token sequences, which is what `puna.tasks.classify` ranks them by. (The plain surprise at the label's text would
spend the adapter on making labels probable as against all other text, of which nothing is asked here.)
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from puna.answer.windows import windows_of
from puna.errors import InputError
from puna.evaluate.texts import LabelRow, read_labelled
from puna.tasks.label_prompt import WORDINGS, LabelPrompts, label_prompts, language_of
from puna.tasks.labels import Label, labels_of
from puna.tasks.sentiment import NAMES, asked_in
from puna.tokens.tokenizer import Tokenizer
from puna.train.lesson import hold_back
from puna.train.loop import Loop, Watch, summary
from puna.train.recipe import Recipe
from puna.train.session import Session, digest_of_data
from puna.train.student import Student
from puna.train.trees import Passage, Question, grow, parts

_TEXTS = 8  # of a passage, which share one reading of the labels
_RIVALS = 127  # wrong labels that a text learns to tell from the right one; others are drawn where there are more


@dataclass(frozen=True)
class Material:
    """Labels, rows to learn from, rows held back, and what is wrong with those that are of no use.

    `sentiment`: labels are asked for as `puna.tasks.sentiment` does.
    """

    labels: tuple[Label, ...]
    rows: list[LabelRow]
    held: list[LabelRow]
    wrong: list[InputError]
    sentiment: bool = False

    @property
    def digest(self) -> str:
        """Sha256 of labels and rows."""
        labels = [[label.name, label.description] for label in self.labels]
        asked = [["sentiment"]] if self.sentiment else []
        return digest_of_data([*asked, *labels, *([row.text, row.label] for row in (*self.rows, *self.held))])


def material(
    paths: Sequence[Path],
    valid: Path | None,
    labels: Sequence[Label],
    *,
    strict: bool,
    seed: int,
    sentiment: bool = False,
) -> Material:
    """Read labelled rows; without a file of their own, hold some back. Without `labels`, all of the rows' are.

    `sentiment`: the labels are those of `puna.tasks.sentiment`.
    Raises InputError for files that cannot be read, where no row is of use, and for labels that `labels_of` refuses.
    """
    if sentiment:
        if labels:
            raise InputError("E-LABELS-SENTIMENT")
        labels = [Label(name) for name in NAMES]
    known = labels_of(labels) if labels else ()
    rows, wrong = read_labelled(paths, known, strict=strict)
    known = known or labels_of(dict.fromkeys(row.label for row in rows))
    if valid is None:
        return Material(known, *hold_back(rows, seed, key=lambda row: row.text), wrong, sentiment)
    held, others = read_labelled([valid], known, strict=strict)
    return Material(known, rows, held, wrong + others, sentiment)


def label_lessons(
    rows: Sequence[LabelRow],
    labels: Sequence[Label],
    tokenizer: Tokenizer,
    context: int,
    seed: int,
    report: Callable[[int], None] | None = None,
    *,
    sentiment: bool = False,
) -> Iterator[Passage]:
    """Give passages: the head of the prompt, which is read once, and some texts with all labels as their candidates.

    A text longer than a window gives a question for each, with the same label. A question's id is its row's number.
    `report` gets the rows so far. `sentiment`: with the sentences and the names of labels of `puna.tasks.sentiment`.
    Raises InputError where the model has no room for the labels.
    """
    order = list(enumerate(rows))
    random.Random(f"{seed} texts").shuffle(order)  # noqa: S311  no secret
    open_: dict[str, Passage] = {}
    prompts: dict[str, LabelPrompts] = {}
    named: dict[str, tuple[tuple[Label, ...], dict[str, str]]] = {}
    for done, (number, row) in enumerate(order, 1):
        language = language_of(row.text)
        if language not in prompts:
            wording, names = asked_in(language) if sentiment else (WORDINGS[language], {})
            known = labels_of(names.values()) if sentiment else tuple(labels)
            prompts[language] = label_prompts(tokenizer, context, known, wording=wording)
            named[language] = known, names
            open_[language] = Passage(prompts[language].head, 0, [])
        asked, passage, (known, names) = prompts[language], open_[language], named[language]
        right = names.get(row.label, row.label)
        for start, end in windows_of(row.text, tokenizer, asked.size):
            if part := row.text[start:end].strip():
                passage.questions.append(_question(number, right, part, asked, known, seed))
        if len(passage.questions) >= _TEXTS:
            yield passage
            open_[language] = Passage(asked.head, 0, [])
        if report:
            report(done)
    yield from (passage for passage in open_.values() if passage.questions)


def _question(
    number: int, right: str, text: str, asked: LabelPrompts, labels: Sequence[Label], seed: int
) -> Question:
    place = [label.name for label in labels].index(right)
    others = [n for n in range(len(labels)) if n != place]
    if len(others) > _RIVALS:
        others = random.Random(f"{seed} {number}").sample(others, _RIVALS)  # noqa: S311  no secret
    candidates = [[*asked.candidates[n], asked.end] for n in (place, *others)]
    return Question(str(number), asked.tail(text), candidates, 1, [])


class LabelExam:
    """Texts held back: the loss, and accuracy as a fraction.

    Where a text has several windows, each counts.
    """

    def __init__(self, passages: Sequence[Passage], recipe: Recipe) -> None:
        self._passages, self._recipe = passages, recipe

    @torch.no_grad()
    def __call__(self, student: Student) -> dict[str, float]:
        """Label them."""
        trees = [grow(passage) for passage in self._passages]
        sums = dict.fromkeys(self._recipe.weights, 0.0)
        right = 0
        for cut in parts([len(tree.tokens) for tree in trees], self._recipe.tokens):
            share = [trees[index] for index in cut]
            found = student(share, scores=True)
            for name in sums:
                sums[name] += float(found[name])
            sizes = [len(question.candidates) for tree in share for question in tree.passage.questions]
            right += sum(int(each.argmax()) == 0 for each in found["scores"].split(sizes))
        student.network.changed()
        count = sum(len(passage.questions) for passage in self._passages)
        return {**summary(sums, trees, self._recipe), "accuracy": right / count, "questions": count}


def train_labels(session: Session, found: Material, passages: Sequence[Passage], watch: Watch) -> Loop | None:
    """Train on rows, as `label_lessons` lays them out, and write the adapter; None where it was stopped."""
    recipe, tokenizer, context = session.order.recipe, session.base.tokenizer, session.context
    held = list(label_lessons(found.held, found.labels, tokenizer, context, recipe.seed, sentiment=found.sentiment))
    exam = LabelExam(held, recipe) if held else None
    names = [label.name for label in found.labels]
    data = {"rows": len(found.rows), "held": len(found.held), "labels": names, "data": found.digest}
    return session.train(passages, exam, data, watch)

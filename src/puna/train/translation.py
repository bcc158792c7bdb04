"""Training a translator: from pairs of texts to an adapter that translates both ways."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from puna.errors import InputError
from puna.evaluate.translation import PairRow, pair_row
from puna.tasks.translate_prompt import TranslationPrompts
from puna.tokens.tokenizer import Tokenizer
from puna.train.lesson import hold_back
from puna.train.loop import Loop, Watch, summary
from puna.train.recipe import Recipe
from puna.train.rows import Rejected, read_usable
from puna.train.session import Session, digest_of_data
from puna.train.student import Student
from puna.train.trees import Passage, Question, grow, parts


@dataclass(frozen=True)
class Pairs:
    """Rows to learn from, rows held back, and those that are of no use."""

    rows: list[PairRow]
    held: list[PairRow]
    wrong: list[Rejected]

    @property
    def digest(self) -> str:
        """Sha256 of all rows of use."""
        every = (*self.rows, *self.held)
        return digest_of_data([[row.source, row.targets[0], row.direction] for row in every])


def read_pairs(paths: Sequence[Path], valid: Path | None, *, strict: bool, seed: int) -> Pairs:
    """Read rows; without a file of those to hold back, hold some back, no text of which is learned.

    Raises InputError for files that cannot be read, and where no row is of use.
    """
    rows, wrong = read_usable(paths, pair_row, strict=strict)
    if not rows:
        raise InputError("E-TRAIN-USABLE", files=", ".join(map(str, paths)), count=len(wrong))
    if valid is not None:
        held, others = read_usable([valid], pair_row, strict=strict)
        return Pairs(rows, held, wrong + others)
    family = _families(rows)
    return Pairs(*hold_back(rows, seed, key=lambda row: family[row.source]), wrong)


def _families(rows: Sequence[PairRow]) -> dict[str, str]:
    """Give, for each text, the first of all those that pairs connect it with."""
    first = {text: text for row in rows for text in (row.source, row.targets[0])}

    def of(text: str) -> str:
        while first[text] != text:
            first[text] = first[first[text]]
            text = first[text]
        return text

    for row in rows:
        one, other = sorted((of(row.source), of(row.targets[0])))
        first[other] = one
    return {text: of(text) for text in first}


def pair_passages(
    rows: Sequence[PairRow], tokenizer: Tokenizer, context: int, wrong: list[Rejected]
) -> list[Passage]:
    """Lay out each row in both directions: the prompt, then the first target and its end, which are learned.

    Rows too long for the model go to `wrong`. Further references are not learned from.
    """
    found: list[Passage] = []
    for row in rows:
        both = list(_both_ways(row, tokenizer))
        longest = max(map(len, both))
        if longest > context:
            wrong.append(Rejected(row.place.error("E-TRANSLATE-ROW-LONG", tokens=longest, limit=context)))
        else:
            found += both
    return found


def _both_ways(row: PairRow, tokenizer: Tokenizer) -> Iterator[Passage]:
    prompts = TranslationPrompts(tokenizer, row.source_language, row.target_language, examples=False)
    for way, source, target in (
        (prompts, row.source, row.targets[0]),
        (prompts.back(), row.targets[0], row.source),
    ):
        tokens = [*way.prefix, *way.asked(source)]
        (answer,) = way.answers([target])
        # The last token of the prompt opens the branch on which the translation hangs.
        question = Question(row.place.identity(), tokens[-1:], [[*answer, way.end]], 1, [])
        yield Passage(tokens[:-1], 0, [question])


@dataclass(frozen=True)
class TranslationExam:
    """Pairs held back: nats a sentence, and nats a token, the ends included."""

    passages: Sequence[Passage]
    recipe: Recipe

    @torch.no_grad()
    def __call__(self, student: Student) -> dict[str, float]:
        """Measure."""
        trees = [grow(passage) for passage in self.passages]
        total = 0.0
        for cut in parts([len(tree.tokens) for tree in trees], self.recipe.tokens):
            total += float(student([trees[index] for index in cut])["answer"])
        student.network.changed()
        sums = {**dict.fromkeys(self.recipe.weights, 0.0), "answer": total}
        tokens = sum(len(tree.wanted) for tree in trees)
        return {**summary(sums, trees, self.recipe), "nats_per_token": total / tokens, "sentences": len(trees)}


def train_translation(
    session: Session, found: Pairs, passages: Sequence[Passage], held: Sequence[Passage], watch: Watch
) -> Loop | None:
    """Train on pairs, as `pair_passages` lays them out, and write the result; None where it was stopped."""
    exam = TranslationExam(held, session.order.recipe) if held else None
    data = {"rows": len(found.rows), "held": len(found.held), "data": found.digest}
    return session.train(passages, exam, data, watch)

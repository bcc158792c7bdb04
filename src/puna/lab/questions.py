"""Rows of question answering, parted by article: to learn from, to stop by, and held back as `train/prepare.py` does."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from puna.evaluate.rows import QuestionRow, placed_answers, question_row, read_rows, sample
from puna.lab.study import Setting
from puna.tasks.rows import Fields

LANGUAGES = ("en", "zh")
_SQUAD_BACK = 5 / 24  # of the articles of SQuAD's development half: those that Puna's own reader never saw
_VALID = 0.05  # of the articles to learn from
_FILES = {
    "en": ("squad11/train_sample.jsonl.gz", "squad11/dev_a.jsonl.gz"),
    "zh": ("cmrc2018/train.jsonl.gz", "cmrc2018/dev_a.jsonl.gz", "cmrc2018/trial.jsonl.gz"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A row, the article that it is about ("" where that is not said), and where its answers stand (text, start)."""

    title: str
    row: QuestionRow
    places: tuple[tuple[str, int], ...]

    @property
    def article(self) -> str:
        """What no two parts share: the article, or where that is not said the text."""
        return self.title or self.row.context


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows to learn from, rows to stop by, rows held back."""

    train: list[Question]
    valid: list[Question]
    held: list[Question]


def files(languages: Iterable[str] = LANGUAGES) -> list[str]:
    """Name the files that `parts` reads."""
    return [name for language in languages for name in _FILES[language]]


def parts(setting: Setting, language: str, rows: int | None, held: int | None) -> Parts:
    """Read a language's rows; of those to learn from and those held back at most so many, drawn at random.

    The parts share no article. Raises InputError where a file is not there or not right.
    """
    first, half, *others = ([*read_rows(setting.file(name), _question)] for name in _FILES[language])
    if language == "en":
        back = drawn([each.title for each in half], _SQUAD_BACK)
        learned = first + [each for each in half if each.title not in back]
        kept = [each for each in half if each.title in back]
    else:
        known = {each.row.context for each in [*half, *(one for other in others for one in other)]}
        learned, kept = [each for each in first if each.row.context not in known], half
    learned = [each for each in sample(learned, rows) if each.places]
    valid = drawn([each.article for each in learned], _VALID)
    return Parts(
        [each for each in learned if each.article not in valid],
        [each for each in learned if each.article in valid],
        sample(kept, held),
    )


def drawn(names: Sequence[str], share: float) -> set[str]:
    """Draw a share of the different names, at least one, by their sha256: the same ones on every machine."""
    every = sorted(set(names), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return set(every[: max(1, round(share * len(every)))])


def _question(row: Fields) -> Question:
    title = row.text("title", blank=True) if "title" in row else ""
    return Question(title, question_row(row), tuple(placed_answers(row, row.text("context"))))

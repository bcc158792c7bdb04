"""Rows with labels: questions about texts, and which of a file's rows are taken."""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from puna.errors import InputError
from puna.tasks.rows import Fields, objects, opened

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """A question about a context. `answers` are the accepted ones, none of them where it is `unanswerable`."""

    id: str
    context: str
    question: str
    answers: tuple[str, ...]
    unanswerable: bool


def question_row(row: Fields) -> QuestionRow:
    """Parse `{id?, context, question, answers: [{text, start?}], unanswerable?}` for `read_rows`.

    `start` counts code points of the context; where it is given and not negative, the answer must stand there.
    `unanswerable` and an empty list of answers must go together.
    """
    context = row.text("context")
    answers = tuple(text for text, _ in placed_answers(row, context))
    return QuestionRow(row.identity(), context, row.text("question"), answers, not answers)


def placed_answers(row: Fields, context: str) -> list[tuple[str, int]]:
    """Give a row's answers and where each stands in the context, -1 where that is not said; checked as above."""
    answers = []
    for answer in row.objects("answers"):
        text = answer.text("text")
        start = answer.integer("start") if "start" in answer else -1
        if start >= 0 and not context.startswith(text, start):
            raise row.error("E-ROWS-START", answer=text, start=start)
        answers.append((text, start))
    if "unanswerable" in row and row.flag("unanswerable") != (not answers):
        raise row.error("E-ROWS-UNANSWERABLE")
    return answers


def read_rows(path: Path, parse: Callable[[Fields], _Row]) -> list[_Row]:
    """Read a UTF-8 file of one JSON object a line; blank lines are skipped, gzip is known by its first bytes.

    Raises InputError for a file that cannot be read or holds no rows, and for the first line that does not fit.
    """
    with opened(path) as (lines, _):
        rows = [parse(row) for row in objects(path, lines)]
    if not rows:
        raise InputError("E-ROWS-NONE", path=path)
    return rows


def data_file(name: str) -> Path:
    """Give a file of the data sets' folder, PUNA_DATA: "sst2/dev" stands for sst2/dev.jsonl.gz.

    Raises InputError where no folder is named; whether the file is there, reading tells.
    """
    folder = os.environ.get("PUNA_DATA")
    if not folder:
        raise InputError("E-DATA-FOLDER", name=f"{name}.jsonl.gz")
    return Path(folder) / f"{name}.jsonl.gz"


def sample(rows: Sequence[_Row], limit: int | None, seed: int = 0) -> list[_Row]:
    """Give `limit` random rows in the order of the file, all of them for None or where there are no more.

    With the same seed, the rows of a smaller limit are among those of a larger one.
    """
    draw = random.Random(seed).random  # noqa: S311  no secret; the sequence of random() never changes
    keys = [draw() for _ in rows]
    chosen = sorted(range(len(rows)), key=keys.__getitem__)[:limit]
    return [rows[index] for index in sorted(chosen)]

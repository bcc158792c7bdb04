"""Labelled rows to learn from: a question, a text, and where in it the answers stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from puna.errors import InputError
from puna.evaluate.rows import placed_answers, read_rows
from puna.tasks.rows import Fields

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A question about a context and its answers (text, start in code points); none where the context holds none.

    `wrong`: texts that are no answers though they may look like some.
    """

    id: str
    context: str
    question: str
    answers: tuple[tuple[str, int], ...]
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that cannot be learned from, and why."""

    error: InputError


def read_spans(paths: Sequence[Path], *, strict: bool = False) -> tuple[list[SpanRow], list[Rejected]]:
    """Read the rows of `puna eval qa`'s form that are right, and those that are not, as `read_usable` does.

    An answer without a start, or with -1, is taken where it stands first.
    """
    return read_usable(paths, _span_row, strict=strict)


def read_usable(
    paths: Sequence[Path], parse: Callable[[Fields], _Row], *, strict: bool = False
) -> tuple[list[_Row], list[Rejected]]:
    """Read the rows that `parse` takes, and those that it does not.

    Raises InputError for a file that cannot be read or holds no rows, and with `strict` for the first row that is not
    right.
    """
    right: list[_Row] = []
    wrong: list[Rejected] = []

    def usable(fields: Fields) -> _Row | Rejected:
        try:
            return parse(fields)
        except InputError as error:
            if strict:
                raise
            return Rejected(error)

    for path in paths:
        for row in read_rows(path, usable):
            if isinstance(row, Rejected):
                wrong.append(row)
            else:
                right.append(row)
    return right, wrong


def _span_row(row: Fields) -> SpanRow:
    context = row.text("context")
    answers = []
    for text, start in placed_answers(row, context):
        if start < 0 and (start := context.find(text)) < 0:
            raise row.error("E-ROWS-START", answer=text, start=start)
        answers.append((text, start))
    wrong = row.texts("wrong") if "wrong" in row else ()
    return SpanRow(row.identity(), context, row.text("question"), tuple(dict.fromkeys(answers)), wrong)

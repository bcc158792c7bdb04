"""Training a reader: from labelled rows to an adapter that answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from puna.errors import InputError
from puna.train.lesson import SpanExam, hold_back
from puna.train.loop import Loop, Watch
from puna.train.rows import Rejected, SpanRow, read_spans
from puna.train.session import Session, digest_of_data
from puna.train.trees import Passage


@dataclass(frozen=True)
class Material:
    """Rows to learn from, rows held back, and those that are of no use."""

    rows: list[SpanRow]
    held: list[SpanRow]
    wrong: list[Rejected]

    @property
    def digest(self) -> str:
        """Sha256 of all rows of use."""
        return digest_of_data([list(asdict(row).values()) for row in (*self.rows, *self.held)])


def material(paths: Sequence[Path], valid: Path | None, *, strict: bool, among: bool, seed: int) -> Material:
    """Read labelled rows, their wrong answers only if they are to be learned `among`; without a file, hold some back.

    Raises InputError for files that cannot be read, and where no row is of use.
    """
    rows, wrong = read_spans(paths, strict=strict)
    if not among:
        rows = [replace(row, wrong=()) for row in rows]
    if not rows:
        raise InputError("E-TRAIN-USABLE", files=", ".join(map(str, paths)), count=len(wrong))
    if valid is None:
        return Material(*hold_back(rows, seed, key=lambda row: row.context), wrong)
    held, others = read_spans([valid], strict=strict)
    return Material(rows, held, wrong + others)


def train_reader(session: Session, found: Material, passages: Sequence[Passage], watch: Watch) -> Loop | None:
    """Train a reader on rows, as `lessons` lays them out, and write it; None where it was stopped."""
    recipe, ranks = session.order.recipe, session.ranks
    exam = SpanExam(found.held, session.base.tokenizer, session.context, recipe, ranks) if found.held else None
    data = {"rows": len(found.rows), "held": len(found.held), "data": found.digest}
    return session.train(passages, exam, data, watch)

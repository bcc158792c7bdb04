"""Rows to learn from, made of plain text: questions whose answers the text itself gives away.

Recurring spans follow Splinter (Ram et al. 2021): the sentence of one occurrence leaves the passage and becomes the
question, the others stay as answers. Clozes ask for a name, a number or a date of a sentence that stays. All
questions of a passage are about one context, which a reader that reads before it is asked needs to read only once.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from puna.train.rows_passages import passages
from puna.train.rows_sheet import Sheet
from puna.train.rows_text import Paragraph, read_paragraphs

KINDS = ("recurring", "cloze", "wh", "unanswerable")
_REMEMBERED = 12  # questions of a document kept for its other passages


@dataclass(slots=True)
class Made:
    """What came of the files so far. A passage that was met before, word for word, is no second one."""

    passages: int = 0
    repeated: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Count rows."""
        return self.kinds.total()


def make_rows(
    files: Iterable[Path],
    made: Made,
    *,
    per_passage: int = 4,
    unanswerable: float = 0.1,
    seed: int = 0,
    report: Callable[[int], None] = lambda size: None,
) -> Iterator[dict[str, Any]]:
    """Give rows as `puna.evaluate.rows.question_row` reads them, with `kind`, and count them in `made`.

    Files are read as rows are asked for; of what was read, eight bytes a passage stay. `report` gets the bytes of the
    files that were read. Raises InputError for a file that cannot be read.
    """
    return rows_of(_every(files, report), made, per_passage=per_passage, unanswerable=unanswerable, seed=seed)


def rows_of(
    paragraphs: Iterable[Paragraph], made: Made, *, per_passage: int = 4, unanswerable: float = 0.1, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """As `make_rows`, of paragraphs that were read before."""
    met: set[bytes] = set()
    others: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)  # question and answer of this document
    document = -1
    for passage in passages(paragraphs, seed):
        digest = blake2b(passage.text.encode(), digest_size=8).digest()
        if digest in met:
            made.repeated += 1
            continue
        met.add(digest)
        made.passages += 1
        if passage.document != document:
            document = passage.document
            others.clear()
        draw = random.Random(f"{seed} {digest.hex()}")  # noqa: S311  no secret
        rows = Sheet(passage, draw).rows(per_passage, unanswerable, list(others))
        others.extend((row["question"], row["answers"][0]["text"]) for row in rows if row["answers"])
        for n, row in enumerate(rows):
            made.kinds[row["kind"]] += 1
            yield {"id": f"{digest.hex()}-{n}", **row}


def _every(files: Iterable[Path], report: Callable[[int], None]) -> Iterator[Paragraph]:
    """Read one file after the other; documents are numbered through all."""
    document, before = 0, 0
    for path in files:
        last = document
        for paragraph in read_paragraphs(path, document, partial(_further, report, before)):
            last = paragraph.document
            yield paragraph
        document, before = last + 1, before + path.stat().st_size


def _further(report: Callable[[int], None], before: int, done: int) -> None:
    report(before + done)

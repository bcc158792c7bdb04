"""The rows of a file of questions: what each asks, and an order in which every text is read once."""

import hashlib
import json
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from puna.answer.types import Source
from puna.errors import InputError
from puna.tasks.rows import Fields, fields_of, numbered, opened
from puna.weights.write import told

_TEXTS = ("text", "context", "texts")


@dataclass(frozen=True, slots=True)
class ManyRow:
    """What a row asks. `sources` is empty where a library is asked; `candidates` is None where all spans are."""

    id: str
    question: str
    sources: tuple[Source, ...]
    candidates: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row to be asked: its line, that line's number, and a number that rows about the same texts have in common."""

    number: int
    raw: bytes
    key: int


def many_row(row: Fields, *, library: bool) -> ManyRow:
    """Parse `{id?, question, text | context | texts, candidates?}`; with a `library`, a row's own texts do not count.

    Raises InputError, which names file and line, for what does not fit.
    """
    question = row.text("question")
    candidates = row.texts("candidates") if "candidates" in row else None
    return ManyRow(row.identity(), question, () if library else _sources(row), candidates)


class ManyRows:
    """The rows of a file, plain or gzipped, as they were when this was made: a copy lies in an unnamed file in `folder`.

    About 30 bytes of memory go with each row, whatever its length. `digest` is that of all rows and where they stand.
    With a `library` the order is the file's own; else rows about the same texts follow one another.
    Raises InputError for a file that cannot be read or has no rows, and for a folder that cannot be written.
    """

    def __init__(self, path: Path, folder: Path, *, library: bool = False) -> None:
        self.path, self.library = path, library
        digest = hashlib.sha256()
        numbers, ends, keys = array("q"), array("q"), array("Q")
        with told(folder):
            self._copy = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it lives as long as the rows
        with opened(path) as (lines, _):
            for number, raw in numbered(lines):
                line = raw.rstrip(b"\r\n")
                digest.update(b"%d:%d:" % (number, len(line)) + line)
                with told(folder):
                    self._copy.write(line)
                numbers.append(number)
                ends.append((ends[-1] if ends else 0) + len(line))
                keys.append(len(keys) if library else _key(path, number, line))
        if not numbers:
            raise InputError("E-ROWS-NONE", path=path)
        with told(folder):
            self._copy.flush()
        self.digest = digest.hexdigest()
        self.numbers: NDArray[np.int64] = np.array(numbers)
        self._ends, self._keys = np.array(ends), np.array(keys)

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, number: int) -> int | None:
        """Give the place, from 0 on, of the row that stands in a line; None where none does."""
        place = int(np.searchsorted(self.numbers, number))
        return place if place < len(self.numbers) and self.numbers[place] == number else None

    def waiting(self, done: NDArray[np.bool_]) -> Iterator[Waiting]:
        """Give the rows that are not done, by place, when their turn comes; those of one text one after another."""
        _, first, group = np.unique(self._keys, return_index=True, return_inverse=True)
        for place in map(int, np.argsort(first[group], kind="stable")):
            if not done[place]:
                yield Waiting(int(self.numbers[place]), self._line(place), int(self._keys[place]))

    def _line(self, place: int) -> bytes:
        start = int(self._ends[place - 1]) if place else 0
        self._copy.seek(start)
        return self._copy.read(int(self._ends[place]) - start)


def _sources(row: Fields) -> tuple[Source, ...]:
    given = [name for name in _TEXTS if name in row]
    if not given:
        raise row.error("E-MANY-NO-TEXT")
    if len(given) > 1:
        raise row.error("E-MANY-TEXTS", first=given[0], second=given[1])
    if given == ["texts"]:
        return tuple(Source(f"text {n}", text) for n, text in enumerate(row.texts("texts"), 1))
    return (Source("text", row.text(given[0])),)


def _key(path: Path, number: int, line: bytes) -> int:
    """64 bits that stand for a row's texts; rows that are none have 0."""
    try:
        sources = _sources(fields_of(path, number, line))
    except InputError:
        return 0
    texts = json.dumps([source.text for source in sources])
    return int.from_bytes(hashlib.blake2b(texts.encode(), digest_size=8).digest())

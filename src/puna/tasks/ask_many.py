"""Many questions, asked whatever happens: each row of a file comes out once, in the file's order."""

import json
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from puna.tasks.ask_row import Asker
from puna.tasks.many_rows import ManyRows, Waiting
from puna.tasks.part_file import PartFile
from puna.weights.write import writing


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of all rows. `errors`: how often each code, most frequent first."""

    rows: int
    failed: int
    errors: dict[str, int]


class Run:
    """Rows of which some are done; what comes of each is kept at once, in whatever order that is.

    `asked` says all else that decides what the answers are. A run with the same rows and `asked` takes up where the one
    before ended; what stands beside the output for others is refused. Raises InputError for that, and where nothing can
    be written.
    """

    def __init__(self, rows: ManyRows, output: Path, asked: str) -> None:
        self.rows, self.output = rows, output
        self._part = PartFile(output, json.dumps([rows.digest, asked]), keep_others=True)
        self._done = np.zeros(len(rows), bool)
        for place, _, _ in self._kept():
            self._done[place] = True
        self.done = int(self._done.sum())

    def waiting(self) -> Iterator[Waiting]:
        """Give the rows that are not done, those about one text one after another."""
        return self.rows.waiting(self._done)

    def add(self, number: int, line: bytes) -> None:
        """Keep what came of the row in a line; what comes of it a second time does not count."""
        place = self.rows.place(number)
        if place is not None and not self._done[place]:
            self._part.append(line)
            self._done[place] = True
            self.done += 1

    def finish(self) -> Summary:
        """Write the output in the order of the rows, whole or not at all, when all of them are done."""
        offsets = np.full(len(self.rows), -1, np.int64)
        errors: Counter[str] = Counter()
        for place, offset, code in self._kept():
            if offsets[place] < 0:
                offsets[place] = offset
                errors.update([code] if code else [])
        with writing(self.output) as write:
            for line in self._part.at(map(int, offsets)):
                write(line + b"\n")
        self._part.remove()
        return Summary(len(self.rows), errors.total(), dict(errors.most_common()))

    def _kept(self) -> Iterator[tuple[int, int, str]]:
        """Give, for each line kept, its row's place, its offset, and its error's code or ""."""

        def read(line: bytes, offset: int) -> tuple[int, int, str]:
            found = json.loads(line)
            place = self.rows.place(found["row"])
            if place is None:
                raise ValueError(found["row"])
            return place, offset, found["error"]["code"] if "error" in found else ""

        return self._part.take(read)


def ask_here(run: Run, asker: Asker) -> Generator[int, None, None]:
    """Ask what waits, one row after another, and tell the number of each that is done."""
    for row in run.waiting():
        run.add(row.number, asker.ask(row.number, row.raw))
        yield row.number

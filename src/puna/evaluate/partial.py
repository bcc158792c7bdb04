"""Examples that were already observed, beside the file they will lead to, until that is written."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from errno import EISDIR
from os import strerror
from pathlib import Path

from puna.answer.mixture import Window
from puna.evaluate.fit import Example
from puna.evaluate.rows import QuestionRow
from puna.evaluate.write import told, write_whole


class Partial:
    """The first examples of these rows, for one model and settings; anything else in the file is written over.

    Raises InputError where the file cannot be written.
    """

    def __init__(self, output: Path, rows: Sequence[QuestionRow], model: str, normalise: str) -> None:
        with told(output):
            if output.is_dir():
                raise IsADirectoryError(EISDIR, strerror(EISDIR))
            self.path = output.with_name(output.name + ".part")
            before = self.path.read_bytes() if self.path.exists() else b""
        content = json.dumps([model, normalise, [list(asdict(row).values()) for row in rows]])
        head = json.dumps({"for": hashlib.sha256(content.encode()).hexdigest()}).encode()
        first, *lines = before.split(b"\n")
        self.examples = list(_examples(lines[:-1])) if first == head else []  # the last may be cut off
        write_whole(self.path, b"\n".join([head, *map(_line, self.examples), b""]))

    def add(self, example: Example | None) -> None:
        """Keep one more. Raises InputError where it cannot be written."""
        self.examples.append(example)
        with told(self.path), self.path.open("ab") as file:
            file.write(_line(example) + b"\n")

    def remove(self) -> None:
        """Forget them: the calibration is written."""
        self.path.unlink(missing_ok=True)


def _line(example: Example | None) -> bytes:
    if example is None:
        return b"null"
    windows = [asdict(window) for window in example.windows]
    found = {"windows": windows, "right": sorted(example.right), "unanswerable": example.unanswerable}
    return json.dumps(found).encode()


def _examples(lines: Sequence[bytes]) -> Iterator[Example | None]:
    """Read lines as far as they can be: each stands for the row in its place."""
    with suppress(ValueError, TypeError, KeyError):
        for line in lines:
            found = json.loads(line)
            if found is not None:
                windows = tuple(Window(**window) for window in found["windows"])
                found = Example(windows, frozenset(found["right"]), found["unanswerable"])
            yield found

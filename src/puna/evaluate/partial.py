"""What was observed of rows already, beside the calibration that it will lead to, until that is written."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from puna.answer.mixture import Window
from puna.evaluate.fit import Example
from puna.evaluate.rows import QuestionRow
from puna.tasks.part_file import Lines


class Partial(Lines[Example | None]):
    """The first examples of these rows, for one model and settings."""

    def __init__(self, output: Path, rows: Sequence[QuestionRow], model: str, normalise: str) -> None:
        content = json.dumps([model, normalise, [list(asdict(row).values()) for row in rows]])
        super().__init__(output, content, _line, _example)

    @property
    def examples(self) -> list[Example | None]:
        """What was observed of the first rows."""
        return self.found


def _line(example: Example | None) -> bytes:
    if example is None:
        return b"null"
    windows = [asdict(window) for window in example.windows]
    found = {"windows": windows, "right": sorted(example.right), "unanswerable": example.unanswerable}
    return json.dumps(found).encode()


def _example(line: bytes) -> Example | None:
    found = json.loads(line)
    if found is None:
        return None
    windows = tuple(Window(**window) for window in found["windows"])
    return Example(windows, frozenset(found["right"]), found["unanswerable"])

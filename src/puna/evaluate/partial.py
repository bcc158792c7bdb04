"""Examples that were already observed, beside the file they will lead to, until that is written."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from puna.answer.mixture import Window
from puna.errors import InputError
from puna.evaluate.fit import Example
from puna.evaluate.rows import QuestionRow


class Partial:
    """The first examples of these rows, for one model and settings; anything else in the file is written over.

    Raises InputError where the file cannot be written.
    """

    def __init__(self, output: Path, rows: Sequence[QuestionRow], model: str, normalise: str) -> None:
        self.path = output.with_name(output.name + ".part")
        content = json.dumps([model, normalise, [list(asdict(row).values()) for row in rows]])
        head = json.dumps({"for": hashlib.sha256(content.encode()).hexdigest()})
        self.examples: list[Example | None] = []
        try:
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
            if lines[:1] == [head]:
                self.examples = [_example(line) for line in lines[1:] if line.endswith("}") or line == "null"]
            kept = [head, *(_line(example) for example in self.examples)]
            self.path.write_text("".join(f"{line}\n" for line in kept), "utf-8")
        except OSError as error:
            raise InputError("E-OUTPUT-WRITE", path=self.path, reason=str(error.strerror).lower()) from None

    def add(self, example: Example | None) -> None:
        """Keep one more."""
        self.examples.append(example)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(example) + "\n")

    def remove(self) -> None:
        """Forget them: the calibration is written."""
        self.path.unlink()


def _line(example: Example | None) -> str:
    if example is None:
        return "null"
    windows = [asdict(window) for window in example.windows]
    return json.dumps({"windows": windows, "right": sorted(example.right), "unanswerable": example.unanswerable})


def _example(line: str) -> Example | None:
    found = json.loads(line)
    if found is None:
        return None
    windows = tuple(Window(**window) for window in found["windows"])
    return Example(windows, frozenset(found["right"]), found["unanswerable"])

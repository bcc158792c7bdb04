"""What was already done of many rows, beside the file it will lead to, until that is written."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from errno import EISDIR
from os import strerror
from pathlib import Path
from typing import Generic, TypeVar

from puna.answer.mixture import Window
from puna.evaluate.fit import Example
from puna.evaluate.rows import QuestionRow
from puna.weights.write import told, write_whole

_Item = TypeVar("_Item")


class Lines(Generic[_Item]):
    """A line for each row done, in the order of the rows; `content` says which rows, and what is done with them.

    Anything else that stands in the file is written over. Raises InputError where the file cannot be written.
    """

    def __init__(
        self, output: Path, content: str, encode: Callable[[_Item], bytes], decode: Callable[[bytes], _Item]
    ) -> None:
        with told(output):
            if output.is_dir():
                raise IsADirectoryError(EISDIR, strerror(EISDIR))
            self.path = output.with_name(output.name + ".part")
            before = self.path.read_bytes() if self.path.exists() else b""
        self._encode = encode
        head = json.dumps({"for": hashlib.sha256(content.encode()).hexdigest()}).encode()
        first, *lines = before.split(b"\n")
        self.found = list(_decoded(lines[:-1], decode)) if first == head else []  # the last may be cut off
        write_whole(self.path, b"\n".join([head, *map(encode, self.found), b""]))

    def add(self, item: _Item) -> None:
        """Keep one more. Raises InputError where it cannot be written."""
        self.found.append(item)
        with told(self.path), self.path.open("ab") as file:
            file.write(self._encode(item) + b"\n")

    def remove(self) -> None:
        """Forget them: what they lead to is written."""
        self.path.unlink(missing_ok=True)


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


def _decoded(lines: Sequence[bytes], decode: Callable[[bytes], _Item]) -> Iterator[_Item]:
    """Read lines as far as they can be: each stands for the row in its place."""
    with suppress(ValueError, TypeError, KeyError):
        for line in lines:
            yield decode(line)

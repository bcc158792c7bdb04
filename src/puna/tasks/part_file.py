"""Lines of work already done, kept beside the file that they will lead to, until that is written."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from errno import EISDIR
from os import strerror
from pathlib import Path
from typing import Generic, TypeVar

from puna.errors import InputError
from puna.weights.write import told

_Item = TypeVar("_Item")


class PartFile:
    """OUTPUT.part: a first line that says what the others are for, and lines, of which a kill cuts off the last at most.

    content: all that decides what the lines are: what is done, and with what. A file for anything else is begun anew, or,
    with `keep_others`, refused. Raises InputError where the file cannot be written, or is refused.
    """

    def __init__(self, output: Path, content: str, *, keep_others: bool = False) -> None:
        head = json.dumps({"for": hashlib.sha256(content.encode()).hexdigest()}).encode() + b"\n"
        with told(output):
            if output.is_dir():
                raise IsADirectoryError(EISDIR, strerror(EISDIR))
            self.path = output.with_name(output.name + ".part")
            with self.path.open("ab+") as file:
                file.seek(0)
                found = file.read(len(head))
                if found != head:
                    if keep_others and not head.startswith(found):
                        raise InputError("E-PART-OTHER", path=self.path, output=output)
                    file.truncate(0)
                    file.write(head)
        self._begin = len(head)

    def take(self, read: Callable[[bytes, int], _Item]) -> Iterator[_Item]:
        """Give what `read(line, offset)` makes of each line; the first that was cut off or makes it raise ends the file.

        Once this has come to its end, the file holds no more than what it gave.
        """
        with told(self.path), self.path.open("rb+") as file:
            end = file.seek(self._begin)
            for line in file:
                try:
                    if not line.endswith(b"\n"):
                        break
                    item = read(line[:-1], end)
                except (ValueError, TypeError, KeyError):
                    break
                yield item
                end += len(line)
            file.truncate(end)

    def at(self, offsets: Iterable[int]) -> Iterator[bytes]:
        """Give the lines that begin at these offsets."""
        with told(self.path), self.path.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                yield file.readline()[:-1]

    def append(self, line: bytes) -> None:
        """Add a line. Raises InputError where it cannot be written."""
        with told(self.path), self.path.open("ab") as file:
            file.write(line + b"\n")

    def remove(self) -> None:
        """Forget them: what they lead to is written. Raises InputError where the file cannot be removed."""
        with told(self.path):
            self.path.unlink(missing_ok=True)


class Lines(PartFile, Generic[_Item]):
    """A line for each row done, in the order of the rows; anything else that stands in the file is written over."""

    def __init__(
        self, output: Path, content: str, encode: Callable[[_Item], bytes], decode: Callable[[bytes], _Item]
    ) -> None:
        super().__init__(output, content)
        self._encode = encode
        self.found = list(self.take(lambda line, _: decode(line)))

    def add(self, item: _Item) -> None:
        """Keep one more. Raises InputError where it cannot be written."""
        self.found.append(item)
        self.append(self._encode(item))

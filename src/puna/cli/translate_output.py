"""The file that `puna translate -o` writes, and goes on writing."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from puna.errors import InputError
from puna.evaluate.records import keep_record, kept_records
from puna.tasks.rows import Fields

if TYPE_CHECKING:
    from puna.tasks.translate import Translation, Wanted

_BEGINNING = b'{"line": "'


class Kept:
    """Translations in a file, in the order of the lines. Raises InputError for a file in which anything else stands."""

    def __init__(self, path: Path, how: "tuple[str, str | None, Wanted]") -> None:
        self._path = path
        target, source, wanted = how
        self._how = [target, source, asdict(wanted)]
        self._before = kept_records(path, _BEGINNING, _mark)
        self._seen = 0
        self.done = len(self._before)

    def rest(self, lines: Iterable[str], model: str) -> Iterator[str]:
        """Give the lines that are not in the file; raise InputError where it holds others, or those of another model."""
        for line in lines:
            if self._seen < len(self._before):
                mark, found = self._before[self._seen]
                if mark != self._digest(line):
                    raise InputError("E-OUTPUT-ROWS", path=self._path, count=len(self._before) - self._seen)
                if found != model:
                    raise InputError("E-OUTPUT-MODEL", path=self._path, found=found, model=model)
                self._seen += 1
            else:
                yield line

    def add(self, found: "Translation") -> None:
        """Write a translation behind the others."""
        keep_record(self._path, {"line": self._digest(found.source), **found.to_dict()})
        self.done += 1

    def check_end(self) -> None:
        """Raise InputError where the file holds more than there were lines."""
        if self._seen < len(self._before):
            raise InputError("E-OUTPUT-ROWS", path=self._path, count=len(self._before) - self._seen)

    def _digest(self, line: str) -> str:
        return hashlib.sha256(json.dumps([line, *self._how]).encode()).hexdigest()[:16]


def _mark(record: Fields) -> tuple[str, str]:
    return record.text("line"), record.text("model")

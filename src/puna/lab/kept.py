"""Finished pieces of studies, one a line of a file to which lines are only added."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puna.lab.study import Done
from puna.weights.write import told, write_whole


class Kept:
    """The pieces in NAME.pieces.jsonl, found by a digest of all that decides them.

    A line that was cut off or is none of ours does not count: its piece is done again. Raises InputError where the file
    cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with told(path):
            raw = path.read_bytes() if path.exists() else b""
        *lines, rest = raw.split(b"\n")
        if rest:  # what is added next begins a line of its own
            write_whole(path, b"".join(line + b"\n" for line in lines))
        self._found = dict(filter(None, map(_read, lines)))

    def get(self, digest: str) -> Done | None:
        """Give a piece that was done before."""
        return self._found.get(digest)

    def add(self, digest: str, done: Done) -> Done:
        """Keep a piece, on the disk when this returns, and give it as it would be read again."""
        line = json.dumps(
            {"digest": digest, "piece": dict(done.piece), "found": done.found, "seconds": round(done.seconds, 3)},
            ensure_ascii=False,
            allow_nan=False,
        ).encode()
        with told(self.path), self.path.open("ab", buffering=0) as file:
            file.write(line + b"\n")
            os.fsync(file.fileno())
        self._found.update(filter(None, [_read(line)]))
        return self._found[digest]


def digest_of(what: Mapping[str, Any]) -> str:
    """Give the sha256 of plain values, whatever the order of keys."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _read(line: bytes) -> tuple[str, Done] | None:
    try:
        found = json.loads(line)
        return str(found["digest"]), Done(dict(found["piece"]), dict(found["found"]), float(found["seconds"]))
    except (ValueError, TypeError, KeyError):
        return None

"""Reading a tokenizer's files within bounds: whoever made them, they take no more memory than the largest in use."""

import json
import os
from pathlib import Path
from typing import Any

from puna.errors import ModelFileError, shown
from puna.tokens.refuse import damaged

LARGEST = 1 << 26
"""Bytes of a tokenizer's file; a tekken.json, among the largest in use, has a third of that."""
_VALUES = 1 << 22  # commas in JSON, one between any two values; tekken.json and Llama 3's have 0.4 million


def check_inside(path: Path) -> None:
    """Raise ModelFileError for a link that leads out of its folder: a stranger's folder reads no file of yours.

    A Hugging Face cache is one folder: its `snapshots/REVISION/NAME` link to `blobs/DIGEST` beside `snapshots`.
    """
    home, target = (Path(os.path.realpath(each)) for each in (path.parent, path))
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    if target.parent not in (home, blobs):
        raise ModelFileError("E-FOLDER-OUTSIDE", path=shown(str(path.parent), 400), name=shown(path.name))


def read_bounded(path: Path) -> bytes:
    """Give what is in a file. Raises FileNotFoundError, or ModelFileError if it is too large, outside, or no file."""
    check_inside(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise damaged(f"{path.name} is no file")
        if size > LARGEST:
            raise ModelFileError("E-TOKENIZER-SIZE", name=path.name, size=size, limit=LARGEST)
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(f"{path.name}: {error.strerror}") from None


def parse_json(content: bytes) -> Any:
    """Read JSON. Raises ValueError or RecursionError if it is none, or has more values than any in use."""
    if content.count(b",") > _VALUES:
        raise ValueError(f"more than {_VALUES} values")
    return json.loads(content.decode("utf-8"))

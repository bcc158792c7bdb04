"""Which model a file is: the sha256 of its weights, remembered so that gigabytes are not hashed each time."""

import contextlib
import json
import re
import time
from pathlib import Path

from puna.errors import ModelFileError
from puna.weights.digest import digest_of, hash_file
from puna.weights.kept_folder import KeptFolder
from puna.weights.meta import PARAMS, SHARD
from puna.weights.refuse import refuse
from puna.weights.safetensors_header import read_json

_MEMORY = "models.json"
_SHA256 = re.compile("[0-9a-f]{64}")
_MOST = 100  # models that are remembered
_SETTLED = 3 * 10**9  # nanoseconds: some file systems know a change's time no better than to two seconds


def model_digest(model: Path, folder: KeptFolder) -> tuple[str, str | None]:
    """Give the sha256 of a model's weights and configuration, and the one before where the model has changed.

    It is remembered in the folder, by place, sizes, times and inodes. Raises ModelFileError where it cannot be read.
    """
    files = _files(model)
    place, state = str(model.resolve()), [_state(path) for path in files]
    known = _remembered(folder)
    before = known.pop(place, None)
    if before and before[0] == state:
        return before[1], None
    digest = digest_of({path.name: _hash(path) for path in files})
    newest = max(max(times) for _, *times, _ in state)
    if newest < time.time_ns() - _SETTLED and state == [_state(path) for path in files]:
        # Else a change in the same moment of the clock could pass unseen.
        known[place] = (state, digest)
        with contextlib.suppress(OSError), folder.writing(_MEMORY) as path:
            path.write_text(json.dumps(dict(list(known.items())[-_MOST:])), "ascii")
    changed = before is not None and before[1] != digest
    elsewhere = any(other == before[1] for _, other in known.values()) if before else False
    return digest, before[1] if before and changed and not elsewhere else None


def _files(model: Path) -> list[Path]:
    """What a model's numbers depend on."""
    if SHARD.fullmatch(model.name) and not model.is_dir():
        model = model.parent
    if model.is_dir():
        if (model / "config.json").exists():
            return [model / "config.json", *sorted(model.glob("*.safetensors"))]
        return [model / PARAMS, *sorted(model.glob("consolidated.*.pth"))]
    return [model, model.with_name("config.json")] if model.suffix == ".safetensors" else [model]


State = list[int]  # of a file: size, times of change, inode


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except OSError as error:
        raise refuse("E-WEIGHTS-READ", path, reason=error.strerror) from None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _hash(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise refuse("E-WEIGHTS-READ", path, reason=error.strerror) from None


def _remembered(folder: KeptFolder) -> dict[str, tuple[list[State], str]]:
    """Give what is remembered; nothing where it cannot be read."""
    try:
        found = read_json(folder.path / _MEMORY)
        every = {place: (list(state), str(digest)) for place, (state, digest) in found.items()}
        return {place: entry for place, entry in every.items() if _SHA256.fullmatch(entry[1])}
    except (ModelFileError, ValueError, TypeError):
        return {}

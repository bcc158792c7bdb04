"""A folder in Hugging Face's form: `config.json` and safetensors, whole or in shards.

Shards: `model.safetensors.index.json`, whose "weight_map" maps tensor names to file names. A file name is a plain
name of this folder: a model's text never becomes a path.
"""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from puna.weights.architectures import architecture_of
from puna.weights.layout import EMBEDDING, HEAD, Laid, check_ids, check_shapes, expected_shapes
from puna.weights.refuse import refuse
from puna.weights.safetensors_header import Entry, read_header, read_json

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth")
_INERT = re.compile(r"(.+\.)?rotary_emb\.inv_freq", re.ASCII)  # follows from the configuration
_PLAIN_NAME = re.compile(r"\w[\w.\-]{0,200}\.safetensors", re.ASCII)
_CHUNK_ROWS = 4096


class FolderCheckpoint(Laid):
    """A folder of safetensors and its `config.json`; see `puna.weights.checkpoint.Checkpoint`."""

    format = "safetensors"
    tokenizer_metadata: dict[str, object] | None = None

    def __init__(self, folder: Path, *, only: str | None = None) -> None:
        """Open and check the folder, or just its file `only`; raise `ModelFileError` for anything but a model."""
        self.path = folder / only if only else folder
        self._folder = folder
        self.config = _read_config(folder)
        shards = self._shards(only)
        self._entries: dict[str, Entry] = {}
        self._files: dict[str, Any] = {}  # tensor name -> the open safetensors handle
        self.size_bytes = 0
        for name, listed in shards.items():
            self._open(name, listed)
        self._shapes = expected_shapes(self.path, self.config, len(self._entries))
        self._check()

    def type_name(self, name: str) -> str:
        """Give the stored dtype, as "BF16"; raise `ModelFileError` if there is no such tensor."""
        self.shape(name)
        return self._entries[name].kind

    def tensor(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """Give a tensor in its own memory; raise `ModelFileError` if there is none or it cannot be read."""
        return self._load(name).to(dtype, copy=True)

    def rows(self, name: str) -> torch.Tensor:
        """Give a tensor as stored, uint8 [..., bytes a row]."""
        return self._load(name).view(torch.uint8)

    def _load(self, name: str) -> torch.Tensor:
        self.shape(name)
        try:
            tensor: torch.Tensor = self._files[name].get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise refuse("E-WEIGHTS-READ", self.path, reason=error) from None
        return tensor

    def _shards(self, only: str | None) -> dict[str, set[str] | None]:
        """Give file name -> the tensors that the index lists for it (None: no index, whatever it has)."""
        if only:
            return {only: None}
        if (self._folder / _INDEX).exists():
            return _read_index(self._folder / _INDEX)
        if (self._folder / _SINGLE).exists():
            return {_SINGLE: None}
        pickles = sorted(path for pattern in _PICKLES for path in self._folder.glob(pattern))
        if pickles:
            raise refuse("E-WEIGHTS-PICKLE", pickles[0])
        raise refuse("E-WEIGHTS-MISSING", self._folder / _SINGLE)

    def _open(self, name: str, listed: set[str] | None) -> None:
        path = self._folder / name
        entries = read_header(path)
        for wrong in sorted(entries.keys() ^ listed) if listed is not None else ():
            raise refuse("E-TENSOR-MISSING" if wrong in (listed or ()) else "E-TENSOR-UNEXPECTED", path, name=wrong)
        try:
            # Shapes and spans were checked above; the library checks again and maps the file.
            file = safe_open(path, framework="pt")
        except (OSError, SafetensorError) as error:
            raise refuse("E-WEIGHTS-READ", path, reason=error) from None
        self.size_bytes += path.stat().st_size
        self._entries |= entries
        self._files |= dict.fromkeys(entries, file)

    def _check(self) -> None:
        """Compare tensors with the configuration; a tied model's extra head must equal its embedding."""
        tied, has_head = bool(self.config.get("tie_word_embeddings")), HEAD in self._entries
        if not tied and not has_head:
            raise refuse("E-HEAD-MISSING", self.path)
        found = {name: entry.shape for name, entry in self._entries.items() if not _INERT.fullmatch(name)}
        if tied:
            found.pop(HEAD, None)
        check_shapes(self.path, self._shapes, found)
        if tied and has_head and not self._head_equals_embedding():
            raise refuse("E-HEAD-DIFFERS", self.path)
        check_ids(self.path, self.config, self._shapes[EMBEDDING][0])

    def _head_equals_embedding(self) -> bool:
        if self._entries[HEAD].shape != self._entries[EMBEDDING].shape:
            return False
        try:
            head, embedding = (self._files[name].get_slice(name) for name in (HEAD, EMBEDDING))
            # In chunks: the two may be gigabytes, and of different dtypes.
            starts = range(0, self._entries[HEAD].shape[0], _CHUNK_ROWS)
            rows = ((head[at : at + _CHUNK_ROWS], embedding[at : at + _CHUNK_ROWS]) for at in starts)
            return all(torch.equal(one.float(), other.float()) for one, other in rows)
        except (OSError, SafetensorError) as error:
            raise refuse("E-WEIGHTS-READ", self.path, reason=error) from None


def _read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`, with the ids that `generation_config.json` ends an answer with added to its own."""
    if not (folder / "config.json").exists():
        raise refuse("E-FOLDER-CONFIG", folder)
    config = read_json(folder / "config.json")
    config = architecture_of(config).complete(config)
    if (folder / "generation_config.json").exists():
        ends = _listed(read_json(folder / "generation_config.json").get("eos_token_id"))
        ends += [end for end in _listed(config.get("eos_token_id")) if end not in ends]
        if ends:
            config["eos_token_id"] = ends[0] if len(ends) == 1 else ends
    return config


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _read_index(path: Path) -> dict[str, set[str] | None]:
    """Read the index of shards; every file name must be a plain one."""
    listed = read_json(path).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise refuse("E-JSON", path)
    shards: dict[str, set[str]] = {}
    for tensor, name in listed.items():
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            raise refuse("E-FOLDER-OUTSIDE", path.parent, name=name)
        shards.setdefault(name, set()).add(tensor)
    return dict(shards)

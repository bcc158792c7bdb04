"""Sections that were read, kept on disk for other processes.

A safetensors file holds the keys and values of a section and of all before it. Its name is a digest of everything that
its numbers depend on: the model's weights, how they are computed, and the tokens; so what is stale is not found. What
is found is used only if its own digest is right, else it is read anew and replaced: nothing here can end a question.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from puna.errors import KeptError, ModelFileError, PunaError
from puna.llama.cache import Cache, whole
from puna.llama.model import Llama
from puna.native.build import digest as sources_digest
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder
from puna.weights.safetensors_header import Entry, opened, read_head
from puna.weights.store import need_space

_FORMAT = "puna kept 2"
_HEADER = 1024  # bytes, at most
_STORES = ("keys", "values", "notes")
_KINDS = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
_LOG = logging.getLogger("puna")


class KeptFiles:
    """What a model has read, in a folder; `digest` is that of the model's weights, `adapter` that of what changes them.

    Whatever goes wrong is said as a warning to the logger "puna", each kind once a question.
    """

    def __init__(self, model: Llama, digest: str, folder: KeptFolder, adapter: str = "") -> None:
        self._folder, self._digest = folder, digest
        computed = [_FORMAT, digest, adapter, _engine(model), str(model.dtype), model.config.context]
        self._computed = json.dumps(computed).encode()
        self._used: set[str] = set()  # by the present question
        self._said: set[str] = set()

    def begin(self) -> None:
        """Begin a question: what it uses makes no room for what it reads, so a long text does not push itself out."""
        self._used.clear()
        self._said.clear()

    def touch(self, sections: Iterable[bytes]) -> None:
        """Note that sections are in use."""
        for section in sections:
            name = self._name(section)
            self._used.add(name)
            with contextlib.suppress(OSError):
                os.utime(self._folder.path / name)

    def load(self, section: bytes, length: int, cache: Cache) -> bool:
        """Fill the cache with a section of `length` tokens, what is before it included; False if it is not there."""
        path = self._folder.path / self._name(section)
        try:
            with opened(path) as (file, size):
                stores = self._checked(path, file, size, whole(length), cache)
        except ModelFileError as error:
            if error.code != "E-WEIGHTS-MISSING":
                self._warn(KeptError("E-KEPT-DAMAGED", reason=error))
            return False
        if stores is None:
            self._warn(KeptError("E-KEPT-FOREIGN", path=path))
            return False
        keys, values, notes = stores
        cache.fill(keys, values, notes, length)
        return True

    def save(self, section: bytes, cache: Cache) -> None:
        """Write what is in the cache, all up to the end of a section."""
        if self._said & {"E-KEPT-WRITE", "E-KEPT-LIMIT"}:
            return
        name, folder = self._name(section), self._folder
        blocks = _named(cache.blocks(cache.length))
        size = sum(store.nbytes for store in blocks.values()) + _HEADER
        if not folder.make_room(size, self._used):
            self._warn(KeptError("E-KEPT-LIMIT", folder=folder.path, limit=folder.limit // 10**6))
            return
        blocks = {name: store.cpu().contiguous() for name, store in blocks.items()}
        metadata = {**self._metadata(name), "sha256": _checksum(*blocks.values())}
        try:
            with folder.writing(name) as path:
                need_space(folder.path, size)
                save_file(blocks, path, metadata)
        except (OSError, SafetensorError, PunaError) as error:
            reason = getattr(error, "strerror", None) or error
            self._warn(KeptError("E-KEPT-WRITE", folder=folder.path, reason=reason))

    def _name(self, section: bytes) -> str:
        digest = hashlib.sha256(self._computed + section).hexdigest()
        return f"{self._digest[:16]}-{digest[:48]}.safetensors"

    def _metadata(self, name: str) -> dict[str, str]:
        return {"format": _FORMAT, "name": name}

    def _checked(self, path: Path, file: BinaryIO, size: int, slots: int, cache: Cache) -> list[Tensor] | None:
        """Read keys, values and notes of so many slots; None if the file is another, or not as it was written."""
        entries, metadata = read_head(path, file, size)
        stores = [
            torch.empty((*store.shape[:-2], slots, store.shape[-1]), dtype=store.dtype) for store in cache.blocks(0)
        ]
        blocks = _named(stores)
        expected, place = {}, 0
        for name, store in blocks.items():
            expected[name] = Entry(_KINDS[store.dtype], tuple(store.shape), store.nbytes, place)
            place += store.nbytes
        if entries != expected:
            return None
        for store in blocks.values():
            if file.readinto(_bytes(store)) < store.nbytes:  # type: ignore[attr-defined]
                return None
        right = {**self._metadata(path.name), "sha256": _checksum(*blocks.values())}
        return stores if metadata == right else None

    def _warn(self, error: KeptError) -> None:
        if error.code not in self._said:
            self._said.add(error.code)
            _LOG.warning(error)


def known_digest(path: Path, folder: KeptFolder) -> str:
    """Give a model's digest, remembered in the folder; what another that stood there before has read goes."""
    digest, before = model_digest(path, folder)
    if before and (gone := folder.clear(before)):
        _LOG.warning(KeptError("E-KEPT-STALE", path=path, count=len(gone)))
    return digest


def _engine(model: Llama) -> str:
    """What computes: of others the last bits may differ."""
    if model.packed is not None:
        return f"kernels {sources_digest()}"
    card = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type
    return f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()} {card}"


def _named(stores: Iterable[Tensor]) -> dict[str, Tensor]:
    """Name what there is, in the order in which safetensors puts it: wider numbers first."""
    named = [(name, store) for name, store in zip(_STORES, stores, strict=True) if store.numel()]
    return dict(sorted(named, key=lambda item: (-item[1].itemsize, item[0])))


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.view(-1).view(torch.uint8).numpy().data


def _checksum(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(_bytes(tensor))
    return digest.hexdigest()

"""A model written: as one GGUF file or as a folder, with an adapter merged into it or for itself."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from puna.errors import InputError, ModelFileError
from puna.export.folder import tokenizer_of, write_folder
from puna.export.metadata import model_keys
from puna.llama.config import LlamaConfig
from puna.tokens.folder_vocab import read_folder
from puna.tokens.gguf_export import nearly
from puna.weights.adapted import AdaptedCheckpoint
from puna.weights.adapter import ABOUT, FORMAT, Adapter, check_base, folder_name, read_own, write_adapter
from puna.weights.architectures import architecture_of
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.gguf_adapter import open_adapter, write_gguf_adapter
from puna.weights.gguf_writer import write_gguf
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.names import permute, permuted_heads, to_gguf
from puna.weights.retyped import RetypedCheckpoint, fallbacks, planned
from puna.weights.store import resolve

Form = Literal["gguf", "hf"]
Progress = Callable[[int, int], object]  # tensors that are written, and all
DENSE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_LOG = logging.getLogger("puna")
_AIR = 2**24  # bytes that stay free


@dataclass(frozen=True)
class Written:
    """What was written: `tensors` counts them by type, `fallbacks` those whose rows do not fit the wanted one."""

    output: Path
    form: Form
    size_bytes: int
    tensors: Mapping[str, int]
    fallbacks: Mapping[str, int]
    adapter: str | None = None


@dataclass(frozen=True)
class Source:
    """A model to be written, and the adapter that goes with it, if any."""

    path: Path
    checkpoint: Checkpoint
    adapter: Adapter | None

    @classmethod
    def opened(cls, model: str | None, adapter: str | Path | None) -> "Source":
        """Open both; raise ModelFileError for an adapter of another model."""
        path = resolve(model)
        checkpoint = open_checkpoint(path)
        if adapter is None:
            return cls(path, checkpoint, None)
        found = open_adapter(adapter, checkpoint.config)
        if found.base is not None:
            name = path.stem if path.is_file() else path.name
            check_base(found, name, model_digest(path, KeptFolder(kept_dir()))[0])
        AdaptedCheckpoint(checkpoint, found)  # refuses what does not fit the model
        return cls(path, checkpoint, found)

    @property
    def merged(self) -> Checkpoint:
        """The model with the adapter in it."""
        return self.checkpoint if self.adapter is None else AdaptedCheckpoint(self.checkpoint, self.adapter)

    def retyped(self, kind: str | None) -> RetypedCheckpoint:
        """The model in a type; None for the types that its file has."""
        return RetypedCheckpoint(self.merged, planned(self.checkpoint, kind))


def export_model(source: Source, form: Form, kind: str | None, output: Path, progress: Progress) -> Written:
    """Write a model with its tokenizer; `kind`: the type of its matrices, None for those of its file.

    Raises InputError where there is something already, or no room, and ModelFileError for what the form cannot hold.
    """
    check_free(output, form)
    return (_gguf if form == "gguf" else _folder)(source, kind, output, progress)


def export_adapter(source: Source, form: Form, kind: str | None, output: Path) -> Written:
    """Write the source's adapter alone: as llama.cpp's GGUF file or as PEFT's folder."""
    adapter = source.adapter
    if adapter is None:
        raise InputError("E-EXPORT-ALONE")
    check_free(output, form)
    dtype = _dense(source, kind) if kind is not None else None
    if form == "gguf":
        write_gguf_adapter(output, adapter, source.checkpoint.config, dtype)
    else:
        write_adapter(output, adapter, dtype=dtype)
    names = {kind: name for name, kind in DENSE.items()}
    kinds = Counter(names[dtype or each.dtype] for pair in adapter.matrices.values() for each in pair)
    return Written(output, form, _size(output), dict(kinds), {}, adapter.name)


def check_free(output: Path, form: Form) -> None:
    """Raise InputError unless nothing is there, or for a folder an empty one."""
    empty = form == "hf" and output.is_dir() and not any(output.iterdir())
    if (output.exists() or output.is_symlink()) and not empty:
        raise InputError("E-EXPORT-TARGET", path=output)


def _gguf(source: Source, kind: str | None, output: Path, progress: Progress) -> Written:
    stored = source.retyped(kind)
    kinds = {name: stored.type_name(name) for name in stored.names()}
    keys, others = model_keys(source.checkpoint, kinds)
    _warn(source, stored)
    need_room(output, stored.size_bytes)
    config = source.checkpoint.config
    named = {str(to_gguf(name)): name for name in kinds}
    tensors = {theirs: (kinds[name], stored.shape(name)) for theirs, name in named.items()}
    tensors = {**{name: ("F32", tuple(each.shape)) for name, each in others.items()}, **tensors}

    def rows(theirs: str) -> torch.Tensor:
        if theirs in others:
            return others[theirs].contiguous().view(torch.uint8)
        name = named[theirs]
        found, count = stored.rows(name), permuted_heads(name, config)
        if count is None:
            return found
        if len(stored.shape(name)) == 1:  # a bias is one row of bytes: give each number its own
            return permute(found.view(stored.shape(name)[0], -1), count).reshape(-1)
        return permute(found, count)

    architecture = architecture_of(config).gguf
    write_gguf(output, architecture, keys, tensors, rows, lambda done: progress(done, len(tensors)))
    found = fallbacks(source.checkpoint, kinds, kind)
    return _written(source, "gguf", output, Counter(kinds.values()), found)


def _folder(source: Source, kind: str | None, output: Path, progress: Progress) -> Written:
    dtype = _dense(source, kind)
    merged = source.merged
    shapes = {name: merged.shape(name) for name in merged.names()}
    tokenizer, files = tokenizer_of(source.path, source.checkpoint)
    ids = {"bos_token_id": tokenizer.bos_id, "eos_token_id": sorted(tokenizer.eos_ids)}  # Meta's files name none
    need_room(output, sum(torch.Size(shape).numel() for shape in shapes.values()) * dtype.itemsize)
    reads = _reads(source)
    about = {ABOUT: {"format": FORMAT, "name": folder_name(output), **_said(reads)}} if reads else {}
    write_folder(
        output,
        shapes,
        lambda name: merged.tensor(name, torch.float32),
        reads.extra if reads else {},
        {**{key: value for key, value in ids.items() if value not in (None, [])}, **source.checkpoint.config},
        dtype,
        {**files, **about},
        lambda done: progress(done, len(shapes)),
    )
    name = next(name for name, each in DENSE.items() if each == dtype)
    return _written(source, "hf", output, {name: len(shapes)}, {})


def _dense(source: Source, kind: str | None) -> torch.dtype:
    """Give a folder's type: the wanted one, else that of all matrices, and F32 where they are not alike or quantised."""
    if kind is None:
        checkpoint = source.checkpoint
        kinds = {checkpoint.type_name(name) for name in checkpoint.names() if len(checkpoint.shape(name)) > 1}
        return DENSE.get(kinds.pop(), torch.float32) if len(kinds) == 1 else torch.float32
    if kind not in DENSE:
        raise InputError("E-EXPORT-DENSE", kind=kind.lower(), kinds=", ".join(DENSE).lower())
    return DENSE[kind]


def _reads(source: Source) -> Adapter | None:
    """Give what says how the model is asked: the adapter, or what a folder that was trained in full has beside it."""
    return source.adapter or (read_own(source.path) if source.path.is_dir() else None)


def _said(adapter: Adapter) -> dict[str, Any]:
    return {key: adapter.about[key] for key in ("prompt", "reader") if key in adapter.about}


def _warn(source: Source, stored: RetypedCheckpoint) -> None:
    """Say what the file cannot hold, or holds worse than need be."""
    reads = _reads(source)
    if reads is not None and (reads.extra or not reads.examples):
        _LOG.warning(ModelFileError("E-EXPORT-READER", name=reads.name))
    if window := LlamaConfig.from_dict(source.checkpoint.config).window:
        _LOG.warning(ModelFileError("E-EXPORT-WINDOW", window=window))
    if count := stored.twice():
        _LOG.warning(ModelFileError("E-EXPORT-TWICE", count=count))
    if source.checkpoint.tokenizer_metadata is None:
        folder = source.path if source.path.is_dir() else source.path.parent
        if nearly(read_folder(folder).vocabulary):
            _LOG.warning(ModelFileError("E-EXPORT-SPACE"))


def need_room(output: Path, size: int) -> None:
    """Raise InputError where the disk cannot take so many bytes and a little air."""
    folder = next(each for each in output.resolve().parents if each.exists())
    free = shutil.disk_usage(folder).free
    if free < size + _AIR:
        need = f"{(size + _AIR) / 1e6:,.0f}"
        raise InputError("E-EXPORT-ROOM", folder=folder, need=need, free=f"{free / 1e6:,.0f}")


def _written(
    source: Source, form: Form, output: Path, tensors: Mapping[str, int], found: Mapping[str, int]
) -> Written:
    name = source.adapter.name if source.adapter else None
    return Written(output, form, _size(output), dict(tensors), found, name)


def _size(output: Path) -> int:
    if output.is_file():
        return output.stat().st_size
    return sum(path.stat().st_size for path in output.iterdir())

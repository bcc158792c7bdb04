"""A model's weights behind one face, whatever file they come from."""

import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from puna.weights.blocks import dequantize
from puna.weights.folder import FolderCheckpoint
from puna.weights.gguf import MAGIC, GgufFile
from puna.weights.gguf_config import read_config
from puna.weights.layout import Laid, expected_shapes
from puna.weights.meta import PARAMS, SHARD, MetaCheckpoint
from puna.weights.names import permuted_heads, to_gguf, unpermute
from puna.weights.refuse import refuse

_PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
_ZIP, _PICKLE, _LFS = b"PK\x03\x04", b"\x80", b"version https://git-lfs"


@runtime_checkable
class Checkpoint(Protocol):
    """What the model is built from: Hugging Face's names, row order and configuration keys.

    `format` is "gguf", "safetensors" or "pth"; `config` is `config.json` as read, or GGUF metadata in its form;
    `tokenizer_metadata` is a GGUF file's metadata, None for a folder, whose tokenizer stands in its own files.
    """

    path: Path
    format: str
    config: dict[str, Any]
    tokenizer_metadata: dict[str, object] | None
    size_bytes: int

    def names(self) -> list[str]:
        """List the tensors that the model has; a tied head is not listed."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""
        ...

    def type_name(self, name: str) -> str:
        """Give how a tensor is stored: "Q4_1", "F32", "BF16"."""
        ...

    def tensor(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """Give a tensor dense, in its own fresh memory."""
        ...

    def rows(self, name: str) -> torch.Tensor:
        """Give a tensor as stored, uint8 [..., bytes a row]; it may be the file's memory, not to be written."""
        ...


class GgufCheckpoint(Laid):
    """A GGUF file; see `Checkpoint`."""

    format = "gguf"

    def __init__(self, path: Path) -> None:
        """Open and check the file; raise `ModelFileError` for anything but one whole model."""
        self.path = path
        self._file = GgufFile(path)
        self.config = read_config(self._file)
        self.tokenizer_metadata: dict[str, object] | None = self._file.metadata
        self.size_bytes = self._file.size
        self._shapes = expected_shapes(path, self.config, len(self._file.tensors))

    def type_name(self, name: str) -> str:
        """Give the name of ggml's type; raise `ModelFileError` if there is no such tensor."""
        return self._file.tensors[self._stored(name)].kind

    def tensor(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """Give a tensor dense, rows of q and k in Hugging Face's order; raise `ModelFileError` if there is none."""
        return dequantize(self.rows(name), self.type_name(name), dtype)

    def rows(self, name: str) -> torch.Tensor:
        """Give the stored blocks, uint8 [..., bytes a row], rows of q and k in Hugging Face's order.

        Moving rows leaves every block whole, so it is done on the bytes.
        """
        rows = self._file.rows(self._stored(name))
        heads = permuted_heads(name, self.config)
        if heads is None:
            return rows
        if len(self._shapes[name]) == 1:  # a bias is one row of bytes: give each number its own
            size = rows.shape[0] // self._shapes[name][0]
            return unpermute(rows.view(-1, size), heads).reshape(-1)
        return unpermute(rows, heads)

    def _stored(self, name: str) -> str:
        theirs = to_gguf(name)
        if theirs is None or name not in self._shapes:
            raise refuse("E-TENSOR-MISSING", self.path, name=name)
        return theirs


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a GGUF file, a folder with `config.json` and safetensors or with `params.json` and `consolidated.NN.pth`, or
    one weights file of such a folder.

    What a file is, is told by its first bytes, not by its name. Raises `ModelFileError` for everything else.
    """
    path = Path(path)
    try:
        if path.is_dir():
            meta = (path / PARAMS).exists() and not (path / "config.json").exists()
            return MetaCheckpoint(path) if meta else FolderCheckpoint(path)
        if not path.is_file():  # opening a pipe would wait for ever
            raise refuse("E-WEIGHTS-KIND" if path.exists() else "E-WEIGHTS-MISSING", path)
        with path.open("rb") as file:
            start = file.read(32)
    except (OSError, ValueError) as error:
        raise refuse("E-WEIGHTS-READ", path, reason=getattr(error, "strerror", None) or error) from None
    if not start:
        raise refuse("E-WEIGHTS-EMPTY", path)
    if start.startswith(MAGIC):
        return GgufCheckpoint(path)
    if start.startswith(_LFS):
        raise refuse("E-WEIGHTS-LFS", path)
    if SHARD.fullmatch(path.name) and path.with_name(PARAMS).exists():
        return MetaCheckpoint(path.parent)
    if start.startswith((_ZIP, _PICKLE)) or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise refuse("E-WEIGHTS-PICKLE", path)
    if path.suffix.lower() == ".safetensors" or start[8:10] in (b'{"', b"{}"):
        return FolderCheckpoint(path.parent, only=path.name)
    raise refuse("E-WEIGHTS-KIND", path)

"""A checkpoint with an adapter merged into its matrices."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from puna.errors import ModelFileError
from puna.weights.adapter import Adapter
from puna.weights.blocks import dequantize, is_quantised
from puna.weights.checkpoint import Checkpoint
from puna.weights.refuse import shown


class AdaptedCheckpoint:
    """A `Checkpoint` whose changed matrices are W + scale · B · A, in fp32, rounded once to what is asked for."""

    def __init__(self, checkpoint: Checkpoint, adapter: Adapter) -> None:
        """Raise `ModelFileError` where the adapter changes a matrix that the model does not have in this shape."""
        self._base, self._adapter = checkpoint, adapter
        self.path: Path = checkpoint.path
        self.format: str = checkpoint.format
        self.config: dict[str, Any] = checkpoint.config
        self.tokenizer_metadata = checkpoint.tokenizer_metadata
        self.size_bytes = checkpoint.size_bytes
        names = set(checkpoint.names())
        for name, (a, b) in adapter.matrices.items():
            shape, found = (b.shape[0], a.shape[1]), checkpoint.shape(name) if name in names else None
            if shape != found:
                raise ModelFileError(
                    "E-ADAPTER-MATRIX",
                    adapter=shown(adapter.name),
                    name=shown(name),
                    shape=shown(shape),
                    found=shown(found or "missing"),
                )

    def names(self) -> list[str]:
        """List the tensors that the model has."""
        return self._base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""
        return self._base.shape(name)

    def type_name(self, name: str) -> str:
        """Give how a tensor is stored; a changed matrix is F32, whatever its file has: it stands nowhere else."""
        return "F32" if name in self._adapter.matrices else self._base.type_name(name)

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Give a tensor dense, in its own fresh memory."""
        if name not in self._adapter.matrices:
            return self._base.tensor(name, dtype)
        a, b = (factor.detach().to("cpu", torch.float32) for factor in self._adapter.matrices[name])
        scaled, kind = b * self._adapter.scale[name], self._base.type_name(name)
        if is_quantised(kind):
            return dequantize(self._base.rows(name), kind, dtype, (scaled, a))
        return self._base.tensor(name, torch.float32).addmm_(scaled, a).to(dtype)

    def rows(self, name: str) -> Tensor:
        """Give a tensor as stored, uint8 [..., bytes a row]."""
        if name not in self._adapter.matrices:
            return self._base.rows(name)
        return self.tensor(name, torch.float32).view(torch.uint8)

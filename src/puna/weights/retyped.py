"""A checkpoint whose matrices are stored in other types: what is written, and what the cost of a type is measured on."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from puna.weights.blocks import FORMATS, dequantize, is_quantised
from puna.weights.checkpoint import Checkpoint
from puna.weights.layout import EMBEDDING, HEAD
from puna.weights.quantise import MADE, largest_of, quantise
from puna.weights.refuse import refuse

_NARROW = frozenset({"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K"})
_HEAD = "Q6_K"  # of a model in a narrow type, as llama.cpp has it: the head's errors go straight into the answer
# Where rows are no whole number of blocks of 256: llama.cpp's choice as well. What does not fit 32 either is F16.
_WIDER = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}


def planned(checkpoint: Checkpoint, wanted: str | None) -> dict[str, str]:
    """Give the type that each tensor is to have: `wanted`, or None for the one that it has.

    Gains and biases are F32. With a type of few bits the head, or the embedding that is the head, has Q6_K. Rows that are
    no whole number of blocks go to a wider type.
    """
    names = checkpoint.names()
    head = HEAD if HEAD in names else EMBEDDING
    kinds: dict[str, str] = {}
    for name in names:
        shape = checkpoint.shape(name)
        kind = checkpoint.type_name(name) if wanted is None else wanted
        if wanted in _NARROW and name == head:
            kind = _HEAD
        if len(shape) == 1 or kind == "F64":
            kind = "F32"
        while shape[-1] % FORMATS[kind].items:
            kind = _WIDER.get(kind, "F16")
        kinds[name] = kind
    return kinds


def fallbacks(checkpoint: Checkpoint, kinds: Mapping[str, str], wanted: str | None) -> dict[str, int]:
    """Count the matrices that have got a wider type because their rows do not fit, by that type."""
    found: dict[str, int] = {}
    for name, kind in kinds.items():
        shape = checkpoint.shape(name)
        if wanted is not None and len(shape) > 1 and kind != wanted and shape[-1] % FORMATS[wanted].items:
            found[kind] = found.get(kind, 0) + 1
    return found


class RetypedCheckpoint:
    """A `Checkpoint` whose tensors have the types of a plan; what has its type already is the same bytes."""

    def __init__(self, checkpoint: Checkpoint, kinds: Mapping[str, str]) -> None:
        """Raise `ModelFileError` where a tensor would have to be made in a type that Puna only reads."""
        self._base, self._kinds = checkpoint, kinds
        self.path: Path = checkpoint.path
        self.format: str = checkpoint.format
        self.config: dict[str, Any] = checkpoint.config
        self.tokenizer_metadata = checkpoint.tokenizer_metadata
        for name, kind in kinds.items():
            if kind not in MADE and checkpoint.type_name(name) != kind:
                raise refuse("E-EXPORT-TYPE", self.path, name=name, kind=kind, kinds=", ".join(MADE))
        self.size_bytes = sum(map(self.nbytes, kinds))

    def names(self) -> list[str]:
        """List the tensors that the model has."""
        return self._base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Give a tensor's shape."""
        return self._base.shape(name)

    def type_name(self, name: str) -> str:
        """Give the type that a tensor has here."""
        return self._kinds[name]

    def nbytes(self, name: str) -> int:
        """Give the bytes that a tensor takes."""
        form = FORMATS[self._kinds[name]]
        return math.prod(self.shape(name)) // form.items * form.bytes

    def twice(self) -> int:
        """Count the tensors that are quantised here and were quantised before, in another type."""
        pairs = ((self._base.type_name(name), kind) for name, kind in self._kinds.items())
        return sum(before != kind and is_quantised(before) and is_quantised(kind) for before, kind in pairs)

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        """Give a tensor dense, in its own fresh memory: the values that the type has left of it."""
        return dequantize(self.rows(name), self._kinds[name], dtype)

    def rows(self, name: str) -> Tensor:
        """Give a tensor as it is to be stored, uint8 [..., bytes a row]."""
        kind = self._kinds[name]
        if self._base.type_name(name) == kind:
            return self._base.rows(name)
        dense = self._base.tensor(name, torch.float32)
        if kind != "F32":
            largest = float(dense.abs().amax())
            if not largest <= largest_of(kind):  # NaN is not
                raise refuse("E-EXPORT-NUMBER", self.path, name=name, value=largest, kind=kind)
        return quantise(dense, kind)

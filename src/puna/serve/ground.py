"""Where texts stand while they are read and written: all in one cache, or each in a cache of its own.

With the CPU's own kernels many texts go through one forward, and a row is the same to the last bit in any company and
however its text is cut (CONTRIBUTING.md, "Numbers"). Torch's kernels choose their order of summation by shape, so where
they do the work every text has forwards of its own, whose shapes depend on nothing but the text.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from puna.llama.cache import Cache, whole
from puna.llama.model import Llama
from puna.llama.packed import FEW, Packed, Stretch

READ = 128  # tokens of a text that one forward reads at most; a text is cut at multiples of it
_BLOCK = 32  # slots; a text begins with a block
HEAD = 64  # rows of logits that exist at once


class Place(NamedTuple):
    """Room for a text: `size` slots, from `base` on of a common cache or in one of its own."""

    base: int
    size: int
    cache: Cache


class Part(NamedTuple):
    """Tokens of a text to read, the first at position `start`."""

    place: Place
    start: int
    tokens: Sequence[int]


class Ground(Protocol):
    """Room for texts. `grain`: tokens that two texts share are read once in multiples of it."""

    model: Llama
    grain: int
    capacity: int

    def take(self, size: int) -> Place | None:
        """Give room for a text of `size` tokens; None if there is none now."""

    def give_back(self, place: Place) -> None:
        """Take room back."""

    def copy(self, source: Place, target: Place, length: int) -> None:
        """Copy what was read of the first `length` tokens of one text to another."""

    def read(self, parts: Sequence[Part]) -> list[Tensor]:
        """Read a part of each of several texts; give their hidden states [tokens, D]."""

    def logits(self, hidden: Sequence[Tensor]) -> "list[Tensor]":
        """Give the logits [n, V] of each text's rows [n, D], at most HEAD together."""


def ground_for(model: Llama, memory: int) -> Ground:
    """Give the ground for a model: at most `memory` bytes, but always room for one text as long as its context."""
    block = model.new_cache(1).nbytes
    slots = max(whole(model.config.context), memory // block * _BLOCK)
    return Common(model, model.packed, slots) if model.packed is not None else Apart(model, slots)


class Common:
    """One cache; room is found first fit."""

    grain = 1

    def __init__(self, model: Llama, packed: Packed, capacity: int) -> None:
        self.model, self.capacity, self._packed = model, capacity, packed
        self._cache = Cache(model.config, capacity, span=model.config.context, dtype=model.dtype)
        self._free = [(0, capacity)]  # (base, size), rising

    def take(self, size: int) -> Place | None:
        """As `Ground`."""
        size = whole(size)
        for n, (base, room) in enumerate(self._free):
            if room >= size:
                self._free[n : n + 1] = [(base + size, room - size)] if room > size else []
                return Place(base, size, self._cache)
        return None

    def give_back(self, place: Place) -> None:
        """As `Ground`."""
        merged: list[tuple[int, int]] = []
        for base, size in sorted([*self._free, (place.base, place.size)]):
            if merged and sum(merged[-1]) == base:
                merged[-1] = merged[-1][0], merged[-1][1] + size
            else:
                merged.append((base, size))
        self._free = merged

    def copy(self, source: Place, target: Place, length: int) -> None:
        """As `Ground`."""
        self._cache.copy(source.base, target.base, length)

    def read(self, parts: Sequence[Part]) -> list[Tensor]:
        """As `Ground`."""
        given = [Stretch(part.place.base, part.start, part.tokens) for part in parts]
        return list(torch.split(self._packed.stretches(given, self._cache), [len(part.tokens) for part in parts]))

    def logits(self, hidden: Sequence[Tensor]) -> list[Tensor]:
        """As `Ground`; few rows are padded, for those are multiplied in another way."""
        rows = torch.cat(list(hidden))
        found = self._packed.logits(F.pad(rows, (0, 0, 0, max(0, FEW + 1 - len(rows)))))
        return list(torch.split(found[: len(rows)], [len(each) for each in hidden]))


class Apart:
    """A cache for each text."""

    grain = READ

    def __init__(self, model: Llama, capacity: int) -> None:
        self.model, self.capacity, self._used = model, capacity, 0

    def take(self, size: int) -> Place | None:
        """As `Ground`."""
        size = whole(size)
        if self._used + size > self.capacity:
            return None
        self._used += size
        return Place(0, size, self.model.new_cache(size, span=self.model.config.context))

    def give_back(self, place: Place) -> None:
        """As `Ground`."""
        self._used -= place.size
        place.cache.release()

    def copy(self, source: Place, target: Place, length: int) -> None:
        """As `Ground`."""
        target.cache.fill(*source.cache.blocks(length), length)

    def read(self, parts: Sequence[Part]) -> list[Tensor]:
        """As `Ground`."""
        return [self._alone(part) for part in parts]

    def logits(self, hidden: Sequence[Tensor]) -> list[Tensor]:
        """As `Ground`."""
        return [self.model.logits(each).cpu() for each in hidden]

    def _alone(self, part: Part) -> Tensor:
        cache, device = part.place.cache, self.model.device
        cache.truncate(part.start)
        tokens = torch.tensor(part.tokens, device=device)
        positions = torch.arange(part.start, part.start + len(tokens), device=device)
        hidden: Tensor = self.model(tokens, positions, cache, None)
        return hidden

"""Trees side by side, as a batch, and who sees whom in them in the forms that attention wants."""

from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from puna.native import training as native
from puna.native.library import Engine


class Packed:
    """Trees side by side: tokens [T], positions [T], parents [T] counted from the tree's first row (-1: none), sizes.

    A row sees itself and its ancestors; parents come before their children.
    """

    def __init__(self, tokens: Tensor, positions: Tensor, parents: Tensor, sizes: Sequence[int]) -> None:
        self.tokens, self.positions, self.parents, self.sizes = tokens, positions, parents, list(sizes)
        self._seen: native.Seen | None = None

    @classmethod
    def of(cls, trees: Iterable[tuple[Sequence[int], Sequence[int], Sequence[int]]]) -> "Packed":
        """Pack trees of tokens, positions and parents."""
        each = list(trees)
        tokens, positions, parents = (
            torch.tensor([number for tree in each for number in tree[part]]) for part in range(3)
        )
        return cls(tokens, positions, parents, [len(tree[0]) for tree in each])

    def to(self, device: torch.device | str) -> "Packed":
        """Give the batch on a device."""
        return Packed(self.tokens.to(device), self.positions.to(device), self.parents, self.sizes)

    def seen(self, engine: Engine) -> native.Seen:
        """Give who sees whom as the kernels want it."""
        if self._seen is None:
            self._seen = native.seen(engine, self.parents, self.sizes)
        return self._seen

    @cached_property
    def masks(self) -> list[Tensor]:
        """Give for each tree which row sees which [n, n], on the device of the tokens."""
        found = []
        for parents in torch.split(self.parents.cpu(), self.sizes):
            mask = torch.eye(len(parents), dtype=torch.bool)
            rows = mask.numpy()
            for row, parent in enumerate(parents.tolist()):
                if parent >= 0:
                    rows[row] |= rows[parent]
            found.append(mask.to(self.tokens.device))
        return found

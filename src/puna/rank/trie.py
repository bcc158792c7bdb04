"""Token sequences as a trie: shared beginnings once, every node one row of a packed forward."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from puna.shapes import Bool, Int


@dataclass(frozen=True, slots=True)
class Trie:
    """Nodes in depth-first order, parents before children; a root's parent is -1."""

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]  # for each sequence put in, in their order: its nodes from root to leaf

    def mask(self, start: int, stop: int) -> Bool[Tensor, "n n"]:
        """For nodes start..stop among themselves: a node sees its ancestors and itself."""
        seen = np.eye(stop - start, dtype=np.bool_)
        for row, parent in enumerate(self.parents[start:stop]):
            if parent >= start:
                seen[row] |= seen[parent - start]
        return torch.from_numpy(seen)

    def positions(self, past: int) -> Int[Tensor, " T"]:
        """Position of each node in its sequence, the first at `past`."""
        return torch.tensor(self.depths) + past


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Count the tokens that both begin with."""
    for shared, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return shared
    return min(len(a), len(b))


def build_trie(sequences: Sequence[list[int]]) -> Trie:
    """Merge the sequences; equal sequences get equal paths, empty ones an empty path."""
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    paths: list[list[int]] = [[] for _ in sequences]
    path: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: sequences[i]):
        sequence = sequences[index]
        shared = common_prefix([tokens[node] for node in path], sequence)
        path = path[:shared]
        for token in sequence[shared:]:
            tokens.append(token)
            parents.append(path[-1] if path else -1)
            depths.append(len(path))
            path.append(len(tokens) - 1)
        paths[index] = list(path)
    return Trie(tokens, parents, depths, paths)

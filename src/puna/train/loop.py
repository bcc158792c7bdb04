"""The training loop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from puna.train.losses import PointerHead, answer_losses, log_probs, pointer_loss
from puna.train.network import Network
from puna.train.packed import Packed
from puna.train.trees import Tree


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: all that, with the rows, decides what comes out."""

    epochs: float = 2.0
    questions: int = 32  # of a step at least
    tokens: int = 8192  # of a forward at most
    rate: float = 5e-4
    schedule: str = "cosine"
    warmup: float = 0.03
    clip: float = 1.0
    decay: float = 0.0
    pointer: float = 0.5  # weight of the pointer's loss
    among: float = 0.0  # weight of the loss among competing spans
    seed: int = 0

    def rate_at(self, step: int, total: int) -> float:
        """Learning rate of a step (from 0)."""
        warm = max(1, round(self.warmup * total))
        if step < warm:
            return self.rate * (step + 1) / warm
        done = (step - warm) / max(1, total - warm)
        return self.rate * (0.5 * (1 + math.cos(math.pi * done)) if self.schedule == "cosine" else 1 - done)


class Reader(nn.Module):
    """A network with a pointer."""

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__()
        self.network = network
        self.pointer = PointerHead(network.config.width, seed=seed)

    def losses(self, trees: Sequence[Tree]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each question: surprise among all texts, among candidates, of the pointer."""
        hidden = self.network(Packed.of((tree.tokens, tree.positions, tree.parents) for tree in trees))
        rows, tokens, owners, base, count = [], [], [], 0, 0
        for tree in trees:
            for node, token, candidate in tree.wanted:
                rows.append(base + node)
                tokens.append(token)
                owners.append(count + candidate)
            base += len(tree.tokens)
            count += len(tree.owners)
        fast = self.network.dtype == torch.bfloat16
        values = log_probs(hidden, self.network.embedding, torch.tensor(rows), torch.tensor(tokens), fast=fast)
        scores = torch.zeros(count).index_add(0, torch.tensor(owners), values)
        everywhere, among = answer_losses(scores, trees)
        pointed = torch.cat(
            [
                pointer_loss(self.pointer, states, tree)
                for states, tree in zip(hidden.split([len(tree.tokens) for tree in trees]), trees, strict=True)
            ]
        )
        return everywhere, among, pointed

"""What is trained: a network, and a pointer to spans; what each says about trees, as losses."""

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.rank.pointer import LONGEST, span_mass
from puna.shapes import Float
from puna.train.losses import PointerHead, answer_losses, log_probs, pointer_loss
from puna.train.network import Network
from puna.train.packed import Packed
from puna.train.trees import Tree


class Student(nn.Module):
    """A network with a pointer."""

    def __init__(self, network: Network, seed: int) -> None:
        super().__init__()
        self.network = network
        self.pointer = PointerHead(network.config.width, seed=seed)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.network.head.device

    def trained(self) -> dict[str, nn.Parameter]:
        """What is trained, by name, in an order that stays."""
        return {name: each for name, each in self.named_parameters() if each.requires_grad}

    def forward(self, trees: Sequence[Tree], *, spans: bool = False, scores: bool = False) -> dict[str, Tensor]:
        """Sum up the surprises (nats) of trees by what was to be known.

        answer: the right answers among all texts. among: among the candidates. pointer: the right spans among all. text:
        each token of texts without questions. With `spans` a row for each question as well: first and last token of the
        pointer's best span, the logs of its probability and of that of no answer. With `scores` the log-probability of
        each candidate.
        """
        batch = Packed.of((tree.tokens, tree.positions, tree.parents) for tree in trees)
        hidden = self.network(batch.to(self.device))
        states = hidden.split([len(tree.tokens) for tree in trees])
        asked = [(tree, part) for tree, part in zip(trees, states, strict=True) if tree.ends]
        answer, among, text, each = self._surprises(hidden, trees)
        pointed = sum((parameter.sum() * 0 for parameter in self.pointer.parameters()), torch.zeros_like(answer))
        for tree, part in asked:
            if tree.passage.first == len(tree.passage.tokens):
                continue  # labels may stand behind nothing
            pointed = pointed + pointer_loss(self.pointer, part, tree).sum()
        found = {"answer": answer, "among": among, "pointer": pointed, "text": text}
        if scores:
            found["scores"] = each.detach()
        if spans:
            rows = [best_spans(self.pointer, part, tree) for tree, part in asked]
            found["spans"] = torch.cat(rows) if rows else torch.empty(0, 4)
        return found

    def _surprises(self, hidden: Tensor, trees: Sequence[Tree]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rows: list[int] = []
        tokens: list[int] = []
        owners: list[int] = []  # a candidate for each row; past the last of them, the text
        count = sum(len(tree.owners) for tree in trees)
        begun = 0
        for tree, base in zip(trees, accumulate((len(tree.tokens) for tree in trees), initial=0), strict=False):
            if tree.ends:
                for node, token, candidate in tree.wanted:
                    rows.append(base + node)
                    tokens.append(token)
                    owners.append(begun + candidate)
                begun += len(tree.owners)
            else:
                for node in range(max(tree.passage.first, 1), len(tree.tokens)):
                    rows.append(base + node - 1)
                    tokens.append(tree.tokens[node])
                    owners.append(count)
        fast = self.network.dtype == torch.bfloat16
        device = hidden.device
        values = log_probs(
            hidden,
            self.network.head,
            torch.tensor(rows, device=device),
            torch.tensor(tokens, device=device),
            fast=fast,
        )
        scores = torch.zeros(count + 1, device=device).index_add(0, torch.tensor(owners, device=device), values)
        asked = [tree for tree in trees if tree.ends]
        if not asked:
            return torch.zeros_like(scores[0]), torch.zeros_like(scores[0]), -scores[count], scores[:0]
        everywhere, among = answer_losses(scores[:count], asked)
        return everywhere.sum(), among.sum(), -scores[count], scores[:count]


def best_spans(pointer: PointerHead, hidden: Float[Tensor, "n D"], tree: Tree) -> Float[Tensor, "Q 4"]:
    """Give, of each question, the tokens [first, last] of the best span, and log P of it and of no answer."""
    states = hidden[tree.passage.first : len(tree.passage.tokens)]
    ends, nowhere = pointer(hidden[torch.tensor(tree.ends, device=hidden.device)], states)
    last, reach = F.pad(ends[1], (0, LONGEST - 1), value=float("-inf")).unfold(1, LONGEST, 1).max(-1)
    score, first = (ends[0] + last).max(-1)
    mass = span_mass(ends, nowhere)
    until = first + reach.gather(1, first[:, None])[:, 0]
    begin = tree.passage.first
    return torch.stack([(first + begin).float(), (until + begin).float(), score - mass, nowhere - mass], 1)

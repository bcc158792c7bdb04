"""What is made small: the surprise at right answers, among all texts, among competing ones, and by the pointer."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from puna.llama.linear import bf16_products
from puna.rank.pointer import LONGEST, Pointer, span_mass
from puna.shapes import Float, Int
from puna.train.products import apply
from puna.train.trees import Tree

_ROWS = 256  # rows of logits that exist at a time


class _LogProbs(Function):
    """log P(tokens[m] | hidden[rows[m]]); logits are computed again on the way back, never all at once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, rows: Tensor, tokens: Tensor, fast: bool) -> Tensor:
        out = torch.empty(len(rows), device=hidden.device)
        mass = torch.empty(len(hidden), device=hidden.device)
        with bf16_products(fast):
            for start in range(0, len(hidden), _ROWS):
                logits = F.linear(hidden[start : start + _ROWS], head)
                mass[start : start + _ROWS] = logits.logsumexp(-1)
                here = ((rows >= start) & (rows < start + _ROWS)).nonzero()[:, 0]
                out[here] = logits[rows[here] - start, tokens[here]]
        ctx.save_for_backward(hidden, head, rows, tokens, mass)
        ctx.fast = fast
        return out - mass[rows]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, head, rows, tokens, mass = ctx.saved_tensors
        back = torch.empty_like(hidden)
        of_head = torch.zeros_like(head) if ctx.needs_input_grad[1] else None
        total = torch.zeros_like(mass).index_add_(0, rows, grad)
        with bf16_products(ctx.fast):
            for start in range(0, len(hidden), _ROWS):
                part = slice(start, start + _ROWS)
                logits = F.linear(hidden[part], head).sub_(mass[part, None]).exp_().mul_(-total[part, None])
                here = ((rows >= start) & (rows < start + _ROWS)).nonzero()[:, 0]
                logits.index_put_((rows[here] - start, tokens[here]), grad[here], accumulate=True)
                back[part] = logits @ head
                if of_head is not None:
                    of_head.addmm_(logits.t(), hidden[part])
        return back, of_head, None, None, None


def log_probs(
    hidden: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    rows: Int[Tensor, " M"],
    tokens: Int[Tensor, " M"],
    *,
    fast: bool,
) -> Float[Tensor, " M"]:
    """log P(tokens[m] | hidden[rows[m]]) in nats. `fast`: products in bf16."""
    used, place = torch.unique(rows, return_inverse=True)
    return apply(_LogProbs, hidden[used], head, place, tokens, fast)


class PointerHead(nn.Module):
    """A pointer's numbers, to be trained."""

    def __init__(self, width: int, size: int = 128, *, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.question = nn.Parameter(torch.empty(2, size, width).normal_(0, width**-0.5, generator=draw))
        self.text = nn.Parameter(torch.empty(2, size, width).normal_(0, width**-0.5, generator=draw))
        self.nowhere = nn.Parameter(torch.zeros(2, size))

    def forward(
        self, questions: Float[Tensor, "Q D"], text: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, "2 Q N"], Float[Tensor, " Q"]]:
        """Give `Pointer.ends` of states."""
        pointer = Pointer(self.question, self.text, self.nowhere)
        return pointer.ends(questions, text @ pointer.notes.T)


def pointer_loss(pointer: PointerHead, hidden: Float[Tensor, "n D"], tree: Tree) -> Float[Tensor, " Q"]:
    """Surprise (nats) of each question's right spans among all spans and none, of one tree's states."""
    passage = tree.passage
    states = hidden[passage.first : len(passage.tokens)]
    ends, nowhere = pointer(hidden[torch.tensor(tree.ends, device=hidden.device)], states)
    mass = span_mass(ends, nowhere)
    right = []
    for number, question in enumerate(passage.questions):
        spans = torch.tensor(question.spans, device=hidden.device).view(-1, 2) - passage.first
        spans = spans[spans[:, 1] - spans[:, 0] < LONGEST]
        if len(spans):
            right.append((ends[0, number, spans[:, 0]] + ends[1, number, spans[:, 1]]).logsumexp(0))
        else:  # where all are too long there is nothing to learn
            right.append(mass[number] if question.spans else nowhere[number])
    return mass - torch.stack(right)


def answer_losses(
    scores: Float[Tensor, " C"], trees: Sequence[Tree]
) -> tuple[Float[Tensor, " Q"], Float[Tensor, " Q"]]:
    """Of each question of the trees: the surprise at its right answers among all texts, and among its candidates."""
    everywhere, among = [], []
    place = 0
    for tree in trees:
        for question in tree.passage.questions:
            mine = scores[place : place + len(question.candidates)]
            right = mine[: question.right].logsumexp(0)
            everywhere.append(-right)
            among.append(mine.logsumexp(0) - right)
            place += len(question.candidates)
    return torch.stack(everywhere), torch.stack(among)

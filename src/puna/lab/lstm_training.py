"""Trains the LSTM: Adam, batches of texts of like length, the weights of the best epoch kept."""

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from puna.lab.lstm import Batch, LstmClassifier, LstmReader

_CLIP = 5.0  # longest gradient
_BLOCK = 40  # batches whose rows are sorted by length together


@dataclass(frozen=True, slots=True)
class Example:
    """A question's ids, a text's, and what is to be found: first and last word, or a class."""

    question: list[int]
    text: list[int]
    labels: tuple[int, ...]

    @property
    def pair(self) -> tuple[list[int], list[int]]:
        """What `Batch.of` takes."""
        return self.question, self.text


@dataclass(frozen=True, slots=True)
class Course:
    """How long to train: epochs at most, rows a batch, Adam's rate, epochs without a better validation loss."""

    epochs: int
    rows: int = 32
    rate: float = 2e-3
    patience: int = 2


def learn(
    model: LstmReader | LstmClassifier,
    train: Sequence[Example],
    valid: Sequence[Example],
    course: Course,
    seed: int,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, float]]:
    """Train, and leave the model with the weights of the epoch with the least validation loss.

    Gives each epoch's losses in nats a row, `train` (as it was learned) and `valid`. `watch` gets steps done, of all.
    """
    draw = random.Random(seed)  # noqa: S311  no secret
    adam = torch.optim.Adam(model.parameters(), lr=course.rate)
    best, least, waited = copy.deepcopy(model.state_dict()), float("inf"), 0
    history: list[dict[str, float]] = []
    steps = -(-len(train) // course.rows)
    for epoch in range(course.epochs):
        model.train()
        losses = []
        for number, rows in enumerate(batches(train, course.rows, draw)):
            adam.zero_grad()
            loss = model.loss(*_tensors(rows, model))
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            adam.step()
            losses += [loss.detach()] * len(rows)
            watch(epoch * steps + number, course.epochs * steps)
        history.append({"train": float(torch.stack(losses).mean()), "valid": loss_of(model, valid, course.rows)})
        waited += 1
        if history[-1]["valid"] < least:
            best, least, waited = copy.deepcopy(model.state_dict()), history[-1]["valid"], 0
        if waited == course.patience:
            break
    model.load_state_dict(best)
    model.eval()
    return history


@torch.inference_mode()
def loss_of(model: LstmReader | LstmClassifier, examples: Sequence[Example], rows: int) -> float:
    """Give the mean loss of the examples, nats a row, without dropout."""
    model.eval()
    total = sum(float(model.loss(*_tensors(part, model))) * len(part) for part in batches(examples, rows, None))
    return total / len(examples)


def batches(examples: Sequence[Example], rows: int, draw: random.Random | None) -> list[list[Example]]:
    """Part examples into batches of so many rows and about one length, so that there is little padding.

    With `draw` in random order, as for training: no batch is the same in the next epoch.
    """
    order = list(examples)
    if draw:
        draw.shuffle(order)
    found: list[list[Example]] = []
    block = _BLOCK * rows if draw else max(len(order), 1)
    for start in range(0, len(order), block):
        like = sorted(order[start : start + block], key=lambda each: len(each.question) + len(each.text))
        found += [like[first : first + rows] for first in range(0, len(like), rows)]
    if draw:
        draw.shuffle(found)
    return found


def _tensors(rows: Sequence[Example], model: nn.Module) -> tuple[Batch, Tensor]:
    device = next(model.parameters()).device
    return Batch.of([row.pair for row in rows], device), torch.tensor([row.labels for row in rows], device=device)

"""The loop that trains a small model from scratch, and the curve that comes of it."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from puna.lab.small import SmallLlama
from puna.lab.study import Watch
from puna.shapes import Bool, Int
from puna.train.recipe import Recipe

_BETAS = (0.9, 0.98)  # as in `puna.train`
_CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Chains of one length: tokens, where they are said to stand, and which of them are to be predicted."""

    tokens: Int[Tensor, "B T"]
    positions: Int[Tensor, "B T"]
    wanted: Bool[Tensor, "B T"]

    def to(self, device: torch.device) -> "Batch":
        """Give it on a device."""
        return Batch(self.tokens.to(device), self.positions.to(device), self.wanted.to(device))


def counted(tokens: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Give the positions 0, 1, 2, … of each chain."""
    return torch.arange(tokens.shape[1]).expand(tokens.shape)


def surprise(model: SmallLlama, batch: Batch) -> tuple[Tensor, int]:
    """Give the sum of nats over the wanted tokens, and their number."""
    logits = model(batch.tokens[:, :-1], batch.positions[:, :-1])
    wanted = batch.wanted[:, 1:]
    return F.cross_entropy(logits[wanted], batch.tokens[:, 1:][wanted], reduction="sum"), int(wanted.sum())


@torch.no_grad()
def mean_surprise(model: SmallLlama, batches: Sequence[Batch]) -> float:
    """Give nats a wanted token over batches: the validation loss."""
    total, count = 0.0, 0
    for batch in batches:
        nats, wanted = surprise(model, batch)
        total, count = total + float(nats.double()), count + wanted
    return total / max(count, 1)


def teach(
    model: SmallLlama,
    batch_of: Callable[[int], Batch],
    recipe: Mapping[str, Any],
    examine: Callable[[], float] | None,
    watch: Watch,
) -> dict[str, Any]:
    """Train with AdamW, warm-up, a cosine and clipped gradients; `recipe` has steps, rate, warmup and points.

    Gives "curve", a list of [step, seconds of training, validation loss] with `points` + 1 entries, and "diverged", the
    step at which loss or validation loss were no longer numbers, else null. Seconds leave out validation.
    """
    steps, device = int(recipe["steps"]), model.model.embed_tokens.weight.device
    schedule = Recipe(rate=float(recipe["rate"]), warmup=float(recipe["warmup"]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.rate, betas=_BETAS, weight_decay=0.0, fused=True)
    points = {round(steps * n / int(recipe["points"])) for n in range(int(recipe["points"]) + 1)}
    curve: list[list[float]] = []
    spent = 0.0
    for step in range(steps + 1):
        if examine and step in points:
            loss = examine()
            if not math.isfinite(loss):
                return {"curve": curve, "diverged": step}
            curve.append([step, round(spent, 4), loss])
        watch(step, steps)
        if step == steps:
            break
        batch = batch_of(step).to(device)
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step, steps)
        total, count = surprise(model, batch)
        mean = total / max(count, 1)
        mean.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        if not math.isfinite(float(mean.detach()) + float(norm)):
            return {"curve": curve, "diverged": step}
        optimizer.step()
        optimizer.zero_grad()
        spent += time.perf_counter() - start
    return {"curve": curve, "diverged": None}

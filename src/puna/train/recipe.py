"""How to train."""

import math
from dataclasses import dataclass

from puna.train.trees import WORDS


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that, with the rows and the model, decides what comes out."""

    epochs: float = 2.0
    questions: float = 32.0  # of a step at least; WORDS tokens of plain text count as one
    tokens: int = 8192  # of a forward at most
    rate: float = 5e-4
    schedule: str = "cosine"
    warmup: float = 0.03  # share of the steps
    clip: float = 1.0  # largest norm of a step's gradient, 0 for any
    decay: float = 0.0
    answer: float = 1.0  # weight of the loss among all texts
    pointer: float = 0.5  # weight of the pointer's loss
    among: float = 0.0  # weight of the loss among competing spans
    patience: int = 8  # validations without a better one, 0 for any number
    validations: int = 4  # an epoch
    seed: int = 0
    positions_from: int | None = None  # positions of a chain are drawn from so many; None: counted, as ever

    @property
    def weights(self) -> dict[str, float]:
        """What each of a student's losses counts."""
        return {"answer": self.answer, "among": self.among, "pointer": self.pointer, "text": 1 / WORDS}

    def rate_at(self, step: int, total: int) -> float:
        """Learning rate of a step (from 0)."""
        warm = max(1, round(self.warmup * total))
        if step < warm:
            return self.rate * (step + 1) / warm
        done = (step - warm) / max(1, total - warm)
        if self.schedule == "constant":
            return self.rate
        return self.rate * (0.5 * (1 + math.cos(math.pi * done)) if self.schedule == "cosine" else 1 - done)

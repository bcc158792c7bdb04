"""From the scores of the next token to the token.

The order is fixed: temperature, top-k, top-p, min-p, then one draw, all in fp32. Each filter is llama.cpp's and
Transformers' own of that name; tokens with the same score as the last of the top-k all stay, as in Transformers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from puna.errors import InputError, ModelFileError
from puna.shapes import Float

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens; raises InputError for values that mean nothing.

    Temperature 0 takes the most probable token, of equals the lowest id, and looks at nothing else.
    top_k 0, top_p 1 and min_p 0 are off; `seed` None draws other tokens every time.
    """

    temperature: int | float = 0.0
    top_k: int = 0
    top_p: int | float = 1.0
    min_p: int | float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (_number(self.temperature) and self.temperature >= 0):
            raise InputError("E-TEMPERATURE", value=self.temperature)
        if not (_whole(self.top_k) and self.top_k >= 0):
            raise InputError("E-TOP-K", value=self.top_k)
        if not (_number(self.top_p) and 0 < self.top_p <= 1):
            raise InputError("E-TOP-P", value=self.top_p)
        if not (_number(self.min_p) and 0 <= self.min_p <= 1):
            raise InputError("E-MIN-P", value=self.min_p)
        if self.seed is not None and not (_whole(self.seed) and 0 <= self.seed <= LARGEST_SEED):
            raise InputError("E-SEED", value=self.seed, largest=LARGEST_SEED)


class Sampler:
    """Chooses tokens one after the other; equal seeds and scores give equal tokens."""

    def __init__(self, settings: Sampling, vocab_size: int) -> None:
        """Choose among ids below `vocab_size` only, however many rows the model has."""
        self._settings = settings
        self._vocab_size = vocab_size
        self._random = torch.Generator()
        if settings.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(settings.seed)

    def __call__(self, logits: Float[Tensor, " V"]) -> int:
        """Choose; raise ModelFileError if the model's scores are no numbers."""
        scores = logits[: self._vocab_size].float()
        # NaN counts as the largest. On a CPU torch would wake all its threads for it; a GPU's scores stay where they are.
        best = int(scores.argmax() if scores.is_cuda else scores.numpy().argmax())
        if not math.isfinite(value := scores[best].item()):
            raise ModelFileError("E-LOGITS", value=value)
        if self._settings.temperature == 0:
            return best
        kept = self.filter(scores.cpu())
        return int(torch.multinomial(kept.softmax(-1), 1, generator=self._random))

    def filter(self, scores: Float[Tensor, " V"]) -> Float[Tensor, " V"]:
        """Give the scores at the temperature above 0, with -inf where a filter takes a token away."""
        settings = self._settings
        scores = heated(scores, settings.temperature)
        if settings.top_k:
            scores = top_k(scores, settings.top_k)
        if settings.top_p < 1:
            scores = top_p(scores, settings.top_p)
        return min_p(scores, settings.min_p) if settings.min_p else scores


def heated(scores: Float[Tensor, " V"], temperature: int | float) -> Float[Tensor, " V"]:
    """Divide by the temperature. The best score becomes 0, so that none is too small to divide by."""
    return ((scores.double() - scores.max()) / temperature).float()


def top_k(scores: Float[Tensor, " V"], k: int) -> Float[Tensor, " V"]:
    """Keep the k best, and what equals the last of them."""
    least = scores.topk(min(k, len(scores))).values[-1]
    return scores.masked_fill(scores < least, -math.inf)


def top_p(scores: Float[Tensor, " V"], p: int | float) -> Float[Tensor, " V"]:
    """Keep the fewest of the best whose probabilities add up to p, of equals the lowest ids."""
    probabilities = scores.softmax(-1)
    # Tokens this improbable do not add up to 1 - p, however many; sorting the few others is quick.
    ids = (probabilities > (1 - p) / (2 * len(scores))).nonzero()[:, 0]
    ranked, order = probabilities[ids].sort(descending=True, stable=True)
    better = ranked.double().cumsum(-1) - ranked
    kept = ids[order[better < p]]
    return torch.full_like(scores, -math.inf).index_copy(0, kept, scores[kept])


def min_p(scores: Float[Tensor, " V"], p: int | float) -> Float[Tensor, " V"]:
    """Keep what is at least p times as probable as the best."""
    probabilities = scores.softmax(-1)
    return scores.masked_fill(probabilities < p * probabilities.max(), -math.inf)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

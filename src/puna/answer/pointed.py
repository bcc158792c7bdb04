"""What the pointer thinks of the answers of a window, wherever they stand in it."""

from collections.abc import Sequence

import numpy as np
import torch

from puna.answer.prompt import Prompt
from puna.rank.pointer import LONGEST, Pointer
from puna.rank.score import Reading

_LEAST = -30.0  # nats: below this the pointer rules out no more


@torch.inference_mode()
def pointed(
    pointer: Pointer, reading: Reading, prompt: Prompt, places: Sequence[Sequence[tuple[int, int]]]
) -> list[float]:
    """Give the weighed log-probability (nats) of each answer, by the places [start, end) in the window where it stands.

    An answer at several places has the probability of them all. Last comes that of no answer.
    """
    offsets = np.array(prompt.offsets[: prompt.asked])
    inside = np.flatnonzero(offsets[:, 0] < offsets[:, 1])
    first, starts, ends = inside[0], offsets[inside, 0], offsets[inside, 1]
    owners = np.repeat(np.arange(len(places)), [len(each) for each in places])
    where = np.array([place for each in places for place in each])
    # The first token that ends behind a span's start, and the last that begins before its end.
    begin = np.searchsorted(ends, where[:, 0], side="right")
    last = np.minimum(np.searchsorted(starts, where[:, 1], side="left") - 1, begin + LONGEST - 1)
    # Places within one token, as in Chinese, are one span of tokens: it counts once.
    kept = np.unique((owners * len(inside) + begin) * LONGEST + last - begin, return_index=True)[1]
    hidden = reading.hidden
    notes = reading.cache.notes(int(first), int(inside[-1]) + 1)
    spans = torch.from_numpy(np.stack((begin[kept], last[kept]), 1)).to(hidden.device)
    values, nowhere = pointer.log_probs(hidden, notes, spans)
    found = torch.zeros(len(places), device=hidden.device).index_add_(
        0, torch.from_numpy(owners[kept]).to(hidden.device), (values / pointer.weight).exp()
    )
    return [*(found.log().clamp(min=_LEAST) * pointer.weight).tolist(), max(nowhere, _LEAST * pointer.weight)]

"""What candidates lose when a part of the text is hidden: attention to it is masked and they are scored again.

What was read after the hidden part has seen it, so this measures what the question and the answer take from the part
directly ("attention knockout", Geva et al. 2023), not what the text would be without it.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from puna.llama.model import CHUNK
from puna.rank.score import Reading
from puna.rank.trie import build_trie
from puna.shapes import Float


@torch.inference_mode()
def score_hiding(
    reading: Reading,
    tail: Sequence[int],
    candidates: Sequence[list[int]],
    hidden: Sequence[tuple[int, int]],
    *,
    end: int,
) -> Float[Tensor, "n c"]:
    """Score c candidates behind `tail` n times, each time with one range of the reading's tokens hidden from both.

    `reading` is what stands before `tail` (one token or more); an empty range hides nothing. Gives log-probabilities
    (nats), `end` included. All variants are branches of packed forwards over one cache; the reading is not changed.
    """
    reading.finish()
    trie = build_trie([[*tail, *candidate] for candidate in candidates])
    rows, targets = [], []
    for candidate, path in zip(candidates, trie.paths, strict=True):
        rows.append(path[len(tail) - 1 :])
        targets.append([*candidate, end])
    size = len(trie.tokens)
    if size > CHUNK and len(candidates) > 1:
        half = len(candidates) // 2
        parts = (
            score_hiding(reading, tail, part, hidden, end=end) for part in (candidates[:half], candidates[half:])
        )
        return torch.cat([*parts], 1)
    device = reading.model.device
    where = torch.tensor([row for path in rows for row in path], device=device)
    what = torch.tensor([token for target in targets for token in target], device=device)
    sizes = [len(target) for target in targets]
    totals = []
    for part in _parts(hidden, max(1, CHUNK // size)):
        seen = torch.ones(len(part), reading.length, dtype=torch.bool)
        for branch, (first, last) in enumerate(part):
            seen[branch, first:last] = False
        own = torch.kron(torch.eye(len(part), dtype=torch.bool), trie.mask(0, size))
        mask = torch.cat((seen.repeat_interleave(size, 0), own), 1).to(device)
        positions = trie.positions(reading.length).repeat(len(part)).to(device)
        tokens = torch.tensor(trie.tokens * len(part), device=device)
        try:
            states = reading.model(tokens, positions, reading.cache, mask)
        finally:
            reading.cache.truncate(reading.length)
        for own_states in torch.split(states, size):
            values = reading.model.log_probs(own_states, where, what)
            totals.append(torch.stack([each.sum() for each in torch.split(values, sizes)]))
    return torch.stack(totals).cpu() if totals else torch.empty(0, len(candidates))


def _parts(items: Sequence[tuple[int, int]], size: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

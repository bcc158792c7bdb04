"""The same candidates behind many short tails of one reading, in few packed forwards.

What all tails share is read once, before. Each tail and its candidates are a trie behind it; several stand in one
forward, and none sees another. The head is multiplied only where a candidate's token is predicted.
"""

from collections.abc import Iterator, Sequence

import torch

from puna.llama.model import CHUNK, ROWS
from puna.rank.score import Reading
from puna.rank.trie import build_trie
from puna.shapes import Float


def room(reading: Reading, candidates: Sequence[list[int]]) -> int:
    """Give the tokens that a tail may have to be scored with these candidates in one forward; less than 1 for none."""
    most = ROWS if reading.model.packed is None else CHUNK
    return most - len(build_trie(list(candidates)).tokens)


@torch.inference_mode()
def score_behind(
    reading: Reading, tails: Sequence[Sequence[int]], candidates: Sequence[list[int]], *, end: int
) -> list[list[Float[torch.Tensor, " n"]]]:
    """Give, for each tail, what `score` gives of a reading that ends with it, `end` included.

    Each tail has at least one token, and at most `room`; each candidate at least one. The reading is not changed. A tail
    gets the same numbers, to the last bit, in any company and order.
    """
    found: list[list[torch.Tensor]] = []
    for part in _packs([len(tail) for tail in tails], len(build_trie(list(candidates)).tokens), reading):
        sequences = [[*tails[n], *candidate] for n in part for candidate in candidates]
        trie = build_trie(sequences)
        hidden = reading.open(trie)
        rows, targets = [], []
        for number, path in enumerate(trie.paths):
            begin = len(tails[part[number // len(candidates)]])
            rows += path[begin - 1 :]
            targets += [*sequences[number][begin:], end]
        used, place = torch.unique(torch.tensor(rows), return_inverse=True)
        device = hidden.device
        values = reading.model.log_probs(
            hidden[used.to(device)], place.to(device), torch.tensor(targets, device=device)
        )
        sizes = [len(candidate) + 1 for _ in part for candidate in candidates]
        each = torch.split(values.cpu(), sizes)
        found += [list(each[n : n + len(candidates)]) for n in range(0, len(each), len(candidates))]
    return found


def _packs(sizes: Sequence[int], more: int, reading: Reading) -> Iterator[list[int]]:
    """Cut the tails, in their order, where their tries would outgrow a forward."""
    most = ROWS if reading.model.packed is None else CHUNK
    pack: list[int] = []
    rows = 0
    for number, size in enumerate(sizes):
        if pack and rows + size + more > most:
            yield pack
            pack, rows = [], 0
        pack.append(number)
        rows += size + more
    if pack:
        yield pack

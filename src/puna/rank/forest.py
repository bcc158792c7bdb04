"""Exact log-probabilities of the candidates of many prompts, in few packed forwards.

A prompt is a chain of tokens on which its candidates hang as a trie. Several such trees fill one forward, and none sees
another. No token is read twice: not a prompt, not a beginning that candidates share; one that predicts nothing is not
read at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from puna.llama.cache import Cache
from puna.llama.model import Llama
from puna.rank.score import read, score
from puna.rank.trie import Trie, build_trie
from puna.shapes import Float, Int

ROWS = 384  # of a forward at most, padded as `puna.llama.model.ROWS` says
KEYS = 512  # torch's attention on a CPU goes over so many keys at a time
STEP = 32  # a matrix kernel takes at most so many keys in one step; each tree's begin with a step of their own
HEAD = 512  # rows that the head waits for, so that its blocks are nearly full


@torch.inference_mode()
def score_forest(
    model: Llama, prompts: Sequence[Sequence[int]], candidates: Sequence[Sequence[list[int]]], *, end: int | None
) -> Iterator[tuple[int, list[Float[Tensor, " n"]]]]:
    """Yield, for each prompt, its index and what `score` gives: the log-probabilities of each candidate's tokens.

    They come as they are done, about in order of falling size. A prompt gets the same numbers in any company and order:
    in bf16 to the last bit on CPUs, in fp32 to 1e-4 nats. One that needs more than ROWS rows is scored alone.
    """
    trees = [_grow(*pair, end) for pair in zip(prompts, candidates, strict=True)]
    ground = _Ground(model)
    waiting: list[tuple[int, Tensor]] = []
    for pack in _packs([len(tree.trie.tokens) for tree in trees]):
        if len(trees[pack[0]].trie.tokens) > ROWS:
            yield pack[0], score(read(model, prompts[pack[0]]), candidates[pack[0]], end=end)
            continue
        hidden = ground.forward([trees[index].trie for index in pack])
        waiting += [(index, rows[trees[index].first :]) for index, rows in zip(pack, hidden, strict=True)]
        if sum(len(rows) for _, rows in waiting) >= HEAD:
            yield from _head(model, trees, waiting)
            waiting = []
    if waiting:
        yield from _head(model, trees, waiting)


@dataclass(frozen=True, slots=True)
class _Tree:
    """Prompt and candidates as one trie; its nodes from `first` on, the prompt's last, predict `wanted`."""

    trie: Trie
    first: int
    wanted: list[list[int]]


def _grow(prompt: Sequence[int], candidates: Sequence[list[int]], end: int | None) -> _Tree:
    if not prompt:
        raise ValueError("nothing to read: no tokens")
    wanted = [list(candidate) if end is None else [*candidate, end] for candidate in candidates]
    return _Tree(build_trie([[*prompt, *tokens[:-1]] for tokens in wanted]), len(prompt) - 1, wanted)


def _packs(sizes: Sequence[int]) -> list[list[int]]:
    """First fit, larger trees first; one that is too large is alone."""
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # rows and keys that are left
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        rows, keys = sizes[index], _stepped(sizes[index])
        place = next((n for n, left in enumerate(room) if rows <= left[0] and keys <= left[1]), len(packs))
        if place == len(packs):
            packs.append([])
            room.append((ROWS, KEYS))
        packs[place].append(index)
        room[place] = (room[place][0] - rows, room[place][1] - keys)
    return packs


def _stepped(size: int) -> int:
    return -(-size // STEP) * STEP


class _Ground(Cache):
    """Keys and values of one pack, each tree's from a multiple of STEP on: so its sums are the same in any place."""

    def __init__(self, model: Llama) -> None:
        super().__init__(model.config, KEYS, span=model.config.context, dtype=model.dtype, device=model.device)
        self._model = model
        self._slots = torch.empty(0, dtype=torch.long)

    def write(
        self, layer: int, keys: Float[Tensor, "T K E"], values: Float[Tensor, "T K E"]
    ) -> tuple[Float[Tensor, "K S E"], Float[Tensor, "K S E"]]:
        """Put what is no padding into its slots and give views of all slots."""
        for store, new in ((self._keys, keys), (self._values, values)):
            store[layer][:, self._slots] = new[: len(self._slots)].transpose(0, 1)
        return self._keys[layer], self._values[layer]

    def slots(self, new: int) -> Int[Tensor, " T"]:
        """Give the places of the pack's tokens."""
        return self._slots

    def places(self, positions: Int[Tensor, " T"]) -> Int[Tensor, " S"]:
        """Give the positions of all slots' keys; of those that nobody sees, 0."""
        return positions.new_zeros(KEYS).index_copy(0, self._slots, positions[: len(self._slots)])

    def forward(self, tries: Sequence[Trie]) -> Sequence[Float[Tensor, "n D"]]:
        """Give the hidden states of each trie's nodes."""
        sizes, device = [len(trie.tokens) for trie in tries], self._model.device
        tokens, positions = torch.zeros(2, ROWS, dtype=torch.long)
        mask = torch.zeros(ROWS, KEYS, dtype=torch.bool)
        slots: list[int] = []
        slot = 0
        for trie, size in zip(tries, sizes, strict=True):
            rows = slice(len(slots), len(slots) + size)
            tokens[rows] = torch.tensor(trie.tokens, dtype=torch.long)
            positions[rows] = torch.tensor(trie.depths, dtype=torch.long)
            mask[rows, slot : slot + size] = trie.mask(0, size)
            slots += range(slot, slot + size)
            slot += _stepped(size)
        mask[len(slots) :, 0] = True  # padding looks at something, and nothing looks at padding
        self._slots = torch.tensor(slots, dtype=torch.long, device=device)
        rows = slice(self._model.rows_for(len(slots), ROWS))
        hidden: Tensor = self._model(
            tokens[rows].to(device), positions[rows].to(device), self, mask[rows].to(device)
        )
        self.truncate(0)
        return torch.split(hidden[: len(slots)], sizes)


def _head(
    model: Llama, trees: Sequence[_Tree], waiting: Sequence[tuple[int, Tensor]]
) -> Iterator[tuple[int, list[Tensor]]]:
    rows: list[int] = []
    targets: list[int] = []
    start = 0
    for index, hidden in waiting:
        tree = trees[index]
        for tokens, path in zip(tree.wanted, tree.trie.paths, strict=True):
            rows += [start + node - tree.first for node in path[tree.first :]][: len(tokens)]
            targets += tokens
        start += len(hidden)
    values = model.log_probs(
        torch.cat([hidden for _, hidden in waiting]),
        torch.tensor(rows, dtype=torch.long, device=model.device),
        torch.tensor(targets, dtype=torch.long, device=model.device),
    ).cpu()
    for index, _ in waiting:
        lengths = [len(tokens) for tokens in trees[index].wanted]
        yield index, list(torch.split(values[: sum(lengths)], lengths))
        values = values[sum(lengths) :]

"""The k most probable token sequences of a trie, exactly, by best-first search.

The log-probability of a path only falls as it grows, so a node's own is an upper bound for everything below it.
Nodes are opened in that order, many in one packed forward, until the best node left is worse than the k-th best
sequence found: then nothing better was missed. Sequences with their end token are disjoint events, so what lies
unopened below a node is worth at most the node's own probability. (Exact-extract, Castel et al. 2021, has the same
goal for T5, by scoring every span.)
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from puna.llama.model import ROWS
from puna.rank.score import Reading
from puna.rank.trie import Trie, build_trie

_LOOKAHEAD = 6  # tokens opened in advance along a path that does not branch


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a search; log-probabilities in nats, the end token's included.

    best: (index of the sequence, log-probability), best first. mass: probability of all sequences that were
    completed. unvisited: upper bound on the probability of all that were not. nodes, passes: work done.
    """

    best: list[tuple[int, float]]
    mass: float
    unvisited: float
    nodes: int
    passes: int

    @property
    def outside(self) -> float:
        """Lower bound on the probability that the model writes something else than one of the sequences."""
        return max(0.0, 1.0 - self.mass - self.unvisited)


@torch.inference_mode()
def search(
    reading: Reading,
    sequences: Sequence[list[int]],
    *,
    end: int,
    top: int = 5,
    gap: float = 1.0,
    max_passes: int | None = None,
) -> Found:
    """Find the `top` most probable of the sequences (distinct, of 1 to ROWS tokens), each followed by `end`.

    With a `gap` below 1 the search goes on until at most that much probability is unvisited, so that `mass` can be
    trusted too. `max_passes` bounds the work; `unvisited` then says what may have been missed.
    """
    return _Search(reading, build_trie(sequences), end).run(top, gap, max_passes)


class _Search:
    """The state of one search: what is open, what waits, what was found."""

    def __init__(self, reading: Reading, trie: Trie, end: int) -> None:
        self.reading, self.trie, self.end = reading, trie, end
        self.children: list[list[int]] = [[] for _ in trie.tokens]
        self.roots: list[int] = []
        for node, parent in enumerate(trie.parents):
            (self.children[parent] if parent >= 0 else self.roots).append(node)
        self.sequence_at = {path[-1]: index for index, path in enumerate(trie.paths)}
        self.log_probability: dict[int, float] = {}  # of the path to a node
        self.waiting: list[tuple[float, int]] = []
        self.complete: list[tuple[float, int]] = []
        self.mass = 0.0
        self.passes = self.nodes = 0

    def run(self, top: int, gap: float, max_passes: int | None) -> Found:
        """Open nodes until the certificate holds or the passes are used up."""
        self._settle(self.reading.hidden, [-1], [])
        while self.waiting and (max_passes is None or self.passes < max_passes):
            self.complete.sort(reverse=True)
            worst = self.complete[top - 1][0] if len(self.complete) >= top else -torch.inf
            if -self.waiting[0][0] <= worst and self.unvisited <= gap:
                break
            rows, new = self._choose()
            self._settle(self._forward(rows), rows, new)
            self.passes += 1
        self.complete.sort(reverse=True)
        best = [(index, value) for value, index in self.complete[:top]]
        return Found(best, self.mass, self.unvisited, self.nodes, self.passes)

    @property
    def unvisited(self) -> float:
        """Bound on the probability of everything below the nodes that wait."""
        return float(torch.tensor([-value for value, _ in self.waiting], dtype=torch.float64).exp().sum())

    def _choose(self) -> tuple[list[int], list[int]]:
        """Fill a pass: the best waiting nodes, what leads to them, and what surely follows them.

        Gives (all nodes of the pass, parents first; those opened for the first time).
        """
        rows: dict[int, None] = {}
        new: dict[int, None] = {}
        while self.waiting:
            node = self.waiting[0][1]
            path = [node]
            while (parent := self.trie.parents[path[-1]]) >= 0:
                path.append(parent)
            path = [n for n in reversed(path) if n not in rows]
            if rows and len(rows) + len(path) > ROWS:
                break
            heapq.heappop(self.waiting)
            rows.update(dict.fromkeys(path))
            new[node] = None
            for _ in range(_LOOKAHEAD):
                if len(self.children[node]) != 1 or len(rows) >= ROWS:
                    break
                node = self.children[node][0]
                rows[node] = new[node] = None
        return list(rows), list(new)

    def _forward(self, rows: list[int]) -> torch.Tensor:
        place = {node: row for row, node in enumerate(rows)}
        parents = [place.get(self.trie.parents[node], -1) for node in rows]
        tokens, depths = self.trie.tokens, self.trie.depths
        part = Trie([tokens[n] for n in rows], parents, [depths[n] for n in rows], [])
        return self.reading.open(part)

    def _settle(self, hidden: torch.Tensor, rows: list[int], new: list[int]) -> None:
        """Take the log-probabilities of what follows each newly opened node; row -1 is the reading itself."""
        place = {node: row for row, node in enumerate(rows)}
        opened = new or [-1]
        asked: list[tuple[int, int]] = []  # (node, child), child -1 for the end token
        for node in opened:
            asked += [(node, child) for child in (self.children[node] if node >= 0 else self.roots)]
            if node in self.sequence_at:
                asked.append((node, -1))
        model = self.reading.model
        where = torch.tensor([place[node] for node, _ in asked], device=model.device)
        what = [self.trie.tokens[child] if child >= 0 else self.end for _, child in asked]
        values = model.log_probs(hidden, where, torch.tensor(what, device=model.device)).tolist()
        fresh = set(new)
        for (node, child), value in zip(asked, values, strict=True):
            total = self.log_probability.get(node, 0.0) + value
            if child < 0:
                self.complete.append((total, self.sequence_at[node]))
                self.mass += math.exp(total)
            else:
                self.log_probability[child] = total
                if child not in fresh:
                    heapq.heappush(self.waiting, (-total, child))
        self.nodes += len(new)

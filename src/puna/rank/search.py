"""The most probable token sequences of a trie, exactly, by best-first search.

The log-probability of a path only falls as it grows, so a node's own is an upper bound for everything below it.
Nodes are opened in that order, many in one packed forward, until the best node left is worse than the k-th best
sequence found: then nothing better was missed. Sequences with their end token are disjoint events, so what lies
unopened below a node is worth at most the node's own probability. (Exact-extract, Castel et al. 2021, has the same
goal for T5, by scoring every span.)
"""

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from puna.llama.model import ROWS
from puna.rank.score import Reading
from puna.rank.trie import Trie, build_trie

_LOOKAHEAD = 6  # tokens opened in advance along a path that does not branch


@dataclass(frozen=True, slots=True)
class Found:
    """What a search knows; log-probabilities in nats, the end token's included.

    complete: (index of the sequence, score) of all that were completed, best first. bound: no other sequence has a
    higher score than this. mass: e^score of the completed ones together. unvisited: upper bound on that of all others.
    nodes, passes: work done. aside: score of the sequence set aside. outside: lower bound on the probability that the
    model writes something else than one of the sequences. A score is a log-probability, and the sequence's weight.
    """

    complete: list[tuple[int, float]]
    bound: float
    mass: float
    unvisited: float
    nodes: int
    passes: int
    aside: float
    outside: float

    def proves(self, top: int) -> bool:
        """Tell whether the first `top` are surely the most probable of all sequences, or all there are."""
        return self.bound <= (self.complete[top - 1][1] if len(self.complete) >= top else -math.inf)


class Search:
    """A search over sequences (distinct, of 1 to ROWS tokens), each followed by `end`; it can be run on.

    `aside`: a sequence that is scored with them in the first pass but is none of them, such as a refusal. `weights`: for
    each sequence, the one aside last, what another judge adds to its log-probability, at most 0 nats: the best weight
    below a node and the node's log-probability together bound what stands below it.
    """

    def __init__(
        self,
        reading: Reading,
        sequences: Sequence[list[int]],
        *,
        end: int,
        aside: Sequence[int] = (),
        weights: Sequence[float] | None = None,
    ) -> None:
        self._reading, self._end = reading, end
        trie = build_trie([*sequences, list(aside)])
        self._trie = trie
        self._children: list[list[int]] = [[] for _ in trie.tokens]
        self._roots: list[int] = []
        for node, parent in enumerate(trie.parents):
            (self._children[parent] if parent >= 0 else self._roots).append(node)
        *paths, self._aside = trie.paths
        self._sequence_at = {path[-1]: index for index, path in enumerate(paths)}
        self._weights = [0.0] * (len(sequences) + 1) if weights is None else list(weights)
        self._hope = [0.0] * len(trie.tokens)  # the best weight at a node or below
        if weights is not None:
            self._hope = [-math.inf] * len(trie.tokens)
            for node, index in self._sequence_at.items():
                self._hope[node] = weights[index]
            for node in range(len(trie.tokens) - 1, 0, -1):  # parents come before their children
                if (parent := trie.parents[node]) >= 0:
                    self._hope[parent] = max(self._hope[parent], self._hope[node])
        self._value: dict[int, float] = {-1: 0.0}  # log-probability of the path to a node; -1 is the reading itself
        self._waiting = [(0.0, -1)]  # a heap of (minus the best score there can be below, node)
        self._complete: list[tuple[float, int]] = []
        self._aside_value = -math.inf
        self._mass = self._written = 0.0  # of the completed: e^score, and probability
        self._passes = self._nodes = 0

    @torch.inference_mode()
    def run(
        self,
        top: int = 5,
        *,
        tolerance: float = math.inf,
        floor: float = math.inf,
        max_nodes: int | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Found:
        """Go on until the `top` most probable sequences are found and proven, and nothing left exceeds `floor` nats.

        With a `tolerance` it also goes on until what is unvisited is at most that share of the mass known, the sequence
        aside included. `max_nodes` bounds the work of all runs together, `stop()` ends it between two passes; what then
        holds is said by `bound` and `unvisited`.
        """
        while self._waiting and not stop():
            room = ROWS if max_nodes is None else max_nodes - self._nodes
            if self._waiting[0][1] < 0:
                self._start(min(room, ROWS - len(self._aside)))
                continue
            found = self._found()
            known = found.mass + math.exp(found.aside)
            done = found.proves(top) and found.bound <= floor and found.unvisited <= tolerance * known
            if room < 1 or done:
                return found
            self._pass(*self._choose(min(room, ROWS)))
        return self._found()

    def _found(self) -> Found:
        self._complete.sort(reverse=True)
        return Found(
            complete=[(index, value) for value, index in self._complete],
            bound=-self._waiting[0][0] if self._waiting else -math.inf,
            mass=self._mass,
            unvisited=math.fsum(math.exp(-value) for value, _ in self._waiting),
            nodes=self._nodes,
            passes=self._passes,
            aside=self._aside_value,
            outside=max(0.0, 1.0 - self._written - math.fsum(math.exp(self._value[n]) for _, n in self._waiting)),
        )

    def _start(self, limit: int) -> None:
        """Take the first tokens' log-probabilities from the reading; open the sequence set aside and some more."""
        self._waiting = []
        self._settle(self._reading.hidden, [-1], {-1})
        if self._aside:
            self._waiting = [item for item in self._waiting if item[1] not in self._aside]
            heapq.heapify(self._waiting)
            self._pass(*self._choose(limit, self._aside))
            self._nodes -= len(self._aside)

    def _path(self, node: int) -> list[int]:
        """Nodes from a root to this one."""
        path = [node]
        while (parent := self._trie.parents[path[-1]]) >= 0:
            path.append(parent)
        return path[::-1]

    def _choose(self, limit: int, first: Sequence[int] = ()) -> tuple[list[int], set[int]]:
        """Fill a pass: `first`, then the best waiting nodes, what leads to them, and what surely follows them.

        Gives (all nodes of the pass, parents first; those opened for the first time, at most `limit` and `first`).
        """
        rows = dict.fromkeys(first)
        new = dict.fromkeys(first)
        limit += len(first)
        while self._waiting and len(new) < limit:
            node = self._waiting[0][1]
            path = [n for n in self._path(node) if n not in rows]
            if rows and len(rows) + len(path) > ROWS:
                break
            heapq.heappop(self._waiting)
            rows.update(dict.fromkeys(path))
            new[node] = None
            for _ in range(_LOOKAHEAD):
                if len(self._children[node]) != 1 or len(rows) >= ROWS or len(new) >= limit:
                    break
                node = self._children[node][0]
                rows[node] = new[node] = None
        return list(rows), set(new)

    def _pass(self, rows: list[int], new: set[int]) -> None:
        place = {node: row for row, node in enumerate(rows)}
        parents = [place.get(self._trie.parents[node], -1) for node in rows]
        tokens, depths = self._trie.tokens, self._trie.depths
        part = Trie([tokens[n] for n in rows], parents, [depths[n] for n in rows], [])
        self._settle(self._reading.open(part), rows, new)
        self._passes += 1
        self._nodes += len(new)

    def _settle(self, hidden: torch.Tensor, rows: list[int], new: set[int]) -> None:
        """Take the log-probabilities of what follows each newly opened node."""
        asked: list[tuple[int, int, int]] = []  # (row, node, child), child -1 for the end token
        last = self._aside[-1] if self._aside else None
        for row, node in enumerate(rows):
            if node not in new:
                continue
            asked += [(row, node, child) for child in (self._children[node] if node >= 0 else self._roots)]
            if node in self._sequence_at or node == last:
                asked.append((row, node, -1))
        model = self._reading.model
        where = torch.tensor([row for row, _, _ in asked], device=model.device)
        what = [self._trie.tokens[child] if child >= 0 else self._end for _, _, child in asked]
        values = model.log_probs(hidden, where, torch.tensor(what, device=model.device)).tolist()
        for (_, node, child), value in zip(asked, values, strict=True):
            total = self._value[node] + value
            if child < 0:
                self._finish(node, total, node == last)
                continue
            self._value[child] = total
            if child not in new:
                heapq.heappush(self._waiting, (-total - self._hope[child], child))

    def _finish(self, node: int, total: float, aside: bool) -> None:
        if aside:
            self._aside_value = total + self._weights[-1]
        if (index := self._sequence_at.get(node)) is not None:
            score = total + self._weights[index]
            self._complete.append((score, index))
            self._mass += math.exp(score)
            self._written += math.exp(total)

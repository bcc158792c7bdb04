"""Prompts that were read, kept in sections, so that the next one reads only where it differs from all of them."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from itertools import pairwise

import torch

from puna.llama.cache import Cache, whole
from puna.llama.model import ROWS, Llama
from puna.rank.kept import KeptFiles
from puna.rank.score import Reading

MEMORY = 1 << 30  # bytes of keys and values: about 40 windows of the default model
_REST = 32  # tokens behind the sections that there is room for without a copy, and ROWS of candidates

Chain = tuple[bytes, ...]


class Shelf:
    """Reads prompts in sections and keeps all but the last one, the question, for prompts that begin with them.

    A section is always read as one piece, whether for this prompt or for an earlier one, in this process or in another,
    so a prompt's numbers do not depend on what was read before it. A new reading ends the one before.

    What is kept takes at most `memory` bytes, the open reading's own sections included, which stay whatever they take.
    A prompt is read behind its sections where these are kept, so nothing is copied; if its candidates need more room
    than there is, that is the reading's own and goes with it. `files` keeps sections on disk as well.
    """

    def __init__(self, model: Llama, *, memory: int = MEMORY, files: KeptFiles | None = None) -> None:
        self.model = model
        self._memory, self._files = memory, files
        self._kept: dict[Chain, Cache] = {}  # least recently used first
        self._used: set[Chain] = set()  # by the present question
        self._open: Reading | None = None
        self._block = model.new_cache(1).nbytes
        self._lent: set[Chain] = set()  # an open reading goes on in their memory
        self._lends: Chain = ()  # the one of them that this view's does
        self._being_read: list[Chain] = []
        self._salt = b""
        self._wait: Callable[[], None] | None = None

    def beside(self, *, salt: bytes = b"", wait: Callable[[], None] | None = None) -> "Shelf":
        """Give another view of this shelf, for questions that take turns: what is kept is common, readings are not.

        Only one view is at work at a time, and turns change only inside the model's calls and in `wait`, which a view
        calls while another one reads what it needs, too. Views with different salts find nothing of each other's.
        """
        other = copy(self)
        other._open, other._lends, other._used, other._salt, other._wait = None, (), set(), salt, wait
        return other

    def close(self) -> None:
        """End the open reading; what is kept stays."""
        self._close()

    @property
    def nbytes(self) -> int:
        """Memory of what is kept."""
        return sum(cache.nbytes for cache in self._kept.values())

    def begin(self) -> None:
        """Begin a question: what it uses from now on goes last."""
        self._used.clear()
        if self._files:
            self._files.begin()

    @torch.inference_mode()
    def read(self, tokens: Sequence[int], cuts: Sequence[int] = ()) -> Reading:
        """Read a prompt whose sections end at `cuts` (rising, inside the prompt) and at its end; empty ones are none."""
        tokens, cuts = list(tokens), _ends(cut for cut in cuts if cut < len(tokens))
        self._close()
        chain = _chain(tokens, cuts, self._salt)
        cache = self._sections(tokens, cuts, chain, len(tokens)).share()
        if self._kept.get(chain) is not None and chain not in self._lent:
            self._lent.add(chain)
            self._lends = chain
        self._open = Reading(self.model, cache, tokens[cache.length :])
        return self._open

    @torch.inference_mode()
    def read_ahead(self, tokens: Sequence[int], cuts: Sequence[int]) -> None:
        """Read the sections of a prompt that end at `cuts`, for what will stand behind them."""
        self._close()
        if cuts := _ends(cuts):
            self._sections(list(tokens), cuts, _chain(tokens, cuts, self._salt), cuts[-1])

    def _close(self) -> None:
        """End the open reading, so that it cannot pass for another of the same length, nor hold memory."""
        if self._open is not None:
            self._open.close()
            self._open = None
        self._lent.discard(self._lends)
        self._lends = ()

    def _sections(self, tokens: list[int], cuts: list[int], chain: Chain, end: int) -> Cache:
        """Give the cache of the sections up to the last cut, with room behind them for a prompt up to `end`."""
        length = cuts[-1] if cuts else 0
        capacity = whole(length + max(end - length, _REST) + ROWS)
        while self._wait and self._comes(chain):
            self._wait()
        kept = self._kept.get(chain)
        if kept is None or kept.capacity < capacity or chain in self._lent:
            self._being_read.append(chain)
            try:
                kept = self._read(tokens, cuts, chain, capacity)
            finally:
                self._being_read.remove(chain)
        if cuts and chain not in self._lent:
            self._kept.pop(chain, None)
            self._kept[chain] = kept
            self._used.add(chain)
        if self._files:
            self._files.touch(chain)
        return kept

    def _comes(self, chain: Chain) -> bool:
        """Tell whether another view is reading more of what this chain begins with than is kept."""
        most = max((_shared(other, chain) for other in self._being_read), default=0)
        return most > max((_shared(other, chain) for other in self._kept), default=0)

    def _read(self, tokens: list[int], cuts: list[int], chain: Chain, capacity: int) -> Cache:
        """Make a cache of the sections: from memory as far as another prompt shares them, from disk, or by reading."""
        source = max(reversed(self._leaving()), key=lambda other: _shared(other, chain), default=())
        stands = _shared(source, chain)
        self._make_room(capacity, source if stands else ())
        cache = self.model.new_cache(capacity, span=self.model.config.context)
        if stands:
            cache.fill(*self._kept[source].blocks(cuts[stands - 1]), cuts[stands - 1])
        self._make_room(capacity)  # what was copied may go as well
        if self._files:
            later = range(len(cuts), stands, -1)
            stands = next((n for n in later if self._files.load(chain[n - 1], cuts[n - 1], cache)), stands)
        for start, end, section in list(zip((0, *cuts), cuts, chain, strict=False))[stands:]:
            self.model.read(tokens[start:end], cache)
            if self._files:
                self._files.save(section, cache)
        return cache

    def _leaving(self) -> list[Chain]:
        """What is kept in the order in which it goes: the least recently used first, that of other questions first.

        Of what the present question has used, the latest goes first. A text that does not fit is read from its
        beginning to its end for each question: were the oldest dropped, each window would go just before it is needed
        again, and nothing would ever be found. This way the windows that fit stay, and one place is for all others.
        """
        others = [chain for chain in self._kept if chain not in self._used]
        return others + [chain for chain in reversed(self._kept) if chain in self._used]

    def _make_room(self, capacity: int, but: Chain = ()) -> None:
        """Drop what is kept, except for `but`, until `capacity` slots fit beside the rest."""
        excess = self.nbytes + capacity // 32 * self._block - self._memory
        for chain in self._leaving():
            if excess <= 0:
                return
            if chain != but:
                excess -= self._kept.pop(chain).nbytes


def _ends(cuts: Iterable[int]) -> list[int]:
    """Give the ends of the sections that hold something."""
    return list(dict.fromkeys(cut for cut in cuts if cut > 0))


def _chain(tokens: Sequence[int], cuts: Sequence[int], salt: bytes = b"") -> Chain:
    """Give, for each section, a digest of it and of all before it: equal only for equal tokens, cuts and salts."""
    found: list[bytes] = []
    for start, end in pairwise((0, *cuts)):
        before = found[-1] if found else salt
        found.append(hashlib.sha256(before + array("q", tokens[start:end]).tobytes()).digest())
    return tuple(found)


def _shared(one: Chain, other: Chain) -> int:
    """Count the sections with which both begin."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

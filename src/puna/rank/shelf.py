"""The last prompt that was read, kept so that the next one reads only where it differs."""

from collections.abc import Sequence
from copy import copy
from itertools import pairwise

import torch

from puna.llama.cache import Cache
from puna.llama.model import ROWS, Llama
from puna.rank.score import Reading


class Shelf:
    """Reads prompts in sections and keeps the sections that the next prompt begins with as well.

    A section is always read as one piece, whether it is the first prompt's or a later one's, so a prompt's numbers do
    not depend on what was read before it. A new reading ends the one before.
    """

    def __init__(self, model: Llama) -> None:
        self.model = model
        self._cache: Cache | None = None
        self._tokens: list[int] = []
        self._cuts: tuple[int, ...] = ()

    @torch.inference_mode()
    def read(self, tokens: Sequence[int], cuts: Sequence[int] = ()) -> Reading:
        """Read a prompt whose sections end at `cuts` (rising, inside the prompt) and at its end."""
        tokens, cuts = list(tokens), tuple(cut for cut in cuts if 0 < cut < len(tokens))
        if self._cache is None:
            self._cache = self.model.new_cache(len(tokens) + ROWS, span=self.model.config.context)
        kept = max(
            (
                cut
                for n, cut in enumerate(cuts, 1)
                if cut <= self._cache.length and cuts[:n] == self._cuts[:n] and tokens[:cut] == self._tokens[:cut]
            ),
            default=0,
        )
        self._tokens, self._cuts = [], ()  # an interrupted reading leaves nothing to go on from
        before, self._cache = self._cache, copy(self._cache)  # the same slots
        before.truncate(0)  # so that a reading which is over cannot pass for one of the same length
        self._cache.truncate(kept)
        hidden = torch.empty(0)
        for start, end in pairwise((kept, *(cut for cut in cuts if cut > kept), len(tokens))):
            hidden = self.model.read(tokens[start:end], self._cache)
        self._tokens, self._cuts = tokens, cuts
        return Reading(self.model, self._cache, hidden, len(tokens))

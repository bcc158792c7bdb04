"""Puna as a worker: through what the package offers to anybody."""

from collections.abc import Sequence

import torch
from protocol import Candidates, Engine, Job, common, serve

import puna
from puna.decode.sampling import Sampler, Sampling
from puna.llama.cache import Cache
from puna.rank.score import Reading, score

_ROOM = 256  # tokens that may be written before the cache grows, as in `Reader.generate`


class Puna(Engine):
    """The reader of `puna.load`, and its model."""

    way = "all candidates as one trie behind the kept text"
    _reader: "puna.Reader"
    _cache: Cache
    _hidden: torch.Tensor

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.about = f"puna {puna.__version__}, torch {torch.__version__}"
        self._path: str = job["model"]
        self._end: int = job["end"]
        self._tokens: list[int] = []

    def load(self) -> None:
        """Load the model."""
        vars(self).pop("_reader", None)
        self._reader = puna.load(self._path, adapter=None, device="cpu")
        self._choose = Sampler(Sampling(), self._reader.tokenizer.vocab_size)

    def forget(self) -> None:
        """Start over, with a reader that knows no text."""
        known = self._reader
        self._reader = type(known)(known.model, known.tokenizer, known.name)
        self._tokens = []

    @torch.inference_mode()
    def read(self, tokens: Sequence[int]) -> None:
        """Read what does not stand in the cache."""
        model = self._reader.model
        kept = min(common(self._tokens, tokens), len(tokens) - 1)
        if not kept:
            self._cache = model.new_cache(len(tokens) + _ROOM, span=model.config.context)
        self._cache.truncate(kept)
        self._reading = Reading(model, self._cache, tokens[kept:])
        self._hidden = self._reading.hidden
        self._tokens = list(tokens)

    @torch.inference_mode()
    def write(self, count: int) -> None:
        """Write greedily."""
        model = self._reader.model
        for _ in range(count):
            token = self._choose(model.logits(self._hidden)[0])
            self._hidden = model.read([token], self._cache)
            self._tokens.append(token)

    def rank(self, candidates: Candidates) -> list[float]:
        """Score the candidates' trie."""
        return [
            float(each.sum()) for each in score(self._reading, [list(one) for one in candidates], end=self._end)
        ]

    def ask(self, question: Job) -> None:
        """Ask as a user does."""
        self._reader.ask(question["question"], question["text"], question["answers"])


if __name__ == "__main__":
    serve(Puna)

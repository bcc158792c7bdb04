"""Exact log-probabilities of many candidates behind one text that is read once.

The chain rule does it: log P(candidate | text) is the sum of its tokens' log-probabilities, the end token's
included, and a packed forward over the candidates' trie gives every term (tree mask: SpecInfer, Miao et al.
2023, used here to score instead of to draft).
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from puna.llama.cache import Cache
from puna.llama.model import CHUNK, ROWS, Llama
from puna.rank.trie import Trie, build_trie, common_prefix
from puna.shapes import Float


class Reading:
    """A text: what stands in the cache was read, and `rest`, what follows it, will be when it is needed.

    `length` counts all tokens.
    """

    def __init__(self, model: Llama, cache: Cache, rest: Sequence[int]) -> None:
        self.model, self.cache = model, cache
        self.length = cache.length + len(rest)
        self._rest = list(rest)
        self._hidden: Tensor | None = None
        self._over = False

    @property
    def hidden(self) -> Float[Tensor, "1 D"]:
        """The hidden state the next token hangs on."""
        if self._hidden is None:
            self._check(self.length - len(self._rest))
            with torch.inference_mode():
                self._hidden = self.model.read(self._rest, self.cache)
        return self._hidden

    def finish(self) -> None:
        """Read what is still to be read; raise RuntimeError where the cache has gone on to another reading."""
        if self._rest:
            self.hidden  # noqa: B018  it is read when it is asked for
        self._check(self.length)

    def open(self, trie: Trie) -> Float[Tensor, "n D"]:
        """Give the hidden states of a trie's nodes behind the text; the reading stays as it is.

        A trie of more nodes than go into a forward must be a chain: each part then stands on the one before.
        """
        self.finish()
        most = _rows(self.model)
        try:
            starts = range(0, len(trie.tokens), most)
            parts = [self._forward(trie, start, min(start + most, len(trie.tokens))) for start in starts]
        finally:
            self.cache.truncate(self.length)
        return torch.cat(parts) if parts else self.hidden[:0]

    def follow(self, trie: Trie) -> Float[Tensor, "m D"]:
        """Give `hidden`, then what `open` gives: in one pass where the text's end is still to be read."""
        count, nodes = len(self._rest), len(trie.tokens)
        if self._hidden is not None or not 0 < nodes <= CHUNK or not self.model.takes_chain(count):
            return torch.cat((self.hidden, self.open(trie)))
        tokens = torch.tensor(self._rest + trie.tokens)
        start = self.length - count
        positions = torch.cat((torch.arange(start, self.length), trie.positions(self.length)))
        self._check(start)
        with torch.inference_mode():
            states: Tensor = self.model(tokens, positions, self.cache, trie.mask(0, nodes), chain=count)
        self.cache.truncate(self.length)
        self._hidden = states[count - 1 : count]
        return states[count - 1 :]

    def until(self, length: int) -> "Reading":
        """Give the reading of the first `length` tokens, nothing known of what follows; this one is over."""
        if length > self.cache.length:
            self.finish()
        self.cache.truncate(length)
        self._over = True
        return Reading(self.model, self.cache, [])

    def close(self) -> None:
        """End it, and give back its memory."""
        self._over = True
        self.cache.release()

    def _check(self, length: int) -> None:
        if self._over or self.cache.length != length:
            raise RuntimeError("the cache has gone on to another reading")

    def _forward(self, trie: Trie, start: int, stop: int) -> Tensor:
        count, device = stop - start, self.model.device
        rows = self.model.rows_for(count)
        tokens = torch.zeros(rows, dtype=torch.long)
        tokens[:count] = torch.tensor(trie.tokens[start:stop])
        positions = torch.full((rows,), self.length)
        positions[:count] = trie.positions(self.length)[start:stop]
        mask = torch.eye(rows, dtype=torch.bool)  # padding sees itself alone
        mask[:count, :count] = trie.mask(start, stop)
        hidden: Tensor = self.model(tokens.to(device), positions.to(device), self.cache, mask.to(device))
        return hidden[:count]


@torch.inference_mode()
def read(model: Llama, tokens: Sequence[int], *, span: int | None = None) -> Reading:
    """Read a prompt once; `span`: positions the whole job will use (default: the model's context)."""
    return Reading(model, model.new_cache(len(tokens) + ROWS, span=span or model.config.context), tokens)


@torch.inference_mode()
def score(reading: Reading, candidates: Sequence[list[int]], *, end: int | None) -> list[Float[Tensor, " n"]]:
    """Give, for each candidate, the log-probability (nats) of each of its tokens, then of `end` if given.

    The reading is not changed and can be scored against again. The same candidate gets the same numbers, to the
    last bit, alone or in any company and order (one of more tokens than go into a forward is read alone, in a chain).
    """
    results: list[Tensor] = [torch.empty(0)] * len(candidates)
    wanted = [list(candidate) if end is None else [*candidate, end] for candidate in candidates]
    leading = [tokens[:-1] for tokens in wanted]  # a last token predicts nothing that is asked for
    for chunk in _passes(leading, _rows(reading.model)):
        trie = build_trie([leading[i] for i in chunk])
        hidden = reading.follow(trie)
        for index, values in zip(
            chunk, _pick(reading.model, hidden, [wanted[i] for i in chunk], trie), strict=True
        ):
            results[index] = values
    return results


def _rows(model: Llama) -> int:
    """Give the rows of a forward at most; fewer where they are padded to that number."""
    return ROWS if model.packed is None else CHUNK


def _passes(candidates: Sequence[list[int]], most: int) -> Iterator[list[int]]:
    """Cut the sorted candidates where their trie would outgrow a forward; neighbours share most."""
    chunk: list[int] = []
    nodes = 0
    previous: Sequence[int] = ()
    for index in sorted(range(len(candidates)), key=lambda i: candidates[i]):
        sequence = candidates[index]
        new = len(sequence) - common_prefix(previous, sequence)
        if chunk and nodes + new > most:
            yield chunk
            chunk, nodes, new = [], 0, len(sequence)
        chunk.append(index)
        nodes += new
        previous = sequence
    if chunk:
        yield chunk


def _pick(model: Llama, hidden: Tensor, wanted: list[list[int]], trie: Trie) -> Iterable[Tensor]:
    """Row 0 of `hidden` predicts first tokens, row 1 + node what follows that node."""
    rows: list[int] = []
    targets: list[int] = []
    for tokens, path in zip(wanted, trie.paths, strict=True):
        rows += [0, *(1 + node for node in path)][: len(tokens)]
        targets += tokens
    values = model.log_probs(
        hidden, torch.tensor(rows, device=model.device), torch.tensor(targets, device=model.device)
    )
    return torch.split(values.cpu(), [len(tokens) for tokens in wanted])

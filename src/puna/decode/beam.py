"""The most probable ways to write on, by beam search over one cache.

The open beams of all prompts go through one forward a step. Their tokens stay in the cache behind the prompts, a tree of
which each beam sees its own branch, so nothing is read twice and no keys are copied. Every beam may end at every step,
however many others are more probable than its end. The search stops when no open beam can come to more than what has
ended: a log-probability only falls as a text grows, and the longest text allowed bounds what the division by length
can give back (Wu et al. 2016), so stopping never loses what going on would have found.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from puna.errors import InputError, ModelFileError
from puna.llama.cache import Cache
from puna.llama.model import CHUNK, Llama
from puna.shapes import Bool, Float, Int


@dataclass(frozen=True, slots=True)
class Beams:
    """How to search; raises InputError for values that mean nothing.

    width: how many unfinished texts are kept at a step. n_best: how many finished ones are wanted. alpha: a score is the
    log-probability over ((5 + tokens) / 6)^alpha, the end token counted; 0 compares probabilities as they are, more
    favours longer texts. min_tokens, max_tokens: of a text, its end token not counted; shorter ones are no texts here.
    """

    width: int = 4
    n_best: int = 1
    alpha: float = 0.0
    max_tokens: int = 256
    min_tokens: int = 0

    def __post_init__(self) -> None:
        if not _count(self.width):
            raise InputError("E-BEAMS", value=self.width)
        if not _count(self.n_best):
            raise InputError("E-N-BEST", value=self.n_best)
        if not _count(self.max_tokens):
            raise InputError("E-MAX-TOKENS", value=self.max_tokens)
        if self.min_tokens != 0 and not (_count(self.min_tokens) and self.min_tokens <= self.max_tokens):
            raise InputError("E-MIN-TOKENS", value=self.min_tokens, most=self.max_tokens)
        if type(self.alpha) not in (int, float) or not 0 <= self.alpha < math.inf:
            raise InputError("E-ALPHA", value=self.alpha)

    def score(self, log_probability: float, tokens: int) -> float:
        """Give the score of a text of so many tokens, the end token counted."""
        return log_probability / float(((5 + tokens) / 6) ** self.alpha)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text's tokens without the end token, its log-probability in nats with it, and its score.

    Where not `ended` the text has reached its greatest length, and the log-probability is that of a text beginning so.
    """

    tokens: list[int]
    log_probability: float
    score: float
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """What a search found: hypotheses, best first; no other text has a score above `bound`.

    There are fewer than were wanted where fewer have ended, and where none has, the most probable unended ones.
    """

    hypotheses: list[Hypothesis]
    bound: float

    def proves(self, top: int = 1) -> bool:
        """Tell whether the first `top` are surely the best of all texts that are neither too short nor too long."""
        return len(ended := [each for each in self.hypotheses if each.ended]) >= top and (
            ended[top - 1].score >= self.bound
        )


class BeamSearch:
    """Writes on from prompts that all begin with `prefix`, which is read once.

    `end` ends a text. `allowed` [V]: which tokens a text may have, None for all; the log-probabilities are the model's
    own, so what is not allowed takes its share of them.
    """

    def __init__(
        self, model: Llama, prefix: Sequence[int], *, end: int, allowed: Bool[Tensor, " V"] | None = None
    ) -> None:
        size = model.config.vocab_size
        self._model, self._prefix, self._end = model, list(prefix), end
        closed = torch.zeros(size, dtype=torch.bool) if allowed is None else ~allowed
        closed[end] = True
        self._closed = closed.to(model.device)
        self._tree = _Tree(model)

    @property
    def room(self) -> int:
        """Tokens that a prompt behind the prefix and a text can have together."""
        return self._model.config.context - len(self._prefix)

    @torch.inference_mode()
    def __call__(
        self, prompts: Sequence[Sequence[int]], settings: Beams, limits: Sequence[int] | None = None
    ) -> list[Written]:
        """Write on from each prompt; `limits`: the most tokens of each, no more than the settings have.

        Raises InputError for a prompt without tokens or without room, ModelFileError where the model's scores are no
        numbers. Log-probabilities are those of `puna.rank.score`, up to the rounding of sums in another order.
        """
        wanted = [settings.max_tokens] * len(prompts) if limits is None else limits
        hunts = []
        for prompt, limit in zip(prompts, wanted, strict=True):
            if not prompt:
                raise InputError("E-PROMPT-EMPTY")
            if len(prompt) > self.room:
                context = self._model.config.context
                raise InputError("E-PROMPT-LONG", length=len(self._prefix) + len(prompt), context=context)
            most = max(1, min(settings.max_tokens, limit, self.room - len(prompt)))
            hunts.append(_Hunt(settings, most, len(self._prefix) + len(prompt)))
        tree = self._tree
        tree.begin(self._model, self._prefix)
        try:
            hidden = self._read(prompts)
            while rows := [(hunt, beam) for hunt in hunts for beam in hunt.open]:
                self._step(hunts, rows, hidden)
                rows = [(hunt, beam) for hunt in hunts for beam in hunt.open]
                if rows:
                    hidden = tree.grow(
                        self._model,
                        torch.tensor([beam.tokens[-1] for _, beam in rows]),
                        torch.tensor([hunt.start + len(beam.tokens) - 1 for hunt, beam in rows]),
                        torch.tensor([beam.parent for _, beam in rows]),
                    )
        finally:
            tree.end(len(self._prefix))
        return [hunt.written() for hunt in hunts]

    def _read(self, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "N D"]:
        """Read the prompts side by side, each by itself; give the last hidden state of each."""
        lengths = [len(prompt) for prompt in prompts]
        if not lengths:
            return torch.empty(0, self._model.config.width)
        tokens = torch.tensor([token for prompt in prompts for token in prompt])
        positions = torch.cat([torch.arange(length) for length in lengths]) + len(self._prefix)
        owners = torch.repeat_interleave(torch.arange(len(prompts)), torch.tensor(lengths))
        mask = (owners[:, None] == owners) & torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
        hidden = self._tree.put(self._model, tokens, positions, mask)
        last = torch.tensor(lengths).cumsum(0) - 1
        self._tree.seen = mask[last]
        return hidden[last.to(hidden.device)]

    def _step(self, hunts: Sequence["_Hunt"], rows: Sequence[tuple["_Hunt", "_Beam"]], hidden: Tensor) -> None:
        """Let every open beam end, and take the most probable continuations."""
        width = max(hunt.settings.width for hunt in hunts)
        count = min(width + 1, len(self._closed))  # one more than may be taken: the best that is not
        ends: list[float] = []
        values: list[list[float]] = []
        ids: list[list[int]] = []
        for start in range(0, len(rows), CHUNK):
            scores = self._model.logits(hidden[start : start + CHUNK]).float().log_softmax(-1)
            if not bool(torch.isfinite(best := scores.amax(-1)).all()):
                raise ModelFileError("E-LOGITS", value=best[~torch.isfinite(best)][0].item())
            ends += scores[:, self._end].tolist()
            found = scores.masked_fill_(self._closed, -math.inf).topk(count)
            values += found.values.tolist()
            ids += found.indices.tolist()
        row = 0
        for hunt in hunts:
            if reach := len(hunt.open):
                part = slice(row, row + reach)
                hunt.step(row, ends[part], values[part], ids[part])
                row += reach


class _Tree(Cache):
    """A chain of tokens, and behind it a tree, of which it knows the positions and what the open ends see."""

    def __init__(self, model: Llama) -> None:
        config = model.config
        super().__init__(config, CHUNK, span=config.context, dtype=model.dtype, device=model.device)
        self._branches = torch.empty(0, dtype=torch.long)
        self.seen = torch.empty(0, 0, dtype=torch.bool)

    def begin(self, model: Llama, prefix: Sequence[int]) -> None:
        """Read the prefix, unless it was read before."""
        if prefix and not self.length:
            model.read(prefix, self)

    def end(self, length: int) -> None:
        """Forget the tree; and the prefix, where reading that was interrupted."""
        self._branches = self._branches[:0]
        self.truncate(length if self.length >= length else 0)

    def grow(
        self, model: Llama, tokens: Int[Tensor, " R"], positions: Int[Tensor, " R"], parents: Int[Tensor, " R"]
    ) -> Float[Tensor, "R D"]:
        """Read a token behind each of the ends `parents`; they are the open ends then."""
        self.seen = torch.cat((self.seen[parents], torch.eye(len(tokens), dtype=torch.bool)), 1)
        return self.put(model, tokens, positions, self.seen)

    def put(
        self, model: Llama, tokens: Int[Tensor, " T"], positions: Int[Tensor, " T"], mask: Bool[Tensor, "T M"]
    ) -> Float[Tensor, "T D"]:
        """Read tokens of which each sees the keys behind the chain that its row of the mask says."""
        device, parts = model.device, []
        before = mask.shape[1] - len(tokens)
        for start in range(0, len(tokens), CHUNK):
            stop = min(start + CHUNK, len(tokens))
            seen = mask[start:stop, : before + stop]
            parts.append(
                model(tokens[start:stop].to(device), positions[start:stop].to(device), self, seen.to(device))
            )
            self._branches = torch.cat((self._branches, positions[start:stop]))
        return torch.cat(parts)

    def places(self, positions: Int[Tensor, " T"]) -> Int[Tensor, " S"]:
        """Give the positions of all keys, the new ones' included."""
        chain = torch.arange(self.length - len(self._branches), device=positions.device)
        return torch.cat((chain, self._branches.to(positions.device), positions)).to(positions.dtype)


@dataclass(frozen=True, slots=True)
class _Beam:
    """A text that has not ended; `parent`: the row, in the step before, of the one that it goes on from."""

    tokens: list[int]
    value: float
    parent: int = 0


@dataclass
class _Hunt:
    """The search behind one prompt, whose text begins at position `start`."""

    settings: Beams
    limit: int
    start: int
    open: list[_Beam] = field(default_factory=lambda: [_Beam([], 0.0)])
    ended: list[tuple[float, int, Hypothesis]] = field(default_factory=list)  # a heap of the n best, least first
    over: list[_Beam] = field(default_factory=list)  # those that have reached the limit
    dropped: float = -math.inf  # the greatest log-probability of what was not followed
    passed: float = -math.inf  # the best score of what has ended and is none of the n best
    count: int = 0

    def step(self, row: int, ends: list[float], values: list[list[float]], ids: list[list[int]]) -> None:
        """Take a step; `ends`, `values` and `ids` are of the open beams, the first of which has the row `row`."""
        for beam, end in zip(self.open, ends, strict=True):
            total, size = beam.value + end, len(beam.tokens) + 1
            if total > -math.inf and len(beam.tokens) >= self.settings.min_tokens:
                self._finish(Hypothesis(beam.tokens, total, self.settings.score(total, size)))
        if len(self.open[0].tokens) >= self.limit:
            self.over, self.open = self.open, []
            return
        every = [
            (beam.value + value, -(row + n), -token, beam)
            for n, beam in enumerate(self.open)
            for value, token in zip(values[n], ids[n], strict=True)
            if value > -math.inf
        ]
        # Of equals the first beam's and the lowest id, so that nothing depends on the order of topk.
        best = heapq.nlargest(self.settings.width + 1, every, key=lambda each: each[:3])
        if len(best) > self.settings.width:
            self.dropped = max(self.dropped, best[-1][0])
        self.open = [
            _Beam([*beam.tokens, -token], total, -place)
            for total, place, token, beam in best[: self.settings.width]
        ]
        if self.open and self._decided(self._hope(self.open[0].value)):
            self.dropped = max(self.dropped, self.open[0].value)
            self.open = []

    def written(self) -> Written:
        """Give what was found."""
        found = [hypothesis for _, _, hypothesis in sorted(self.ended, reverse=True)]
        if not found:
            found = [
                Hypothesis(beam.tokens, beam.value, self.settings.score(beam.value, len(beam.tokens)), ended=False)
                for beam in self.over[: self.settings.n_best]
            ]
        return Written(found, max(self._hope(self.dropped), self.passed))

    def _finish(self, found: Hypothesis) -> None:
        self.count += 1  # of equals the first stays
        heapq.heappush(self.ended, (found.score, -self.count, found))
        if len(self.ended) > self.settings.n_best:
            self.passed = max(self.passed, heapq.heappop(self.ended)[0])

    def _hope(self, value: float) -> float:
        """Give the best score that a text can come to whose beginning has this log-probability."""
        return self.settings.score(value, self.limit + 1)

    def _decided(self, hope: float) -> bool:
        return len(self.ended) == self.settings.n_best and self.ended[0][0] >= hope


def _count(value: object) -> bool:
    return type(value) is int and value > 0

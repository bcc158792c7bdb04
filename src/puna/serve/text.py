"""One text on its way: read, scored or pooled, and written on from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from puna.decode.sampling import Sampler, Sampling
from puna.decode.stops import StopFilter
from puna.serve.ground import Place
from puna.tokens.tokenizer import Tokenizer

Ended = Literal["stop", "length"]


class Scored(NamedTuple):
    """A token's log-probability (nats) where it stands, and the likeliest tokens there with theirs, best first."""

    log_probability: float
    top: tuple[tuple[int, float], ...]


class Token(NamedTuple):
    """A token that was written: where its text begins in what was written, and its scores where they were asked for."""

    id: int
    offset: int
    scored: Scored | None


class Piece(NamedTuple):
    """What was written since the last piece; `ended` with the last one."""

    text: str
    tokens: tuple[Token, ...]
    ended: Ended | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of a prompt. `scores`: how many of the likeliest tokens beside each chosen one, None for no scores.

    `echo`: scores of the prompt's tokens, too. `pool`: the mean of its hidden states, nothing written.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    scores: int | None = None
    echo: bool = False
    pool: bool = False
    new_text: bool = True

    @property
    def cost(self) -> int:
        """Tokens that are to be read and written."""
        return len(self.prompt) + self.max_tokens


class Text:
    """A text in work. `tokens`: the prompt, then what was written; `done` of them were read.

    `say` is called with each piece. `prompt_scores[n]`: of the prompt's token n given those before, where wanted; the
    first has none. `pooled`: the mean hidden state. `over` when nothing is left to do.
    """

    def __init__(self, wanted: Wanted, tokenizer: Tokenizer, tenant: str, say: Callable[[Piece], None]) -> None:
        self.wanted, self.tenant = wanted, tenant
        self.tokens = list(wanted.prompt)
        self.done = 0
        self.place: Place | None = None
        self.follows: tuple[Text, int] | None = None  # reads on from what another reads, once that is so far
        self.over = False
        self.prompt_scores: list[Scored | None] = [None]
        self.pooled: Tensor | None = None
        self.waiting_rows: Tensor | None = None  # hidden states whose logits are to be taken next
        self._hidden: list[Tensor] = []
        self._tokenizer, self._say = tokenizer, say
        self._choose = Sampler(wanted.sampling, tokenizer.vocab_size)
        self._decoder, self._filter = tokenizer.stream_decoder(), StopFilter(wanted.stop)
        if not wanted.new_text and wanted.prompt:
            self._decoder.feed(wanted.prompt[-1])
        self._decoded = self._released = 0  # characters
        self._waiting: list[Token] = []

    @property
    def room(self) -> int:
        """Slots that it may need: the last token written is never read."""
        return max(1, self.wanted.cost - 1) if self.wanted.max_tokens else len(self.tokens)

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's own tokens are scored."""
        return self.wanted.echo and self.wanted.scores is not None

    @property
    def reading(self) -> bool:
        """Whether the prompt is not read to its end."""
        return self.done < len(self.wanted.prompt)

    def known(self, *, scored: bool) -> int:
        """Tokens that another text can take over; `scored`: with their scores."""
        return min(self.done, len(self.prompt_scores) - 1) if scored else self.done

    def rows(self, hidden: Tensor) -> Tensor:
        """Take the hidden states [n, D] of the n tokens that were read last; give those whose logits are needed."""
        self.done += len(hidden)
        if self.wanted.pool:
            self._hidden.append(hidden.cpu().clone())
            if not self.reading:
                self.pooled = torch.cat(self._hidden).double().mean(0)
                self._end("stop", "")
            return hidden[:0]
        if self.scores_prompt and self.done <= len(self.wanted.prompt):
            return hidden if self.wanted.max_tokens or self.reading else hidden[:-1]
        return hidden[:0] if self.reading else hidden[-1:]

    def take(self, logits: Tensor) -> None:
        """Take one row of logits: score the prompt's next token with it, or write a token."""
        if len(self.prompt_scores) < len(self.wanted.prompt) and self.scores_prompt:
            self.prompt_scores.append(self._score(logits, self.wanted.prompt[len(self.prompt_scores)]))
            return
        token = self._choose(logits)
        written = Token(token, self._decoded, None if self.wanted.scores is None else self._score(logits, token))
        self._waiting.append(written)
        if token in self._tokenizer.eos_ids:
            self._end("stop", "")
            return
        self.tokens.append(token)
        text = self._decoder.feed(token)
        self._decoded += len(text)
        passed = self._filter.feed(text)
        if self._filter.stopped:
            self._end("stop", passed, cut=True)
        elif len(self.tokens) == self.wanted.cost:
            self._end("length", passed)
        else:
            self._pass(passed)

    def finish(self) -> None:
        """End a text of which nothing is to be written once its prompt is read."""
        if not self.over and not self.reading and not self.wanted.max_tokens and not self.wanted.pool:
            self._end("length", "")

    def _score(self, logits: Tensor, token: int) -> Scored:
        values = torch.log_softmax(logits.float(), -1)
        top = values[: self._tokenizer.vocab_size].topk(self.wanted.scores or 1)
        best = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        return Scored(float(values[token]), best)

    def _pass(self, text: str, ended: Ended | None = None, *, cut: bool = False) -> None:
        """Let text through, and the tokens that begin in what was let through; with the last piece the others, too."""
        self._released += len(text)
        if ended is None or cut:
            ready = [token for token in self._waiting if token.offset < self._released]
        else:
            ready = self._waiting
        self._waiting = self._waiting[len(ready) :]
        if text or ended or ready:
            self._say(Piece(text, tuple(ready), ended))

    def _end(self, reason: Ended, text: str, *, cut: bool = False) -> None:
        self.over = True
        if not cut:
            tail = self._decoder.flush()
            text += self._filter.feed(tail)
            cut = self._filter.stopped
            text += self._filter.flush()
        self._pass(text, "stop" if cut else reason, cut=cut)

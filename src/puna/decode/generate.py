"""A prompt continued token by token: read once, one cache, text streamed as it becomes certain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from puna.decode.sampling import Sampler, Sampling
from puna.decode.stops import StopFilter
from puna.errors import InputError
from puna.llama.model import CHUNK, Llama
from puna.llama.step import writing
from puna.tokens.tokenizer import Tokenizer

StopReason = Literal["end", "stop", "length", "context"]


@dataclass(frozen=True, slots=True)
class Generated:
    """What the model wrote: its text up to a stop string, all tokens chosen but the end token, and why it ended.

    "end": the model ended its turn; "stop": a stop string came, whose tokens are in `tokens`; "length":
    `max_tokens` were written; "context": the model has no position for a further token.
    """

    text: str
    tokens: list[int]
    stop_reason: StopReason


@torch.inference_mode()
def generate(
    model: Llama,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    settings: Sampling,
    *,
    max_tokens: int,
    stop: Sequence[str] = (),
    on_text: Callable[[str], None] | None = None,
    new_text: bool = True,
) -> Generated:
    """Continue `prompt` until an end token, a stop string, `max_tokens`, or the end of the model's context.

    `on_text` gets the text in pieces as it is written: whole characters, never a part of a stop string, and
    joined the same as the result's text. `new_text=False` says that the text goes on from the prompt's, so that a
    SentencePiece vocabulary keeps the space it begins with.
    Raises InputError for a prompt, stop string or limit without meaning.
    """
    _check(model, prompt, max_tokens, stop)
    context = model.config.context
    choose = Sampler(settings, tokenizer.vocab_size)
    decoder, filtered = tokenizer.stream_decoder(), StopFilter(stop)
    written: list[str] = []

    def write(text: str) -> None:
        if text:
            written.append(text)
            if on_text is not None:
                on_text(text)

    if not new_text:
        decoder.feed(prompt[-1])
    room = min(max_tokens, context - len(prompt))
    tokens: list[int] = []
    reason: StopReason | None = None
    with writing(model, len(prompt) + min(room, CHUNK), span=len(prompt) + room) as follow:
        logits = model.logits(model.read(prompt, follow.cache))[0]
        while reason is None:
            token = choose(logits)
            if token in tokenizer.eos_ids:
                reason = "end"
                break
            tokens.append(token)
            write(filtered.feed(decoder.feed(token)))
            if filtered.stopped:
                reason = "stop"
            elif len(tokens) == max_tokens:
                reason = "length"
            elif follow.cache.length == context:
                reason = "context"
            else:
                logits = follow(token)
    write(filtered.feed(decoder.flush()))
    write(filtered.flush())
    return Generated("".join(written), tokens, "stop" if filtered.stopped else reason)


def _check(model: Llama, prompt: Sequence[int], max_tokens: int, stop: Sequence[str]) -> None:
    size, context = model.config.vocab_size, model.config.context
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
        raise InputError("E-MAX-TOKENS", value=max_tokens)
    if isinstance(stop, str) or not all(isinstance(text, str) and text for text in stop):
        raise InputError("E-STOP")
    if not prompt:
        raise InputError("E-PROMPT-EMPTY")
    if len(prompt) > context:
        raise InputError("E-PROMPT-LONG", length=len(prompt), context=context)
    for token in prompt:
        if not 0 <= token < size:
            raise InputError("E-TOKEN-ID", id=token, size=size)

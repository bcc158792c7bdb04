"""`/v1/completions`: text written on from prompts, and scores of prompts."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from puna.decode.sampling import LARGEST_SEED, Sampling
from puna.errors import ServeError
from puna.serve.batch import Batch, Whole, check_model, prompts_of, room
from puna.serve.faults import body_of, language_of
from puna.serve.openai_schemas import Completion, CompletionAsked, CompletionChoice, Logprobs, Usage, Writing
from puna.serve.routes import GoneError, router, service_of
from puna.serve.text import Scored, Text, Token, Wanted
from puna.tokens.tokenizer import Tokenizer

completions = router()
LEAST = -9999.0  # stands for a log-probability of minus infinity


def sampling_of(asked: Writing, index: int) -> Sampling:
    """Give how choice `index` of a prompt is drawn: with a seed, each from one of its own."""
    seed = None if asked.seed is None else (asked.seed + index) & LARGEST_SEED
    return Sampling(
        temperature=asked.temperature, top_k=asked.top_k, top_p=asked.top_p, min_p=asked.min_p, seed=seed
    )


def usage_of(texts: Sequence[Text], n: int) -> Usage:
    """Count a request's tokens: prompts once, whatever is written from them, end tokens not counted."""
    read = sum(len(text.wanted.prompt) for text in texts[::n])
    written = sum(len(text.tokens) - len(text.wanted.prompt) for text in texts)
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def refuse_unsupported(asked: Writing) -> None:
    """Raise ServeError for what is asked for and not computed."""
    for name in asked.unsupported():
        raise ServeError("E-SERVE-UNSUPPORTED", field=name)


def name_of(tokenizer: Tokenizer, token: int) -> str:
    """Give a token as text; one that is no whole characters as OpenAI writes it: bytes:\\xe2\\x80."""
    raw = tokenizer.token_bytes(token)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def top_of(tokenizer: Tokenizer, token: int, scored: Scored, count: int) -> dict[str, float]:
    """Give the `count` likeliest tokens and, if it is none of them, the one that stands there, by their names."""
    found: dict[str, float] = {}
    for other, value in (*scored.top[:count], (token, scored.log_probability)):
        name = name_of(tokenizer, other)
        found[name] = max(value, LEAST, found.get(name, LEAST))
    return found


def logprobs_of(tokenizer: Tokenizer, tokens: Sequence[Token], shift: int, count: int) -> Logprobs:
    """Give the scores of tokens; `shift`: characters before the first one's text."""
    scored = [(token, token.scored) for token in tokens if token.scored]
    return Logprobs(
        text_offset=[shift + token.offset for token, _ in scored],
        token_logprobs=[max(each.log_probability, LEAST) for _, each in scored],
        tokens=[name_of(tokenizer, token.id) for token, _ in scored],
        top_logprobs=[top_of(tokenizer, token.id, each, count) for token, each in scored],
    )


def prompt_logprobs(tokenizer: Tokenizer, text: Text, count: int) -> Logprobs:
    """Give the scores of a prompt's tokens, the first one's none."""
    decoder, offsets, length = tokenizer.stream_decoder(), [], 0
    for token in text.wanted.prompt:
        offsets.append(length)
        length += len(decoder.feed(token))
    scored = list(zip(text.wanted.prompt, text.prompt_scores, strict=True))
    return Logprobs(
        text_offset=offsets,
        token_logprobs=[each and max(each.log_probability, LEAST) for _, each in scored],
        tokens=[name_of(tokenizer, token) for token, _ in scored],
        top_logprobs=[each and top_of(tokenizer, token, each, count) for token, each in scored],
    )


def joined(one: Logprobs, other: Logprobs) -> Logprobs:
    """Put scores one behind the other."""
    return Logprobs(
        text_offset=one.text_offset + other.text_offset,
        token_logprobs=one.token_logprobs + other.token_logprobs,
        tokens=one.tokens + other.tokens,
        top_logprobs=one.top_logprobs + other.top_logprobs,
    )


async def events(request: Request, chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
    """Write chunks as server-sent events; an error is an event of its own; [DONE] is the last, unless nobody reads."""
    try:
        async for chunk in chunks:
            yield f"data: {chunk.model_dump_json()}\n\n"
    except GoneError:
        return
    except Exception as error:
        body = json.dumps(body_of(error, language_of(request.headers)), ensure_ascii=False)
        yield f"data: {body}\n\n"
    yield "data: [DONE]\n\n"


@completions.post("/v1/completions", response_model=Completion, tags=["OpenAI"])
async def complete(asked: CompletionAsked, request: Request) -> Any:
    """Write on from a prompt as it stands, without a chat template."""
    service = service_of(request)
    model = check_model(service, asked.model)
    refuse_unsupported(asked)
    if asked.max_tokens == 0 and not asked.echo:
        raise ServeError("E-SERVE-FIELD", field="max_tokens", reason="0 is for scores of the prompt, with echo")
    prompts = await prompts_of(service, asked.prompt)
    wanted = [
        Wanted(
            ids,
            room(service, ids, asked.max_tokens),
            sampling_of(asked, index),
            asked.stops,
            asked.logprobs,
            echo=asked.echo,
            new_text=False,
        )
        for _, ids in prompts
        for index in range(asked.n)
    ]
    batch = Batch(request, wanted)
    head: dict[str, Any] = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
    tokenizer, count = service.tokenizer, asked.logprobs
    echoed = [
        (tokenizer.decode(ids) if text is None else text) if asked.echo else ""
        for text, ids in prompts
        for _ in range(asked.n)
    ]

    def choice(index: int, whole: Whole, *, first: bool) -> CompletionChoice:
        logprobs = None
        if count is not None:
            logprobs = logprobs_of(tokenizer, whole.tokens, len(echoed[index]), count)
            if first and asked.echo:
                logprobs = joined(prompt_logprobs(tokenizer, batch.texts[index], count), logprobs)
        text = (echoed[index] if first else "") + whole.text
        return CompletionChoice(index=index, text=text, logprobs=logprobs, finish_reason=whole.ended)

    async def chunks() -> AsyncIterator[Completion]:
        begun: set[int] = set()
        async for told in batch.pieces():
            whole = Whole()
            whole.add(told.piece)
            yield Completion(**head, choices=[choice(told.number, whole, first=told.number not in begun)])
            begun.add(told.number)
        if asked.stream_options and asked.stream_options.include_usage:
            yield Completion(**head, choices=[], usage=usage_of(batch.texts, asked.n))

    if asked.stream:
        return StreamingResponse(events(request, chunks()), media_type="text/event-stream")
    found = await batch.whole()
    choices = [choice(index, whole, first=True) for index, whole in enumerate(found)]
    return Completion(**head, choices=choices, usage=usage_of(batch.texts, asked.n))

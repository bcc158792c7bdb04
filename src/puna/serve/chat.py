"""`/v1/chat/completions`: messages in the model's own chat template, which no request can change."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from puna.serve.batch import Batch, Whole, check_model, room
from puna.serve.completions import LEAST, events, name_of, refuse_unsupported, sampling_of, usage_of
from puna.serve.openai_schemas import (
    ChatAsked,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatLogprob,
    ChatLogprobs,
    ChunkChoice,
    Delta,
    Message,
    TopLogprob,
)
from puna.serve.routes import router, service_of
from puna.serve.text import Token, Wanted
from puna.tokens.tokenizer import Tokenizer

chats = router()


def _one(tokenizer: Tokenizer, token: int, value: float) -> TopLogprob:
    return TopLogprob(
        token=name_of(tokenizer, token), bytes=list(tokenizer.token_bytes(token)), logprob=max(value, LEAST)
    )


def _logprobs(tokenizer: Tokenizer, tokens: Sequence[Token], count: int) -> ChatLogprobs:
    content = []
    for token in tokens:
        if token.scored is None:
            continue
        own = _one(tokenizer, token.id, token.scored.log_probability)
        top = [_one(tokenizer, other, value) for other, value in token.scored.top[:count]]
        content.append(ChatLogprob(**own.model_dump(), top_logprobs=top))
    return ChatLogprobs(content=content)


@chats.post("/v1/chat/completions", response_model=ChatCompletion, tags=["OpenAI"])
async def chat(asked: ChatAsked, request: Request) -> Any:
    """Write the next message of a conversation."""
    service = service_of(request)
    model = check_model(service, asked.model)
    refuse_unsupported(asked)
    tokenizer = service.tokenizer
    messages = [{"role": message.role, "content": message.text} for message in asked.messages]
    prompt = await asyncio.to_thread(tokenizer.encode_chat, messages)
    most = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    scores = (asked.top_logprobs or 0) if asked.logprobs else None
    wanted = [
        Wanted(prompt, room(service, prompt, most), sampling_of(asked, index), asked.stops, scores)
        for index in range(asked.n)
    ]
    batch = Batch(request, wanted)
    head: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def logprobs(whole: Whole) -> ChatLogprobs | None:
        return None if scores is None else _logprobs(tokenizer, whole.tokens, scores)

    async def chunks() -> AsyncIterator[ChatChunk]:
        begun: set[int] = set()
        async for told in batch.pieces():
            if told.number not in begun:
                begun.add(told.number)
                delta = Delta(role="assistant", content="")
                first = ChunkChoice(index=told.number, delta=delta, logprobs=None, finish_reason=None)
                yield ChatChunk(**head, choices=[first])
            whole = Whole()
            whole.add(told.piece)
            piece = ChunkChoice(
                index=told.number,
                delta=Delta(content=whole.text),
                logprobs=logprobs(whole),
                finish_reason=whole.ended,
            )
            yield ChatChunk(**head, choices=[piece])
        if asked.stream_options and asked.stream_options.include_usage:
            yield ChatChunk(**head, choices=[], usage=usage_of(batch.texts, asked.n))

    if asked.stream:
        return StreamingResponse(events(request, chunks()), media_type="text/event-stream")
    found = await batch.whole()
    choices = [
        ChatChoice(
            index=index,
            message=Message(content=whole.text),
            logprobs=logprobs(whole),
            finish_reason=whole.ended or "stop",
        )
        for index, whole in enumerate(found)
    ]
    return ChatCompletion(**head, choices=choices, usage=usage_of(batch.texts, asked.n))

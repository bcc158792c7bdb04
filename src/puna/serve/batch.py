"""The texts of one request: checked, submitted together, and what becomes of them given on to the client's thread."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastapi import Request

from puna.errors import InputError, ServeError
from puna.serve import engine
from puna.serve.routes import service_of, tenant_of, until_gone
from puna.serve.service import Service
from puna.serve.text import Ended, Piece, Text, Token, Wanted


class Told(NamedTuple):
    """A piece of a request's text `number`."""

    number: int
    piece: Piece


class Batch:
    """Submitted texts. `pieces` gives what is written, `whole` waits for all of it. Raises what they fail of."""

    def __init__(self, request: Request, wanted: Sequence[Wanted]) -> None:
        self._request, self._service = request, service_of(request)
        check(self._service, wanted)
        self._queue: asyncio.Queue[Told | BaseException | None] = asyncio.Queue()
        loop, tenant = asyncio.get_running_loop(), tenant_of(request)

        def put(item: Told | BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(self._queue.put_nowait, item)

        def say(index: int) -> Callable[[Piece], None]:
            return lambda piece: put(Told(index, piece))

        self.texts = [Text(each, self._service.tokenizer, tenant, say(index)) for index, each in enumerate(wanted)]
        self._asked = engine.Request(put, texts=self.texts)
        self._service.engine.submit(self._asked)

    async def pieces(self) -> Any:
        """Give each piece as it comes."""

        def drop() -> None:
            self._service.engine.drop(self._asked)

        async for item in until_gone(self._request, self._queue, drop):
            if isinstance(item, BaseException):
                raise item
            yield item

    async def whole(self) -> "list[Whole]":
        """Wait for all texts."""
        found = [Whole() for _ in self.texts]
        async for told in self.pieces():
            found[told.number].add(told.piece)
        return found


class Whole:
    """What was written of a text so far."""

    def __init__(self) -> None:
        self.text = ""
        self.tokens: list[Token] = []
        self.ended: Ended | None = None

    def add(self, piece: Piece) -> None:
        """Take a piece."""
        self.text += piece.text
        self.tokens += piece.tokens
        self.ended = piece.ended


def check(service: Service, wanted: Sequence[Wanted]) -> None:
    """Raise InputError or ServeError for texts that cannot be read, or are more than one may ask for."""
    limits, size = service.limits, service.reader.plain.model.config.vocab_size
    if len(wanted) > limits.choices:
        raise ServeError("E-SERVE-CHOICES", count=len(wanted), limit=limits.choices)
    for each in wanted:
        if not each.prompt:
            raise InputError("E-PROMPT-EMPTY")
        if len(each.prompt) > service.context:
            raise InputError("E-PROMPT-LONG", length=len(each.prompt), context=service.context)
        if (most := max(each.prompt)) >= size:
            raise InputError("E-TOKEN-ID", id=most, size=size)
    if (cost := sum(each.cost for each in wanted)) > limits.tokens:
        raise ServeError("E-SERVE-COST", tokens=cost, limit=limits.tokens)


async def prompts_of(service: Service, given: Any) -> list[tuple[str | None, list[int]]]:
    """Give the prompts of a request, each with its text where it came as one."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        given = [given]
    if len(given) > service.limits.choices:
        raise ServeError("E-SERVE-CHOICES", count=len(given), limit=service.limits.choices)
    if not isinstance(given[0], str):
        return [(None, list(ids)) for ids in given]

    def encode() -> list[tuple[str | None, list[int]]]:
        return [(text, service.tokenizer.encode_prompt(text)) for text in given]

    return await asyncio.to_thread(encode)


def room(service: Service, prompt: Sequence[int], wanted: int | None) -> int:
    """Give how many tokens may be written: as many as are wanted, and the context has."""
    left = max(0, service.context - len(prompt) + 1)
    return left if wanted is None else min(wanted, left)


def check_model(service: Service, name: str) -> str:
    """Give the name of a model of this service; raise ServeError for any other."""
    if name not in service.models:
        raise ServeError("E-SERVE-MODEL", model=name[:80])
    return service.models[1]

"""What all routes share: who may use them, and how a client waits for the engine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from puna.errors import ServeError
from puna.serve.schemas import FAULTS
from puna.serve.service import Begun, Service

_BEARER = HTTPBearer(auto_error=False, description="A key of the file that --api-key-file names.")


class GoneError(Exception):
    """The client has gone; nobody reads what is answered."""


class Guarded(APIRoute):
    """A route that asks for the key before it reads the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put the check before FastAPI's own handler."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            keys = request.app.state.keys
            tenant = "" if keys is None else keys.tenant(request.headers.get("authorization", ""))
            if tenant is None:
                raise ServeError("E-SERVE-UNAUTHORISED")
            request.state.tenant = tenant
            await request.body()  # here its faults are our own; FastAPI's handler would give them another form
            return await handler(request)

        return guarded


def router() -> APIRouter:
    """Give a router all of whose routes are guarded."""
    return APIRouter(route_class=Guarded, dependencies=[Depends(_BEARER)], responses=FAULTS)


def service_of(request: Request) -> Service:
    """Give the service."""
    service: Service = request.app.state.service
    return service


def tenant_of(request: Request) -> str:
    """Give who asks."""
    tenant: str = request.state.tenant
    return tenant


async def finished(request: Request, begun: Begun) -> Any:
    """Wait for what was begun; drop it where the client goes first, or it takes too long."""
    result = asyncio.wrap_future(begun.future)
    gone = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait({result, gone}, timeout=begun.seconds, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        if gone.done():
            raise GoneError
        raise ServeError("E-SERVE-TIME", seconds=begun.seconds)
    finally:
        gone.cancel()
        if not result.done():
            begun.drop()
            result.cancel()


async def disconnected(request: Request) -> None:
    """Come back when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def until_gone(request: Request, queue: "asyncio.Queue[Any]", drop: Callable[[], None]) -> AsyncIterator[Any]:
    """Give what comes from a queue, up to None; drop the work where the client goes first."""
    gone = asyncio.ensure_future(disconnected(request))
    done = False
    try:
        while True:
            item = asyncio.ensure_future(queue.get())
            await asyncio.wait({item, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not item.done():
                item.cancel()
                raise GoneError
            if (found := item.result()) is None:
                done = True
                return
            yield found
    finally:
        gone.cancel()
        if not done:
            drop()

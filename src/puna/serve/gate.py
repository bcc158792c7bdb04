"""What stands before all routes: names, origins, sizes and times, on the raw stream, before anything is parsed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from puna.errors import ServeError
from puna.serve.faults import body_of, headers_of, language_of, status_of
from puna.serve.limits import Limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CSP = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "img-src 'self'; connect-src 'self'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
UPLOADS = "/v1/documents"


class Gate:
    """Refuses what no route should see, bounds what is received, and puts the headers on all that is sent.

    `hosts`: names by which the service may be called, whatever the port; a page of another site could else reach it by a
    name that it lets point here (DNS rebinding).
    """

    def __init__(
        self, app: App, hosts: Collection[str], limits: Limits, observe: Callable[[str, int, float], None]
    ) -> None:
        self.app = self._app = app
        self._hosts, self._limits, self._observe = frozenset(host.lower() for host in hosts), limits, observe
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        status: list[int] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
                given = {name for name, _ in message.get("headers", ())}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in given]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
                if not any(name == b"cache-control" for name in given):
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        began, uploads = time.perf_counter(), _is_upload(scope)
        self._uploads += uploads
        try:
            self._check(scope, headers)
            if uploads and self._uploads > self._limits.uploads:  # before it stands in memory
                raise ServeError("E-SERVE-BUSY", waiting=self._uploads - 1)
            body = _Body(receive, self._limit(scope), self._limits.body_seconds)
            await self._app(scope, body.receive, sending)
        except ServeError as error:
            if status:
                raise
            await _refuse(error, {name.decode("latin-1"): value for name, value in headers}, sending)
        finally:
            self._uploads -= uploads
            route = getattr(scope.get("route"), "path", None) or "other"
            self._observe(route, status[0] if status else 500, time.perf_counter() - began)

    def _limit(self, scope: Scope) -> int:
        size = self._limits.upload + (1 << 16)  # with room for the form around it
        return size if _is_upload(scope) else self._limits.body

    def _check(self, scope: Scope, headers: list[tuple[bytes, str]]) -> None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._hosts:
            raise ServeError("E-SERVE-HOST")
        for name, value in headers:
            if name == b"origin" and value.rpartition("//")[2].lower() != hosts[0].lower():
                raise ServeError("E-SERVE-ORIGIN")
        said = dict(headers)
        foreign = said.get(b"sec-fetch-site", "").lower() in ("cross-site", "same-site")
        if foreign and (said.get(b"sec-fetch-mode", "").lower() != "navigate" or scope["method"] != "GET"):
            raise ServeError("E-SERVE-ORIGIN")  # but a link to the page may be followed
        if scope["method"] in ("GET", "HEAD"):
            return
        wanted = "multipart/form-data" if scope["path"] == UPLOADS else "application/json"
        kinds = [value.split(";")[0].strip().lower() for name, value in headers if name == b"content-type"]
        if scope["method"] in ("POST", "PUT", "PATCH") and kinds != [wanted]:
            raise ServeError("E-SERVE-TYPE", wanted=wanted)
        for name, value in headers:
            if name == b"content-length" and value.isdecimal() and int(value[:20]) > self._limit(scope):
                raise ServeError("E-SERVE-BODY", limit=self._limit(scope))


class _Body:
    """A request's body as it comes, within a size and a time; a route that refuses never asks for it."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive, self._limit, self._seconds = receive, limit, seconds
        self._size, self._until, self._whole = 0, 0.0, False

    async def receive(self) -> Message:
        """Give the next part; raise ServeError where the body is too large or too slow. Behind it, whatever comes."""
        if self._whole:
            return await self._receive()
        clock = asyncio.get_running_loop().time
        self._until = self._until or clock() + self._seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise ServeError("E-SERVE-SLOW", seconds=self._seconds) from None
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise ServeError("E-SERVE-BODY", limit=self._limit)
        self._whole = not message.get("more_body", False)
        return message


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"] == UPLOADS and scope["method"] == "POST")


def _name_of(host: str) -> str:
    """Give a Host header's name without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


async def _refuse(error: ServeError, headers: dict[str, str], send: Send) -> None:
    content = json.dumps(body_of(error, language_of(headers)), ensure_ascii=False).encode()
    more = {**headers_of(error), "content-type": "application/json", "content-length": str(len(content))}
    if error.code in ("E-SERVE-BODY", "E-SERVE-SLOW"):
        more["connection"] = "close"  # what is still to come of the body is not wanted
    raw = [(name.lower().encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status_of(error), "headers": raw})
    await send({"type": "http.response.body", "body": content})

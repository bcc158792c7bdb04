"""uvicorn, with clients that are too slow let go of, and an end that loses nothing silently."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from puna.serve.limits import Limits

HEADERS = 64 << 10  # bytes of a request's head
_SOCKETS = 1000  # open at once


def protocol_for(seconds: float) -> type[H11Protocol]:
    """Give the protocol, which closes a connection on which no whole head has come for so long."""

    class Protocol(H11Protocol):
        """uvicorn's own knows only how long a connection may idle between two requests."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            """Begin to wait for a head."""
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, self._late)

        def data_received(self, data: bytes) -> None:
            """Wait on, where there is no request in work."""
            super().data_received(data)
            if self._working():
                self._stop()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self._late)

        def connection_lost(self, exc: Exception | None) -> None:
            """Wait no more."""
            self._stop()
            super().connection_lost(exc)

        def _working(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            self._timer = None
            if not self._working() and not self.transport.is_closing():
                self.transport.close()

    return Protocol


class Server(uvicorn.Server):
    """A server whose signals end it with exit code 0; `stop(grace)` is run in a thread when it begins to stop."""

    def __init__(self, app: Any, limits: Limits, stop: Callable[[float], None], log_level: str = "warning") -> None:
        config = uvicorn.Config(
            app,
            http=protocol_for(limits.header_seconds),
            ws="none",
            loop="asyncio",
            lifespan="off",
            access_log=False,
            log_level=log_level,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEADERS,
            limit_concurrency=_SOCKETS,
            timeout_keep_alive=int(limits.header_seconds) or 1,
            timeout_graceful_shutdown=int(limits.grace) + 2,
        )
        super().__init__(config)
        self._limits, self._stop = limits, stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is in work go on for a while, and end what is left with an error."""
        stopping = asyncio.create_task(asyncio.to_thread(self._stop, self._limits.grace))
        await super().shutdown(sockets)
        await stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and Ctrl-C; uvicorn's own would raise the signal again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            self.should_exit = True

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

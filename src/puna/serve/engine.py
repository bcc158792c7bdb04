"""The one thread that computes. Requests come from other threads, wait in a bounded queue, and are done step by step.

A turn is one forward for all texts together and one step of the call that has had least; so a long text delays a short
one by a step at a time. What is wanted no more, or not in time, is dropped before the next step.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch

from puna.errors import PunaError, ServeError
from puna.llama.model import Llama
from puna.serve.calls import Call, DroppedError
from puna.serve.ground import ground_for
from puna.serve.limits import Limits
from puna.serve.text import Text
from puna.serve.texts import Texts

_LOG = logging.getLogger("puna.serve")


@dataclass(eq=False)
class Request:
    """What one client asks for: texts, or a call. `end` is called once, with None or what went wrong."""

    end: Callable[[BaseException | None], None]
    texts: Sequence[Text] = ()
    call: Call | None = None
    deadline: float = 0.0
    begun: int = 0  # texts that were admitted
    dropped: bool = False
    over: bool = False


class Engine:
    """Owns a model's texts and all calls. Start it, submit to it from any thread, stop it once."""

    def __init__(self, model: Llama, limits: Limits) -> None:
        self.limits = limits
        self.ground = ground_for(model, limits.memory)
        self.texts = Texts(self.ground, limits.texts, self._failed)
        self.steps = self.dropped = 0
        self.state = "ok"
        self._owner: dict[int, Request] = {}  # of texts in work
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._calls: list[Request] = []
        self._change = threading.Condition()
        self._stop_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="puna-engine", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests in work."""
        return len(self._running)

    def submit(self, request: Request) -> None:
        """Take a request on. Raises ServeError where too many wait, or no more are taken."""
        request.deadline = time.monotonic() + self.limits.seconds
        with self._change:
            if self.state != "ok":
                raise ServeError("E-SERVE-STOPPING")
            if len(self._waiting) >= self.limits.waiting:
                raise ServeError("E-SERVE-BUSY", waiting=len(self._waiting))
            self._waiting.append(request)
            self._change.notify()

    def call(self, work: Callable[[], Any]) -> tuple[Request, "Future[Any]"]:
        """Submit a call; give the request, to drop it by, and the future of its result."""
        call = Call(work)
        request = Request(lambda error: None, call=call)
        self.submit(request)
        return request, call.future

    def drop(self, request: Request) -> None:
        """Let go of a request whose client is gone."""
        with self._change:
            request.dropped = True
            self._change.notify()

    def stop(self, grace: float) -> None:
        """Take no more requests; let those in work go on for `grace` seconds, then end them; wait until that is done."""
        with self._change:
            if self.state == "ok":
                self.state = "stopping"
            self._stop_at = time.monotonic() + grace
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(grace + 60)

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._turn():
                    pass
        except BaseException:
            _LOG.exception("the engine has ended")
            self.state = "failed"
            for request in [*self._running, *self._waiting]:
                self._finish(request, ServeError("E-SERVE-INTERNAL"))
            raise

    def _turn(self) -> bool:
        """Do the next steps; False when the service has stopped and nothing is left."""
        with self._change:
            while not self._waiting and not self._running and self.state == "ok":
                self._change.wait()
            if self.state != "ok" and not self._waiting and not self._running:
                return False
        self._end_some()
        self._admit()
        worked = self.texts.step()
        for request in [r for r in self._running if r.texts]:
            self._look(request)
        worked |= self._advance_calls()
        self.steps += worked
        return True

    def _end_some(self) -> None:
        """Drop what is wanted no more, what is too late, and at the end of the time to stop all that is left."""
        now = time.monotonic()
        stopped = self._stop_at is not None and now >= self._stop_at
        for request in [*self._running, *self._waiting]:
            if request.dropped:
                self.dropped += 1
                self._finish(request, DroppedError())
            elif stopped:
                self._finish(request, ServeError("E-SERVE-STOPPED"))
            elif now >= request.deadline:
                self._finish(request, ServeError("E-SERVE-TIME", seconds=self.limits.seconds))

    def _admit(self) -> None:
        """Begin with what waits, in its order: texts where there is room, calls where there is a place."""
        full = False
        for request in [each for each in self._running if each.begun < len(each.texts)]:
            full |= not self._admit_texts(request)
        passed: list[Request] = []
        while True:
            with self._change:
                if not self._waiting:
                    break
                request = self._waiting.popleft()
            call = request.call
            if full if call is None else len(self._calls) >= self.limits.calls:
                passed.append(request)
                continue
            self._running.append(request)
            if call is None:
                full = not self._admit_texts(request)
                continue
            call.served = min((each.call.served for each in self._calls if each.call), default=0)
            self._calls.append(request)
            call.start()
            self._ended(request)
        with self._change:
            self._waiting.extendleft(reversed(passed))

    def _admit_texts(self, request: Request) -> bool:
        """Begin with a request's texts; False where not all have room yet."""
        while request.begun < len(request.texts) and not request.over:
            text = request.texts[request.begun]
            self._owner[id(text)] = request
            if not self.texts.admit(text):
                del self._owner[id(text)]
                return False
            request.begun += 1
        return True

    def _advance_calls(self) -> bool:
        """Give a step to the call that has had least, and a look to those that wait for another one's."""
        ready = [request for request in self._calls if request.call and not request.call.waits]
        if ready:
            self._advance(min(ready, key=lambda each: each.call.served if each.call else 0))
        waiting = [request for request in self._calls if request.call and request.call.waits]
        for request in waiting:
            self._advance(request)
        return bool(ready or waiting)

    def _advance(self, request: Request) -> None:
        if request.call is not None:
            request.call.advance()
            if request in self._calls:  # of those that have had the same, the next turn is another's
                self._calls.append(self._calls.pop(self._calls.index(request)))
            self._ended(request)

    def _ended(self, request: Request) -> None:
        if request.call is not None and request.call.over:
            self._finish(request, None)

    def _look(self, request: Request) -> None:
        """End a request all of whose texts are done."""
        if not request.over and request.begun == len(request.texts) and all(t.over for t in request.texts):
            self._finish(request, None)

    def _failed(self, text: Text, error: Exception) -> None:
        request = self._owner.get(id(text))
        if request is not None:
            self._finish(request, error)

    def _finish(self, request: Request, error: BaseException | None) -> None:
        if request.over:
            return
        request.over = True
        if request.call is not None and not request.call.over and request in self._calls:
            request.call.error = error
            while not request.call.over:  # unwinding may ask for steps; each raises
                request.call.advance()
        elif request.call is not None and not request.call.over:
            request.call.over = True
            request.call.future.set_exception(error or DroppedError())
        for text in request.texts:
            self.texts.drop(text)
            self._owner.pop(id(text), None)
        with self._change:
            for place in (self._running, self._calls, self._waiting):
                if request in place:
                    place.remove(request)
        if error is not None and not isinstance(error, PunaError | DroppedError):
            _LOG.error("a request has failed", exc_info=error)
        request.end(error)

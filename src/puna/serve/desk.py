"""Work beside the engine: what is done with a library, in threads of its own, so that no answer waits for a file."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from puna.errors import ServeError


@dataclass(eq=False)
class Task:
    """Something to do; `work` is given a call that tells whether it is still wanted."""

    work: Callable[[Callable[[], bool]], Any]
    future: "Future[Any]" = field(default_factory=Future)
    dropped: bool = False

    def drop(self) -> None:
        """Let go of it: nobody waits for it any more."""
        self.dropped = True

    def run(self) -> None:
        """Do it."""
        value, error = None, None
        try:
            value = self.work(lambda: not self.dropped)
        except BaseException as raised:  # whoever waits for the future is told
            error = raised
        with suppress(InvalidStateError):  # it was ended meanwhile
            self.future.set_exception(error) if error else self.future.set_result(value)


class Desk:
    """At most `threads` tasks at once, in their order; at most `waiting` wait."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._most, self._waiting = threads, waiting
        self._queue: deque[Task] = deque()
        self._running: list[Task] = []
        self._threads = 0
        self._open = True
        self._change = threading.Condition()

    def submit(self, work: Callable[[Callable[[], bool]], Any]) -> Task:
        """Take something on. Raises ServeError where too much waits, or no more is taken."""
        task = Task(work)
        task.future.set_running_or_notify_cancel()  # who waits for it cannot take it away
        with self._change:
            if not self._open:
                raise ServeError("E-SERVE-STOPPING")
            if len(self._queue) >= self._waiting:
                raise ServeError("E-SERVE-BUSY", waiting=len(self._queue))
            if self._threads < self._most:
                threading.Thread(target=self._serve, name="puna-desk", daemon=True).start()
                self._threads += 1
            self._queue.append(task)
        return task

    def close(self) -> None:
        """Take no more."""
        with self._change:
            self._open = False

    def finish(self, until: float) -> None:
        """Wait for what was taken on, until `time.monotonic()` is `until`; what is then left ends with an error."""
        with self._change:
            self._open = False
            self._change.wait_for(lambda: not self._threads, max(0.0, until - time.monotonic()))
            left = [*self._running, *self._queue]
            self._queue.clear()
        for task in left:
            task.drop()
            with suppress(InvalidStateError):
                task.future.set_exception(ServeError("E-SERVE-STOPPED"))

    def _serve(self) -> None:
        """Do what waits, one after the other."""
        while True:
            with self._change:
                if not self._queue:
                    self._threads -= 1
                    self._change.notify_all()
                    return
                task = self._queue.popleft()
                self._running.append(task)
            if task.dropped:
                with suppress(InvalidStateError):
                    task.future.set_exception(ServeError("E-SERVE-STOPPED"))
            else:
                task.run()
            with self._change:
                self._running.remove(task)

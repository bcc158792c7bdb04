"""Questions, rankings and labellings: calls that run in threads of their own, one at a time, and compute nothing there.

Whenever such a call wants a forward it hands it to the engine and sleeps until that is done: so what it does is cut into
steps, and the engine may do others' steps between two of them. Threads are used as coroutines are, for the code that
asks is an ordinary one.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from puna.llama.cache import Cache
from puna.llama.model import CHUNK, Llama

Result = TypeVar("Result")
STEP = 256  # tokens that a step reads at most
_HERE = threading.local()


class DroppedError(BaseException):
    """The call is wanted no more. No `except Exception` on its way catches it."""


class Call:
    """A call in a thread; `future` gets what it gives. All methods are the engine's, who runs while the thread sleeps.

    `served`: tokens computed for it, by which turns are given.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()  # who waits for it cannot take it away
        self.served = 0
        self.over = self.waits = False  # it waits for another call
        self.error: BaseException | None = None  # to be raised in it at its next step
        self._work = work
        self._step: Callable[[], Any] | None = None
        self._cost = 0
        self._answer: Any = None
        self._raised: BaseException | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="puna-call", daemon=True)
        self._outcome: tuple[Any, BaseException | None] = (None, None)

    def start(self) -> None:
        """Run it up to its first step."""
        try:
            self._thread.start()
        except RuntimeError as error:  # the system gives no more threads
            self.over = True
            self.future.set_exception(error)
            return
        self._turn()

    def advance(self) -> None:
        """Do its step, and run it up to the next."""
        step, self._step, self._answer, self._raised = self._step, None, None, None
        if self.error is not None:
            self._raised = self.error
        elif step is not None:
            try:
                self._answer = step()
                self.served += self._cost
            except Exception as error:
                self._raised = error
        self._turn()

    def _turn(self) -> None:
        self._go.release()
        self._back.acquire()
        if self.over:
            self._thread.join()
            value, error = self._outcome
            if self.future.cancelled():
                return
            if error is None:
                self.future.set_result(value)
            else:
                self.future.set_exception(error)

    def _run(self) -> None:
        self._go.acquire()
        _HERE.call = self
        try:
            with torch.inference_mode():
                self._outcome = self._work(), None
        except BaseException as error:  # DroppedError too: whoever waits for the future is told
            self._outcome = None, error
        self.over = True
        self._back.release()

    def ask(self, step: Callable[[], Any] | None, cost: int = 0) -> Any:
        """In its thread: have a step done; None is to wait for another call's."""
        self._step, self._cost, self.waits = step, cost, step is None
        self._back.release()
        self._go.acquire()
        if self._raised is not None:
            raise self._raised
        return self._answer


def stepped(step: Callable[[], Result], cost: int) -> Result:
    """Have something done by the engine, as a step of the call whose thread this is; elsewhere do it."""
    call: Call | None = getattr(_HERE, "call", None)
    if call is None:
        return step()
    answer: Result = call.ask(step, cost)
    return answer


def wait() -> None:
    """Let another call have its turn."""
    call: Call | None = getattr(_HERE, "call", None)
    if call is not None:
        call.ask(None)


class Stepped(Llama):
    """A model whose every forward is a step: the same weights, and the same numbers where rows are independent."""

    def __init__(self, model: Llama) -> None:
        nn.Module.__init__(self)
        self.config, self.packed, self.step = model.config, model.packed, model.step
        self.model, self.lm_head = model.model, model.lm_head
        self._inner = [model]  # a list: it is no part of this module
        self._notes = model._notes

    def takes_chain(self, count: int) -> bool:
        """As `Llama.takes_chain`: what is longer than a step is read apart, which gives the same."""
        return count <= STEP and super().takes_chain(count)

    def forward(
        self, tokens: Tensor, positions: Tensor, cache: Cache | None, mask: Tensor | None, *, chain: int = 0
    ) -> Tensor:
        """As `Llama.forward`."""
        inner = self._inner[0]
        hidden: Tensor = stepped(lambda: inner(tokens, positions, cache, mask, chain=chain), len(tokens))
        return hidden

    def read(self, tokens: Sequence[int], cache: Cache) -> Tensor:
        """As `Llama.read`, in smaller pieces; none is so short that it would be multiplied in another way."""
        inner, hidden = self._inner[0], None
        for start in range(0, len(tokens), CHUNK):
            chunk = tokens[start : start + CHUNK]
            half = len(chunk) if len(chunk) <= STEP else -(-len(chunk) // 2)
            for piece in (chunk[:half], chunk[half:]):
                if piece:
                    hidden = stepped(lambda piece=piece: inner.read(piece, cache), len(piece))  # type: ignore[misc]
        if hidden is None:
            raise ValueError("nothing to read: no tokens")
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """As `Llama.logits`."""
        return stepped(lambda: self._inner[0].logits(hidden), len(hidden))

    def log_probs(self, hidden: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
        """As `Llama.log_probs`."""
        return stepped(lambda: self._inner[0].log_probs(hidden, rows, tokens), len(hidden))

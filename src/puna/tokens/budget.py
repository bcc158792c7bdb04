"""What one rendering of a chat template may do: a number of steps, and a length of text. Neither is a time."""

from collections.abc import Iterator, Sized
from contextvars import ContextVar
from typing import Any

from jinja2.utils import Namespace

STEPS = 250_000
"""Steps of one rendering; each character of its messages gives one more."""
TEXT = 2**20
"""Characters that one value or the output may have; each character of the messages gives four more."""
_PER_STEP = 64


class LimitError(Exception):
    """A template does more than one rendering may."""


class Budget:
    """What is left to one rendering."""

    def __init__(self, given: int) -> None:
        """Start a rendering of messages with `given` characters in all."""
        self._steps = STEPS + given
        self._text = TEXT + 4 * given

    def spend(self, steps: int) -> None:
        """Pay; raises LimitError when nothing is left."""
        self._steps -= steps
        if self._steps < 0:
            raise LimitError("it takes too many steps")

    def check(self, length: int) -> None:
        """Raise LimitError for a text of more characters than one may have."""
        if length > self._text:
            raise LimitError("its text grows too long")

    def charge(self, value: Any) -> None:
        """Pay for a value by what it would be written out: a step a part, and one for every 64 characters.

        What stands in a value twice counts twice, or lists of the same two lists would double for free.
        """
        if type(value) is str:
            self.check(len(value))
            self.spend(1 + len(value) // _PER_STEP)
            return
        length, waiting = 0, [value]
        while waiting:
            item = waiting.pop()
            length += len(item) if isinstance(item, str) else 1
            self.check(length)
            self.spend(1)
            waiting.extend(_parts(item))
        self.spend(length // _PER_STEP)


BUDGET: ContextVar[Budget] = ContextVar("puna_template_budget")


def charge(value: Any) -> Any:
    """Pay for a value and give it back."""
    BUDGET.get().charge(value)
    return value


def tick(steps: int) -> None:
    """Pay for one turn of a loop or one call of a macro."""
    BUDGET.get().spend(steps)


def walk(value: Any) -> Any:
    """Pay for going through a value, before it is done, and give it back."""
    if isinstance(value, Sized):
        BUDGET.get().spend(len(value))
    return value


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list | tuple | range):
        BUDGET.get().spend(len(value))  # before the parts are laid out
        yield from value
    elif type(value) is Namespace:
        yield from object.__getattribute__(value, "_Namespace__attrs").values()

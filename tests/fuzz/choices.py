"""Where a mutation's decisions come from."""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


class Choices(ABC):
    """A source of numbers; everything that a mutation does follows from them."""

    @abstractmethod
    def below(self, count: int) -> int:
        """Give a number from 0 to count - 1."""

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def one_in(self, count: int) -> bool:
        return self.below(count) == 0

    def raw(self, count: int) -> bytes:
        return bytes(self.below(256) for _ in range(count))


class Numbered(Choices):
    """Those of one number: file 4711 of seed 5 is the same on every machine."""

    def __init__(self, seed: int, index: int) -> None:
        self._random = random.Random(f"puna {seed} {index}")

    def below(self, count: int) -> int:
        return self._random.randrange(count)


class Provided(Choices):
    """Those that atheris makes of its bytes."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def below(self, count: int) -> int:
        return int(self._provider.ConsumeIntInRange(0, count - 1))

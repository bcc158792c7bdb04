"""What the windows of one question have found so far, and the ranking that comes of it."""

import math
from collections.abc import Sequence

from puna.answer.evidence import evidence, occurrences
from puna.answer.mixture import Window, mix
from puna.answer.types import Answer, Source


class Findings:
    """Candidates by their text, over all windows of all sources."""

    def __init__(self) -> None:
        self._windows: list[Window] = []
        self._best: dict[str, float] = {}
        self._places: dict[str, dict[tuple[int, int, int], Source]] = {}

    def add(self, values: dict[str, float], total: float, refusal: float) -> None:
        """Take a window: log-probabilities of its candidates, of all it holds together, and of the refusal."""
        self._windows.append(Window(values, total, refusal))
        for text, value in values.items():
            self._best[text] = max(value, self._best.get(text, -math.inf))

    def place(self, text: str, order: int, source: Source, places: Sequence[tuple[int, int]]) -> None:
        """Say where a candidate stands in a source, the `order`-th one."""
        known = self._places.setdefault(text, {})
        for start, end in places:
            known[order, start, end] = source

    def locate(self, sources: Sequence[Source], candidates: Sequence[str]) -> None:
        """Look up where the user's own candidates stand, letter by letter."""
        for order, source in enumerate(sources):
            for text in candidates:
                self.place(text, order, source, occurrences(source.text, text))

    def ranked(self, top: int) -> tuple[tuple[Answer, ...], float]:
        """Give the best answers and the probability that there is none."""
        probabilities, nothing = mix(self._windows)
        order = sorted(probabilities, key=lambda text: (-probabilities[text], -self._best[text]))
        answers = (
            Answer(
                text,
                probabilities[text],
                self._best[text],
                tuple(
                    evidence(source, start, end)
                    for (_, start, end), source in sorted(self._places.get(text, {}).items(), key=lambda p: p[0])
                ),
            )
            for text in order[:top]
        )
        return tuple(answers), nothing

    def __len__(self) -> int:
        return len(self._best)

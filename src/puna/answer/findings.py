"""What the windows of one question have given so far, and the ranking and the proof that come of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from puna.answer.evidence import evidence
from puna.answer.groups import Place, grouped
from puna.answer.mixture import Window, mix
from puna.answer.settings import Settings
from puna.answer.types import Answer, Certificate, Source, Variant
from puna.rank.search import Found

_TOLD = 0.001  # least probability of another wording that is told; the search has often seen dozens


@dataclass(frozen=True, slots=True)
class Look:
    """What one window gave: source[start:end] was read.

    scores: log-probability (nats) of each answer that was looked at, its end included. window: the same, as it counts
    (normalised, calibrated). places: where the answers stand. found: the search; None for the user's own candidates.
    """

    source: int
    start: int
    end: int
    scores: Mapping[str, float]
    window: Window
    places: Mapping[str, Sequence[tuple[int, int]]]
    line: str
    found: Found | None

    def odds(self, value: float) -> float:
        """Odds of a log-probability against the refusal's, before calibration."""
        refusal = self.found.aside if self.found else 0.0
        return math.exp(min(value - refusal, 700.0))


class Findings:
    """The looks at all windows of a question, one ranking."""

    def __init__(self, sources: Sequence[Source], settings: Settings, looks: Sequence[Look]) -> None:
        self.sources, self.settings, self.looks = sources, settings, looks

    @cached_property
    def _mixed(self) -> tuple[dict[str, float], float]:
        return mix([look.window for look in self.looks]) if self.looks else ({}, 1.0)

    @property
    def no_answer_probability(self) -> float:
        """Probability that the texts hold no answer."""
        return self._mixed[1]

    @cached_property
    def best(self) -> dict[str, float]:
        """The log-probability of each answer in the window that gives it most."""
        best: dict[str, float] = {}
        for look in self.looks:
            for text, value in look.scores.items():
                best[text] = max(value, best.get(text, -math.inf))
        return best

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """All places of each answer, in reading order."""
        found: dict[str, set[Place]] = {}
        for look in self.looks:
            for text, places in look.places.items():
                found.setdefault(text, set()).update((look.source, *place) for place in places)
        return {text: sorted(places) for text, places in found.items()}

    @cached_property
    def leaders(self) -> dict[str, list[str]]:
        """The answers to give, best first, each with its other wordings."""
        chances = self._mixed[0]
        ranked = sorted(chances, key=lambda text: (-chances[text], -self.best[text], text))
        if not self.settings.group:
            return {text: [] for text in ranked[: self.settings.top]}
        return grouped(ranked, self.places, self.settings.top)

    def answers(self) -> tuple[Answer, ...]:
        """Give the best answers."""
        chances = self._mixed[0]
        return tuple(
            Answer(
                text,
                chances[text],
                self.best[text],
                tuple(evidence(self.sources[order], start, end) for order, start, end in self.places.get(text, ())),
                tuple(Variant(wording, chances[wording]) for wording in wordings if chances[wording] >= _TOLD),
            )
            for text, wordings in self.leaders.items()
        )

    def certificate(self) -> Certificate | None:
        """Say what the searches prove; None where candidates were given."""
        found = [look.found for look in self.looks if look.found]
        if not found:
            return None
        count = len(found)
        return Certificate(
            found=math.fsum(f.mass for f in found) / count,
            unvisited=math.fsum(f.unvisited for f in found) / count,
            outside=math.fsum(f.outside for f in found) / count,
            exact=self.proven(),
            nodes=sum(f.nodes for f in found),
            passes=sum(f.passes for f in found),
        )

    def least(self) -> float:
        """Odds of the least probable answer given, by the model's own probabilities, as a sum over windows."""
        return min((self._odds(text) for text in self.leaders), default=0.0)

    def proven(self) -> bool:
        """Tell whether no span left out can be more probable, by the model's own probabilities, than the last answer.

        What no window has completed could stand in every one of them, at most as probable as each one's bound; what
        some have completed could gain the bounds of the others that it stands in.
        """
        searched = [(look, look.odds(look.found.bound)) for look in self.looks if look.found]
        open_ones = [(look, odds) for look, odds in searched if odds > 0]
        if not open_ones:
            return True
        least = self.least()
        if math.fsum(odds for _, odds in open_ones) > least or len(self.leaders) < self.settings.top:
            return False
        shown = {*self.leaders, *(wording for wordings in self.leaders.values() for wording in wordings)}
        for text in self.best:
            gain = [odds for look, odds in open_ones if text not in look.scores and text in look.line]
            if text not in shown and gain and self._odds(text) + math.fsum(gain) > least:
                return False
        return True

    def _odds(self, text: str) -> float:
        return math.fsum(look.odds(look.scores[text]) for look in self.looks if text in look.scores)

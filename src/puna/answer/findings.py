"""What the windows of one question have given so far, and the ranking and the proof that come of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from puna.answer.evidence import evidence
from puna.answer.groups import Place, grouped
from puna.answer.mixture import Window, log_sum, mix
from puna.answer.settings import Settings
from puna.answer.spans import in_one_line, spans_within
from puna.answer.types import Answer, Certificate, Source, Variant
from puna.rank.search import Found

_TOLD = 0.001  # least probability of another wording that is told; the search has often seen dozens


@dataclass(frozen=True, slots=True)
class Look:
    """What one window gave: source[start:end] was read.

    scores: log-probability (nats) of each answer that was looked at, its end included, and the pointer's weighed
    opinion where there is one. window: the same, as it counts (normalised, calibrated). places: where the answers
    stand. found: the search; None for the user's own candidates.
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
        """Odds (nats) of a log-probability against the refusal's, before calibration."""
        return value - (self.found.aside if self.found else 0.0)


class Findings:
    """The looks at the windows of a question, one ranking; `whole` if no window was left out."""

    def __init__(
        self, sources: Sequence[Source], settings: Settings, looks: Sequence[Look], *, whole: bool = True
    ) -> None:
        self.sources, self.settings, self.looks, self.whole = sources, settings, looks, whole

    @cached_property
    def _mixed(self) -> tuple[dict[str, float], float]:
        return mix([look.window for look in self.looks]) if self.looks else ({}, 1.0)

    @property
    def no_answer_probability(self) -> float:
        """Probability that the texts hold no answer."""
        return self._mixed[1]

    @cached_property
    def best(self) -> dict[str, float]:
        """The score of each answer in the window that gives it most."""
        best: dict[str, float] = {}
        for look in self.looks:
            for text, value in look.scores.items():
                best[text] = max(value, best.get(text, -math.inf))
        return best

    @cached_property
    def places(self) -> dict[str, list[Place]]:
        """All places of each answer in the windows, in reading order."""
        found: dict[str, set[Place]] = {}
        for look in self.looks:
            for text, places in (*look.places.items(), *self._overlooked(look)):
                found.setdefault(text, set()).update((look.source, *place) for place in places)
        return {text: sorted(places) for text, places in found.items()}

    def _overlooked(self, look: Look) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """Give places in a window of answers that only others have completed."""
        missing = {text for text in self.best if text not in look.places and text in look.line}
        if missing:
            source, settings = self.sources[look.source].text, self.settings
            for start, end in spans_within(source, look.start, look.end, settings.max_words, settings.max_chars):
                if (text := in_one_line(source[start:end])) in missing:
                    yield text, [(start, end)]

    @cached_property
    def ranked(self) -> list[str]:
        """All answers that some window has completed, best first."""
        chances = self._mixed[0]
        return sorted(chances, key=lambda text: (-chances[text], -self.best[text], text))

    @cached_property
    def leaders(self) -> dict[str, list[str]]:
        """The answers to give, best first, each with its other wordings."""
        if not self.settings.group:
            return {text: [] for text in self.ranked[: self.settings.top]}
        return grouped(self.ranked, self.places, self.settings.top)

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
        """Odds (nats) of the least probable answer given, by the model's own probabilities, summed over windows."""
        return min((self._odds(text) for text in self.leaders), default=-math.inf)

    def proven(self) -> bool:
        """Tell whether scoring every span of every window would give the same answers in the same order.

        What no window has completed could stand in every one of them, at most as probable as each one's bound; what
        some have completed could gain the bounds of the others that it stands in. Where only a pool of each window's
        spans counts, that must be proven.
        """
        searched = [(look, look.found) for look in self.looks if look.found]
        if not self.whole:
            return False
        if self.settings.pool:
            return all(found.proves(self.settings.pool) for _, found in searched)
        bounds = [(look, look.odds(found.bound)) for look, found in searched if found.bound > -math.inf]
        if not bounds:
            return True
        most = log_sum([odds for _, odds in bounds])
        if len(self.leaders) < self.settings.top or most > self.least():
            return False
        last = self.ranked.index([*self.leaders][-1])
        above = math.inf  # odds of the one before, as far as answers are given
        for rank, text in enumerate(self.ranked):
            known = self._odds(text)
            if log_sum([known, most]) > above:
                gains = [odds for look, odds in bounds if text not in look.scores and text in look.line]
                if gains and log_sum([known, *gains]) > above:
                    return False
            elif rank > last:
                break
            if rank <= last:
                above = known
        return True

    def _odds(self, text: str) -> float:
        return log_sum([look.odds(look.scores[text]) for look in self.looks if text in look.scores])

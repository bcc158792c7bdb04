"""What the windows of one question have given so far, and the ranking and the proof that come of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from puna.answer.evidence import evidence
from puna.answer.groups import Place, grouped
from puna.answer.mixture import Window, holding, log_sum, mix
from puna.answer.settings import Settings
from puna.answer.spans import in_one_line, spans_within
from puna.answer.types import Answer, Certificate, Holding, Source, Variant
from puna.rank.search import Found

_TOLD = 0.001  # least probability of another wording that is told; the search has often seen dozens


@dataclass(frozen=True, slots=True)
class Look:
    """What one window gave: source[start:end] was read.

    scores: log-probability (nats) of each answer that was looked at, its end included, and the pointer's weighed
    opinion where there is one. window: the same, as it counts (normalised, calibrated). places: where the answers
    stand. found: the search; None for the user's own candidates. weight: how likely the window is beforehand to hold the
    answer, beside the others (see `mixture`).
    """

    source: int
    start: int
    end: int
    scores: Mapping[str, float]
    window: Window
    places: Mapping[str, Sequence[tuple[int, int]]]
    line: str
    found: Found | None
    weight: float = 1.0

    def odds(self, value: float) -> float:
        """Odds (nats) of a log-probability against the refusal's, before calibration; weighed."""
        return value - self.aside

    @property
    def aside(self) -> float:
        """What odds are to be counted against (nats)."""
        return (self.found.aside if self.found else 0.0) - math.log(self.weight)


class Findings:
    """The looks at the windows of a question, one ranking; `whole` if no window was left out."""

    def __init__(
        self, sources: Sequence[Source], settings: Settings, looks: Sequence[Look], *, whole: bool = True
    ) -> None:
        self.sources, self.settings, self.looks, self.whole = sources, settings, looks, whole

    @cached_property
    def _mixed(self) -> tuple[dict[str, float], float]:
        return mix([look.window for look in self.looks], self._weights) if self.looks else ({}, 1.0)

    @cached_property
    def _weights(self) -> list[float]:
        return [look.weight for look in self.looks]

    @property
    def no_answer_probability(self) -> float:
        """Probability that the texts hold no answer."""
        return self._mixed[1]

    @cached_property
    def _holding(self) -> list[float]:
        return holding([look.window for look in self.looks], self._weights)

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

    def holdings(self, shares: Sequence[Mapping[Place, float]]) -> list[Holding]:
        """Give what each excerpt holds; `shares`: what it has of the weights of windows."""
        looks = {(look.source, look.start, look.end): n for n, look in enumerate(self.looks)}
        found = []
        for each in shares:
            seen = [(share, looks[window]) for window, share in each.items() if window in looks]
            among = math.fsum(self._holding[n] * share / self.looks[n].weight for share, n in seen)
            alone = holding([self.looks[n].window for _, n in seen], [share for share, _ in seen]) if seen else None
            found.append(Holding(among, None if alone is None else math.fsum(alone)))
        return found

    def certificate(self) -> Certificate | None:
        """Say what the searches prove; None where candidates were given."""
        weighed = [(look.weight, look.found) for look in self.looks if look.found]
        if not weighed:
            return None
        found, whole = [f for _, f in weighed], math.fsum(weight for weight, _ in weighed)
        return Certificate(
            found=math.fsum(weight * f.mass for weight, f in weighed) / whole,
            unvisited=math.fsum(weight * f.unvisited for weight, f in weighed) / whole,
            outside=math.fsum(weight * f.outside for weight, f in weighed) / whole,
            exact=self.proven(),
            nodes=sum(f.nodes for f in found),
            passes=sum(f.passes for f in found),
        )

    def least(self) -> float:
        """Weighed odds (nats) of the least probable answer given, by the model's own probabilities, over all windows."""
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

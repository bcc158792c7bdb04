"""What `ask` must give, the long way: every span of every window scored, the odds added up by hand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from puna.answer.prompt import Prompts, wording_for
from puna.answer.reader import Reader
from puna.answer.settings import Settings
from puna.answer.spans import in_one_line, spans
from puna.answer.types import Source
from puna.rank.score import score

LONGEST = 64  # tokens


@dataclass
class Exhaustive:
    """scores: the highest log-probability of each answer in a window. odds: against no answer, weighed, over windows.

    masses: for each window the probability of all spans together. priors: how likely each window is beforehand; they sum
    to 1. held: of each window, the weighed odds of all its spans together.
    """

    windows: list[tuple[int, int, int]]
    priors: list[float]
    scores: dict[str, float] = field(default_factory=dict)
    odds: dict[str, float] = field(default_factory=dict)
    places: dict[str, set[tuple[int, int, int]]] = field(default_factory=dict)
    masses: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    @property
    def ranked(self) -> list[str]:
        return sorted(self.odds, key=lambda text: -self.odds[text])

    @property
    def chances(self) -> dict[str, float]:
        whole = 1 + math.fsum(self.odds.values())
        return {text: odds / whole for text, odds in self.odds.items()}

    @property
    def nothing(self) -> float:
        return 1 / (1 + math.fsum(self.odds.values()))


def every_span(
    reader: Reader,
    question: str,
    sources: Sequence[Source],
    weights: Mapping[tuple[int, int, int], float] | None = None,
) -> Exhaustive:
    """Score all spans that stand whole in a window: those of the texts, or those given with their weights."""
    windows = reader._inquire(question, sources, Settings())[1] if weights is None else list(weights)
    priors = [1 / len(windows)] * len(windows)
    if weights is not None:
        priors = [weights[each] / math.fsum(weights.values()) for each in windows]
    prompts: Prompts = reader._prompts(question)[0]
    assert prompts.wording == wording_for(question)
    refusal = prompts.answers([prompts.wording.refusal])[0]
    found = Exhaustive(windows, priors)
    for (order, begin, last), prior in zip(windows, priors, strict=True):
        text = sources[order].text
        here: dict[str, set[tuple[int, int, int]]] = {}
        for start, end in spans(text):
            if begin <= start and end <= last:
                here.setdefault(in_one_line(text[start:end]), set()).add((order, start, end))
        tokens = dict(zip(here, prompts.answers(list(here)), strict=True))
        tokens = {each: ids for each, ids in tokens.items() if len(ids) <= LONGEST and ids != refusal}
        prompt = prompts.about(text[begin:last])
        scored = score(reader._shelf.read(prompt.tokens, prompt.cuts), [*tokens.values(), refusal], end=prompts.end)
        *values, none = [float(each.sum()) for each in scored]
        for each, value in zip(tokens, values, strict=True):
            found.scores[each] = max(value, found.scores.get(each, -math.inf))
            found.odds[each] = found.odds.get(each, 0.0) + math.exp(value - none) * prior
            found.places.setdefault(each, set()).update(here[each])
        found.masses.append(math.fsum(map(math.exp, values)))
        found.held.append(math.fsum(math.exp(value - none) * prior for value in values))
    return found

"""What a question, a text and candidates must be. Imports nothing heavy: bad input is told before a model is loaded."""

import math
from collections.abc import Iterable, Sequence

from puna.answer.types import Excerpt, Source
from puna.errors import InputError


def sources_of(text: str | Source | Iterable[Source]) -> list[Source]:
    """Give a list of sources, each with something to read; raise InputError otherwise."""
    if isinstance(text, str):
        text = Source("text", text)
    found = [text] if isinstance(text, Source) else list(text)
    if not found:
        raise InputError("E-TEXT-EMPTY", name="text")
    for source in found:
        if not source.text.strip():
            raise InputError("E-TEXT-EMPTY", name=source.name)
    return found


def check_excerpts(sources: Sequence[Source], excerpts: Sequence[Excerpt]) -> None:
    """Raise InputError for places that the sources have not, and for priors that are none."""
    for each in excerpts:
        known = 0 <= each.source < len(sources)
        if not known or not 0 <= each.start < each.end <= len(sources[each.source].text):
            raise InputError("E-EXCERPT-RANGE", start=each.start, end=each.end, source=each.source)
        if not 0 < each.prior < math.inf:
            raise InputError("E-EXCERPT-PRIOR", value=each.prior)


def check(question: str, candidates: Sequence[str] | None) -> None:
    """Raise InputError for an empty question, and for empty or doubled candidates."""
    if not question.strip():
        raise InputError("E-QUESTION-EMPTY")
    if candidates is None:
        return
    if not candidates:
        raise InputError("E-CANDIDATE-NONE")
    seen: set[str] = set()
    for candidate in candidates:
        if not candidate.strip():
            raise InputError("E-CANDIDATE-EMPTY")
        if candidate.strip() in seen:
            raise InputError("E-CANDIDATE-TWICE", candidate=candidate.strip())
        seen.add(candidate.strip())

"""Where answers stand: exact places in the source, with line and sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from puna.answer.types import Answer, Evidence, Passage, Source, Support
from puna.tokens.sentences import line_of, sentence_at

_SUPPORTS = 10  # sentences told for an answer


def evidence(source: Source, start: int, end: int) -> Evidence:
    """Describe the place source.text[start:end]."""
    text = source.text
    first, last = sentence_at(text, start, end)
    units = len(text[:start].encode("utf-16-le")) // 2
    wide = len(text[start:end].encode("utf-16-le")) // 2
    return Evidence(
        source=source.name,
        start=start,
        end=end,
        line=line_of(text, start),
        sentence=Passage(text[first:last], first, last),
        utf16=(units, units + wide),
    )


def explained(answers: tuple[Answer, ...], supports: Mapping[str, Sequence[Support]]) -> tuple[Answer, ...]:
    """Add to each answer which sentences carry it, and order its places by that."""
    return tuple(_explain(answer, supports[answer.text]) for answer in answers)


def _explain(answer: Answer, supports: Sequence[Support]) -> Answer:
    def loss(place: Evidence) -> float | None:
        held = (s.loss for s in supports if s.source == place.source and _holds(s.sentence, place))
        return max(held, default=None)

    places = sorted((replace(place, loss=loss(place)) for place in answer.evidence), key=lambda p: -(p.loss or 0.0))
    return replace(answer, evidence=tuple(places), why=tuple(supports[:_SUPPORTS]))


def _holds(sentence: Passage, place: Evidence) -> bool:
    return sentence.start < place.end and place.start < sentence.end


def occurrences(text: str, wanted: str, begin: int = 0, last: int | None = None) -> list[tuple[int, int]]:
    """List the places of a string in text[begin:last], overlapping ones too; words are found whole only."""
    found: list[tuple[int, int]] = []
    start = text.find(wanted, begin, last)
    while start >= 0:
        end = start + len(wanted)
        if not (_joined(text, start) or _joined(text, end)):
            found.append((start, end))
        start = text.find(wanted, start + 1, last)
    return found


def _joined(text: str, place: int) -> bool:
    """Tell whether a place cuts a Latin word or a number in two."""
    return 0 < place < len(text) and all(c.isalnum() and ord(c) < 0x2E80 for c in text[place - 1 : place + 1])

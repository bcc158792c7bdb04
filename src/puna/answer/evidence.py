"""Where answers stand: exact places in the source, with line and sentence."""

from puna.answer.sentences import line_of, sentence_at
from puna.answer.types import Evidence, Passage, Source


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


def occurrences(text: str, wanted: str) -> list[tuple[int, int]]:
    """List the places of a string in a text, overlapping ones too; words are found whole only."""
    found: list[tuple[int, int]] = []
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not (_joined(text, start) or _joined(text, end)):
            found.append((start, end))
        start = text.find(wanted, start + 1)
    return found


def _joined(text: str, place: int) -> bool:
    """Tell whether a place cuts a Latin word or a number in two."""
    return 0 < place < len(text) and all(c.isalnum() and ord(c) < 0x2E80 for c in text[place - 1 : place + 1])

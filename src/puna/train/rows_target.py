"""What a question asks for, and how the sentence around it is cut and written as a question."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

BLANK = "___"
Range = tuple[int, int]
_PAIRS = ("()", "[]", "（）", "“”", "「」", "『』", "《》", "【】", "‘’")


@dataclass(frozen=True, slots=True)
class Target:
    """A span [start, end) of a text that can be asked for; `kind` is its type as far as a language tells: "date"."""

    start: int
    end: int
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A span that stands in at least two sentences; `clean` are those of its places where a blank can take it out."""

    kind: str
    places: tuple[Range, ...]
    clean: tuple[Range, ...]


class Language(Protocol):
    """What rows need to know of a language; a module each."""

    GAP: str
    FEWEST: int
    MOST: int
    LONG: int
    SHORT: int

    def size(self, text: str) -> int:
        """Give the length of a text in words, or in characters where words are not parted."""

    def weight(self, span: str) -> float:
        """Give how much a recurring span is worth asking for, beside others."""

    def askable(self, sentence: str) -> bool:
        """Say whether a sentence is one, long enough and not too long, with nothing in it but text."""

    def recurrences(self, text: str, ranges: list[Range]) -> list[Recurrence]:
        """List spans that recur in several of the sentences at `ranges`, whole words and no common ones."""

    def targets(self, text: str, start: int, end: int) -> list[Target]:
        """List names, numbers and dates of the sentence [start, end)."""

    def clause(self, text: str, start: int, end: int, target: Target) -> Range:
        """Give the part of the sentence [start, end) around a target that can be asked alone."""

    def asked(self, text: str, start: int, end: int, target: Target) -> str | None:
        """Give [start, end) as a question with an interrogative for the target, None where none would fit."""


def blanked(text: str, start: int, end: int, target: Target) -> str:
    """Give [start, end) with a blank for the target, on one line."""
    return " ".join((text[start : target.start] + BLANK + text[target.end : end]).split())


def widened(
    text: str, start: int, end: int, target: Target, parting: re.Pattern[str], enough: Callable[[str], bool]
) -> Range:
    """Give the shortest run of parts of [start, end) that holds the target and is enough, brackets closed.

    Parts end with what `parting` matches. A run grows to the left first, where the subject stands.
    """
    cuts = [m.end() for m in parting.finditer(text, start, end) if not target.start <= m.start() < target.end]
    cuts = [start, *(cut for cut in cuts if start < cut < end), end]
    first = max(n for n, cut in enumerate(cuts) if cut <= target.start)
    last = min(n for n, cut in enumerate(cuts) if cut >= target.end)
    while True:
        found = text[cuts[first] : target.start] + text[target.end : cuts[last]]
        if enough(found) and closed(found):
            return cuts[first], cuts[last]
        if first:
            first -= 1
        elif last < len(cuts) - 1:
            last += 1
        else:
            return start, end


def closed(text: str) -> bool:
    """Say whether brackets and quotation marks all have their partner."""
    return text.count('"') % 2 == 0 and all(
        text.count(pair[0]) == text.count(pair[1]) for pair in _PAIRS if pair != "‘’" or "’" not in text
    )

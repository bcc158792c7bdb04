"""Every span of a text that may be an answer: on word boundaries, and between all characters of Chinese."""

import re
from collections.abc import Iterator

from puna.tokens.sentences import sentences

# Scripts written without spaces, as a class of characters: each is a unit of its own.
UNSPACED = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# A number keeps its separators ("1,000", "3.5", "12:30"), a word its apostrophe; a hyphen parts two words.
_UNIT = re.compile(rf"[{UNSPACED}]|\d+(?:[.,:/]\d+)*|(?:(?![{UNSPACED}\d])\w)(?:(?![{UNSPACED}])\w|['’](?=\w))*")
_POSSESSIVE = re.compile(r"['’]s?$")
_SPACE_IN_CHINESE = re.compile(rf"(?<=[{UNSPACED}]) (?=[{UNSPACED}])")
_BEFORE = frozenset("$£€¥￥#《〈「『“\"'(（")
_AFTER = frozenset("%％°‰》〉」』”\"')）")

MAX_WORDS = 12
MAX_CHARS = 24
# Of words and characters, whatever is asked for: what is longer has more tokens than a span that is scored may have.
_MOST_WORDS, _MOST_CHARS = 64, 128
_MARGIN = 256  # characters beyond a window that are looked at, to see which words its edges cut


def spans(text: str, max_words: int = MAX_WORDS, max_chars: int = MAX_CHARS) -> list[tuple[int, int]]:
    """List candidate spans [start, end) in code points, each inside one sentence, none twice.

    At most `max_words` words, or `max_chars` characters of Chinese (a Latin word or number in it counts as one).
    A currency sign, quote or bracket directly before, and a per cent sign, quote or bracket directly after, may
    belong to a span; a possessive 's may be left out.
    """
    found: dict[tuple[int, int], None] = {}
    for first, last in sentences(text):
        units = [match.span() for match in _UNIT.finditer(text, first, last)]
        for i, (start, _) in enumerate(units):
            starts = [start]
            if start > first and text[start - 1] in _BEFORE:
                starts.append(start - 1)
            unspaced = 0
            for j in range(i, len(units)):
                unspaced += bool(_is_unspaced(text[units[j][0]]))
                count = j - i + 1
                if count > (max_chars if unspaced > count // 2 else max_words):
                    break
                for end in _ends(text, *units[j], last):
                    for begin in starts:
                        found[begin, end] = None
    return list(found)


def spans_within(text: str, begin: int, last: int, max_words: int, max_chars: int) -> Iterator[tuple[int, int]]:
    """Give the spans of a text that lie in its window [begin, last); a part of a word that is cut there is none."""
    first = max(begin - _MARGIN, 0)
    longest = min(max_words, _MOST_WORDS), min(max_chars, _MOST_CHARS)
    for start, end in spans(text[first : last + _MARGIN], *longest):
        if begin <= first + start and first + end <= last:
            yield first + start, first + end


def in_one_line(text: str) -> str:
    """A span as it is written in an answer: line breaks and runs of space become one space, or none in Chinese."""
    return _SPACE_IN_CHINESE.sub("", " ".join(text.split()))


def _ends(text: str, start: int, end: int, last: int) -> list[int]:
    ends = [end]
    possessive = _POSSESSIVE.search(text, start, end)
    if possessive and possessive.start() > start:
        ends.append(possessive.start())
    if end < last and text[end] in _AFTER:
        ends.append(end + 1)
    return ends


_is_unspaced = re.compile(rf"[{UNSPACED}]").match

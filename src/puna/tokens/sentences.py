"""Where sentences begin and end, in English and Chinese, as offsets into the text (code points)."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

# A full stop after these does not end a sentence.
_ABBREVIATIONS = frozenset(
    """
    adm al approx art ave brig bros ca capt cf ch co col corp dept dr ed eds eq est etc fig figs fr ft gen gov hon
    inc jr km lt ltd maj min mr mrs ms mt mts no nos op p pp prof pt rep rev sec sen sgt sr st ste univ v viz vol
    vols vs e.g i.e a.m p.m jan feb mar apr jun jul aug sep sept oct nov dec
    """.split()
)
# Runs of full stops are taken from their beginning and whole, or a long one would be looked through from every place.
_END = re.compile(
    r"[。！？；…]+[”’」』）】\"']*|(?<![.!?])[.!?]++[\"'”’)\]]*+(?=\s|$)"
    r"|\n[^\S\n]*(?=\n)|\n(?=[^\S\n]*(?:[-*#•]|\d+[.)]\s))"
)
_LAST_WORD = re.compile(r"[\w.]*\w$")
_LONGEST_WORD = 64  # characters looked back over for it


@lru_cache(maxsize=32)
def sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Cut a text into sentences [start, end), white space around them left out; nothing else is lost."""
    return tuple(sentences_in(text, 0, len(text)))


def sentences_in(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the sentences of text[start:end] one by one, as offsets into the text; nothing is kept."""
    for match in _END.finditer(text, start, end):
        if match[0][0] == "." and not _ends(text, start, end, match):
            continue
        yield from _stripped(text, start, match.end())
        start = match.end()
    yield from _stripped(text, start, end)


def sentence_at(text: str, start: int, end: int) -> tuple[int, int]:
    """Give the range of the sentence that holds [start, end), or of the several that it crosses."""
    every = sentences(text)
    first = max(bisect_right(every, (start, len(text))) - 1, 0)
    last = max(bisect_right(every, (max(end - 1, start), len(text))) - 1, first)
    return min(every[first][0], start), max(every[last][1], end)


def line_of(text: str, offset: int) -> int:
    """Give the line of an offset, the first being 1."""
    return text.count("\n", 0, offset) + 1


def _ends(text: str, start: int, end: int, match: re.Match[str]) -> bool:
    """Tell whether a full stop ends a sentence: not after an abbreviation, not before small letters."""
    word = _LAST_WORD.search(text, max(start, match.start() - _LONGEST_WORD), match.start())
    following = text[match.end() : min(match.end() + 3, end)].lstrip()
    if not following:
        return True
    if following[0].islower():
        return False
    if word is None or len(match[0]) > 1:
        return True
    return not (word[0].lower() in _ABBREVIATIONS or (len(word[0]) == 1 and word[0].isupper()) or "." in word[0])


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    if piece.strip():
        yield start + left, start + len(piece.rstrip())

"""What a text is found by: its terms, cut alike from passages and from questions.

A term is the stem of a folded word, a number, or one or two neighbouring characters of a script that is written without
spaces. Folded: small letters of usual width without accents, Chinese in simplified characters. A term has no white space,
quote or backslash, and of ASCII only a-z, 0-9 and the point, which stands in numbers alone; so it is one token, as it is,
to FTS5 with `tokenize="ascii tokenchars '.'"`, and one lexeme in a PostgreSQL literal: `'3.5' '山峰'`::tsvector.
(PostgreSQL's own parser, to_tsvector, would cut some.)
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from puna.answer.spans import UNSPACED
from puna.library.stem import stem

LONGEST = 64  # characters of a term; what is longer is cut there, in passages and questions alike
_SIMPLIFIED = Path(__file__).with_name("simplified.txt")
# Korean has spaces, but its words end in particles; Thai, Lao, Burmese and Khmer have none between words.
_PAIRED = UNSPACED + "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\uac00-\ud7af"
# Of folded text. Pairs reach over a line end or a few spaces, which layout puts between the characters of a word.
_PIECE = re.compile(
    rf"(?P<run>[{_PAIRED}]+(?: {{0,3}}\n? {{0,3}}[{_PAIRED}]+)*)"
    r"|(?P<number>\d+(?:[.,]\d+)*)"
    rf"|(?P<initials>(?:(?![{_PAIRED}])[^\W\d]\.)+(?![{_PAIRED}])[^\W\d](?![^\s|.,'{_PAIRED}])\.?)"
    rf"|(?P<word>[^\s|.,'{_PAIRED}]+)(?:'s(?![^\s|.,'{_PAIRED}]))?"
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ENGLISH = re.compile("[a-z]+")
_KEPT = frozenset(".,'")
_APOSTROPHES = frozenset("\u2019\uff07")
_FULL_COMMA = "\uff0c"  # it parts the items of a list, never the digits of a number
_THIN_SPACE = "\u200b"
# Accents, points and harakat, variation selectors: what is written by some and left out by others.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)
# What asks, and what is everywhere: in a question it says nothing about where the answer stands.
_ASKING = frozenset(
    """
    a an and are as at be been by did do does for from had has have how in is it its of on or that the there these this
    those to was were what when where which who whom whose why with
    """.split()
)
_ASKING_CHINESE = re.compile("为什么|什么|甚么|哪些|哪里|哪一|哪个|哪位|哪|谁|多少|怎么|怎样|如何|何时|吗|呢|是|的")
# The 100 characters that stand in most of 8,500 texts of CMRC, DRCD and DuReader, and a few more that ask or join.
# In pairs they count; by themselves they only make a search long.
_EVERYWHERE = frozenset(
    "的一在是为有中于大以年和时后国人成不上了个之其地出与到而分多来主会部发生由下名要行及方日最也并作可等"
    "同被用自前开月家对这公所过经现因间此本位内但长至外高他代第得当三都期加西进动区定入称能新全学合面小重了在于被有何几和与为"
)


def terms(text: str) -> list[str]:
    """Give the terms of a text in order, each as often as it stands there.

    A run of Chinese, Japanese, Korean, Thai, Lao, Burmese or Khmer gives its overlapping pairs and its single characters.
    """
    return list(_terms(folded(text)))


def query_terms(question: str) -> list[str]:
    """Give the terms to look for, each once: without words that ask, unless there are no others."""
    plain = folded(question)
    asked = _ASKING_CHINESE.sub("|", plain)
    kept = dict.fromkeys(term for term in _terms(asked, _ASKING) if term not in _EVERYWHERE)
    return list(kept or dict.fromkeys(_terms(plain)))


def folded(text: str) -> str:
    """Give a text as terms are cut from it: letters, digits, marks, points, commas, apostrophes, white space and "|"."""
    composed = unicodedata.normalize("NFC", text)
    return unicodedata.normalize("NFC", composed.translate(_table()))


def simplified() -> dict[str, str]:
    """Give the simplified character for each traditional one that has another."""
    lines = [line for line in _SIMPLIFIED.read_text("utf-8").splitlines() if not line.startswith("#")]
    traditional, plain = ("".join(lines[n::2]) for n in (0, 1))
    return dict(zip(traditional, plain, strict=True))


class Piece(NamedTuple):
    """Characters, a `run` of a script without spaces, or words. `apart`: signs stand between it and the last one."""

    parts: list[str]
    run: bool
    apart: bool


def pieces(plain: str) -> Iterator[Piece]:
    """Give what a folded text is made of, in order."""
    last = 0
    for match in _PIECE.finditer(plain):
        apart = not plain[last : match.start()].isspace() and match.start() > last
        last = match.end()
        kind = match.lastgroup
        found = match[kind or 0]
        if kind == "run":
            yield Piece([c for c in found if c not in " \n"], True, apart)
        elif kind == "number":
            yield Piece(_THOUSANDS.sub("", found).split(","), False, apart)
        else:
            yield Piece([found.replace(".", "")], False, apart)


def _terms(plain: str, without: frozenset[str] = frozenset()) -> Iterator[str]:
    for parts, run, _ in pieces(plain):
        if run:
            yield from map("".join, pairwise(parts))
            yield from parts
        else:
            yield from (stemmed(part) for part in parts if part not in without)


def stemmed(word: str) -> str:
    """Give the term of a folded word or number."""
    word = word[:LONGEST]
    return stem(word) if _ENGLISH.fullmatch(word) else word


class _Folds(dict[int, str]):
    """What `str.translate` makes of a code point, worked out when it is first met. "|" parts words."""

    def __init__(self, simplified: dict[str, str]) -> None:
        super().__init__()
        self._simplified = simplified

    def __missing__(self, code: int) -> str:
        self[code] = fold = self._fold(chr(code))
        return fold

    def _fold(self, character: str) -> str:
        if character == "\n":
            return "\n"
        if character.isspace() or character == _THIN_SPACE:
            return " "
        if unicodedata.category(character) == "Cf":
            return ""
        if character in _APOSTROPHES:
            return "'"
        if character == _FULL_COMMA:
            return "|"
        plain = unicodedata.normalize("NFKC", character).casefold()
        plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", plain)))
        kept = (c if c in _KEPT or unicodedata.category(c)[0] in "LNM" else "|" for c in plain)
        return "".join(self._simplified.get(c, c) for c in kept)


@lru_cache(maxsize=1)
def _table() -> _Folds:
    return _Folds(simplified())

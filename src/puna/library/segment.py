"""What a text is found by: its terms, cut alike from passages and from questions.

A term is a folded word or number, or one or two neighbouring characters of a script that is written without spaces.
"""

import re
import unicodedata
from collections.abc import Iterator

from puna.answer.spans import UNSPACED

LONGEST = 64  # characters of a term; what is longer is cut there, in passages and questions alike
# Korean has spaces, but its words end in particles; Thai, Lao, Burmese and Khmer have none between words.
_PAIRED = UNSPACED + "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\uac00-\ud7af"
# Of folded text. Pairs reach over a line end or a few spaces, which layout puts between the characters of a word.
_PIECE = re.compile(
    rf"(?P<run>[{_PAIRED}]+(?: {{0,3}}\n? {{0,3}}[{_PAIRED}]+)*)"
    r"|(?P<number>\d+(?:[.,]\d+)*)"
    rf"|(?P<initials>(?![{_PAIRED}])[^\W\d](?:\.[^\W\d])+(?!\w)\.?)"
    rf"|(?P<word>[^\s|.,'{_PAIRED}]+)(?:'s(?!\w))?"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?=\.|$)")
_KEPT = frozenset(".,'")
# Accents, points and harakat, variation selectors: what is written with and without.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]"
)


class _Folded(dict[int, str]):
    """What `str.translate` makes of a code point: small, without accents and widths; "|" is what parts words."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = self._fold(chr(code))
        return folded

    @staticmethod
    def _fold(character: str) -> str:
        if character == "\n":
            return "\n"
        kind = unicodedata.category(character)
        if character.isspace() or character == "\u200b":
            return " "
        if kind == "Cf":
            return ""
        if character in "\u2019\uff07":
            return "'"
        if character == "\uff0c":  # parts the items of a list, never the digits of a number
            return "|"
        plain = unicodedata.normalize("NFKC", character).casefold()
        plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", plain))
        plain = unicodedata.normalize("NFC", plain)
        return "".join(c if c in _KEPT or unicodedata.category(c)[0] in "LNM" else "|" for c in plain)


_FOLDED = _Folded()


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).translate(_FOLDED))
    for match in _PIECE.finditer(folded):
        yield str(match.lastgroup), match[str(match.lastgroup)]

"""Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", Program 14, 1980), as published.

Words of one stem find each other: "answers", "answered" and "answering" are "answer". The steps are numbered as there.
"""

from functools import lru_cache

_STEP2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "abli": "able", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
}  # fmt: skip
_STEP3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP4 = dict.fromkeys("al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize".split(), "")


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Give the stem of an English word in small letters a to z."""
    if len(word) <= 2:
        return word
    word = _step1b(_step1a(word))
    if word.endswith("y") and _has_vowel(word[:-1]):  # 1c
        word = word[:-1] + "i"
    for table, least in ((_STEP2, 0), (_STEP3, 0), (_STEP4, 1)):
        word = _replaced(word, table, least)
    return _step5(word)


def _step1a(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _step1b(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix):
            left = word[: -len(suffix)]
            return _mended(left) if _has_vowel(left) else word
    return word


def _mended(word: str) -> str:
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if _is_doubled(word) and word[-1] not in "lsz":
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _is_short(word) else word


def _replaced(word: str, table: dict[str, str], least: int) -> str:
    """Replace the longest suffix of a table where the measure of what is left is more than `least`."""
    for length in range(min(7, len(word)), 1, -1):
        suffix = word[-length:]
        if suffix in table:
            left = word[:-length]
            if _measure(left) <= least or (suffix == "ion" and not left.endswith(("s", "t"))):
                return word
            return left + table[suffix]
    return word


def _step5(word: str) -> str:
    if word.endswith("e"):
        left = word[:-1]
        if _measure(left) > 1 or (_measure(left) == 1 and not _is_short(left)):
            word = left
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word


def _form(word: str) -> str:
    """Write v for a vowel and c for a consonant; y is a vowel behind a consonant."""
    form = ""
    for letter in word:
        form += "v" if letter in "aeiou" or (letter == "y" and form.endswith("c")) else "c"
    return form


def _measure(word: str) -> int:
    """Count the times that consonants follow vowels."""
    return _form(word).count("vc")


def _has_vowel(word: str) -> bool:
    return "v" in _form(word)


def _is_doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _form(word).endswith("c")


def _is_short(word: str) -> bool:
    """Tell whether it ends as "hop" does; Porter writes *o."""
    return _form(word).endswith("cvc") and word[-1] not in "wxy"

"""Text to the terms of the index."""

import re

_WORD = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")


def terms(text: str) -> list[str]:
    """Give words in small letters, and overlapping pairs of Chinese characters."""
    found = []
    for word in _WORD.findall(text):
        if "\u3400" <= word[0] <= "\u9fff" and len(word) > 1:
            found += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            found.append(word.lower())
    return found


def query_terms(question: str) -> list[str]:
    """Give the terms to look for."""
    return list(dict.fromkeys(terms(question)))

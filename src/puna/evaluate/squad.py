"""Exact match and F1 of SQuAD (Rajpurkar et al. 2016, 2018), for languages that part words with spaces.

They equal the official script of SQuAD 2.0, and that of 1.1 wherever an answer has a word besides articles.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Give 1 where the prediction has the words of one of the answers, else 0.

    Without answers only an empty prediction is right.
    """
    return float(tokens(prediction) in _wanted(answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Give the best F1, 0 to 1, of the words that the prediction shares with an answer.

    Without answers only an empty prediction is right.
    """
    predicted = tokens(prediction)
    return max(_f1(predicted, wanted) for wanted in _wanted(answers))


def tokens(text: str) -> list[str]:
    """Give the lower-case words without ASCII punctuation and articles."""
    return _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _wanted(answers: Sequence[str]) -> list[list[str]]:
    """Give each answer's words; answers without any are passed over, and no answer at all is the empty one."""
    return [found for answer in answers if (found := tokens(answer))] or [[]]


def _f1(predicted: list[str], wanted: list[str]) -> float:
    if not predicted or not wanted:
        return float(predicted == wanted)
    shared = (Counter(predicted) & Counter(wanted)).total()
    return 2 * shared / (len(predicted) + len(wanted))

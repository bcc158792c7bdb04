"""Exact match and F1 of CMRC 2018 (Cui et al. 2019), for Chinese: punctuation apart, F1 over a common run.

They equal the official script, `cmrc2018_evaluate.py` version 5, but for how `puna.evaluate.treebank` parts Latin script.
"""

import re
from collections.abc import Sequence

from puna.evaluate.treebank import words

# The official list also names "……", which is two characters and so equals none: a single … counts as text.
_DROPPED = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_HAN = re.compile("([\u4e00-\u9fa5])")


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Give 1 where the prediction is one of the answers but for case and punctuation, else 0.

    Without answers only an empty prediction is right.
    """
    return float(_bare(prediction) in [_bare(answer) for answer in answers or ("",)])


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Give the best F1, 0 to 1, of the longest run of segments that the prediction shares with an answer.

    Without answers only an empty prediction is right. Segments are Chinese characters and words.
    """
    if not answers:
        return exact_match(prediction, answers)
    return max(_f1(segments(prediction), segments(answer)) for answer in answers)


def segments(text: str) -> list[str]:
    """Give the Chinese characters (U+4E00 to U+9FA5) and the words between them, without punctuation."""
    pieces = _HAN.split(_bare(text))
    return [
        segment
        for n, piece in enumerate(pieces)
        for segment in ([piece] if n % 2 else words(piece) if piece else ())
    ]


def _bare(text: str) -> str:
    return text.lower().strip().translate(_DROPPED)


def _f1(predicted: list[str], wanted: list[str]) -> float:
    shared = _longest_run(predicted, wanted)
    return 2 * shared / (len(predicted) + len(wanted)) if shared else 0.0


def _longest_run(first: list[str], second: list[str]) -> int:
    """Count the segments of the longest run that both have."""
    longest, ending = 0, [0] * (len(second) + 1)
    for one in first:
        ending = [0] + [before + 1 if one == other else 0 for before, other in zip(ending, second, strict=False)]
        longest = max(longest, *ending)
    return longest

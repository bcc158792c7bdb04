"""Which official script scores a question: CMRC 2018's for Chinese, SQuAD's for all else."""

import re
from collections.abc import Sequence

from puna.evaluate import cmrc, squad

_HAN = re.compile("[\u4e00-\u9fff]")


def exact_match_and_f1(question: str, prediction: str, answers: Sequence[str]) -> tuple[float, float]:
    """Score a prediction, "" for "not in the text", against the accepted answers, none where there is no answer.

    Both are fractions. Chinese is scored where the question has a Han character, or where every answer does: an English
    question whose answers are "Yuán Cháo" and "元朝" is scored as English.
    """
    chinese = _HAN.search(question) or (answers and all(map(_HAN.search, answers)))
    script = cmrc if chinese else squad
    return script.exact_match(prediction, answers), script.f1(prediction, answers)

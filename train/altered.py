"""Questions that a text does not answer, made of ones that it does answer.

A name, number, date or year of the question that stands in the text too gives way to another of its kind from the text;
else a word to its opposite; else, seldom, the verb is negated. The people who wrote SQuAD 2.0's unanswerable questions
did the same and more by hand (Rajpurkar et al. 2018, table 2). About the same text, such a question costs few tokens.
"""

import random
import re

from puna.answer.prompt import CHINESE, wording_for
from puna.train.rows_chinese import traditional
from puna.train.rows_passages import language_of

_NEGATED = 0.15  # of the questions that have nothing else to alter
_YEAR = re.compile(r"\b(?:1\d|20)\d\d(?!\d)")
_VERB = re.compile(r"\b(?:is|are|was|were|did|does|do|could|would|has|have|had|should)\b")
_ENGLISH = """
    first last, before after, most least, largest smallest, biggest smallest, highest lowest, more less, oldest
    newest, increase decrease, increased decreased, north south, northern southern, east west, eastern western,
    win lose, won lost, began ended, begin end, started ended, same different, good bad, male female, above
    below, inside outside, early late, earliest latest, best worst, longest shortest, high low, large small,
    larger smaller, higher lower, greater lesser, strong weak, minimum maximum, internal external, public
    private, positive negative, rich poor, accept reject, accepted rejected, allow prevent, allowed prevented,
    support oppose, supported opposed, easy difficult, common rare, major minor, upper lower, gain lose, gained
    lost, import export, imported exported, left right, open closed, top bottom, youngest oldest, majority
    minority, always never, enter leave, entered left, joined left, advantage disadvantage, winter summer,
    success failure, buy sell, bought sold, teacher student, built destroyed, created destroyed, legal illegal
"""
_CHINESE = """
    最大 最小, 最高 最低, 最多 最少, 最早 最晚, 最长 最短, 最好 最差, 之前 之后, 以前 以后, 增加 减少, 上升 下降,
    开始 结束, 成功 失败, 支持 反对, 优点 缺点, 北部 南部, 东部 西部, 第一个 最后一个, 第一次 最后一次, 男性 女性,
    进口 出口, 优势 劣势
"""
_TRADITIONAL = str.maketrans("长后减开结败对优东个进势", "長後減開結敗對優東個進勢")


def _both_ways(pairs: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one, two in (pair.split() for pair in pairs.split(",")):
        found.setdefault(one, []).append(two)
        found.setdefault(two, []).append(one)
    return found


_OPPOSITE, _OPPOSITE_CHINESE = _both_ways(_ENGLISH), _both_ways(_CHINESE)
_OPPOSITE_WIDE = _both_ways(_CHINESE.translate(_TRADITIONAL))


def altered(question: str, context: str, answers: list[str], draw: random.Random) -> str | None:
    """Give a question much like this one that the text does not answer, None where that is not easily made."""
    found = _exchangeable(question, context, answers)
    if found:
        start, end, others = draw.choice(found)
        return question[:start] + draw.choice(others) + question[end:]
    chinese = wording_for(question) is CHINESE
    opposite = (_OPPOSITE_WIDE if traditional(context) else _OPPOSITE_CHINESE) if chinese else _OPPOSITE
    pattern = "|".join(opposite) if chinese else rf"\b(?:{'|'.join(opposite)})\b"
    if words := list(re.finditer(pattern, question)):
        word = draw.choice(words)
        return question[: word.start()] + draw.choice(opposite[word[0]]) + question[word.end() :]
    verb = _VERB.search(question)
    if verb and draw.random() < _NEGATED:
        return f"{question[: verb.end()]}n't{question[verb.end() :]}"
    return None


def _exchangeable(question: str, context: str, answers: list[str]) -> list[tuple[int, int, list[str]]]:
    """List what may be exchanged, [start, end) of the question, with all that may stand in its place."""
    asked, right = question.lower(), [answer.lower() for answer in answers]
    there = {(context[start:end], kind) for start, end, kind in _targets(context)}
    found = []
    for start, end, kind in _targets(question):
        known = question[start:end]
        if known not in context:
            continue
        words = set(known.lower().split())
        others = sorted(
            other
            for other, its_kind in there
            if its_kind == kind
            and other.lower() not in asked
            and not words & set(other.lower().split())
            and not any(other.lower() in answer or answer in other.lower() for answer in right)
        )
        if others:
            found.append((start, end, others))
    return found


def _targets(text: str) -> list[tuple[int, int, str]]:
    """List names, numbers, dates and years, [start, end) and kind."""
    found = [
        (each.start, each.end, "name" if each.kind == "person" else each.kind)
        for each in language_of(text).targets(text, 0, len(text))
        if each.start and not _YEAR.fullmatch(text, each.start, each.end)
    ]
    years = [(*match.span(), "year") for match in _YEAR.finditer(text)]
    return found + [year for year in years if all(year[1] <= start or end <= year[0] for start, end, _ in found)]

"""Observations in, metrics out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from puna.evaluate.observation import Observation
from puna.evaluate.reliability import aurc, auroc, brier_score, calibration_error

_TOP = 5


@dataclass(frozen=True, slots=True)
class Summary:
    """Metrics of `n` questions. em, f1 and what is named after them: percent, as the official scripts print them.

    failed: questions that could not be asked; they count as wrong.
    top5_em, top5_f1: the best of the ranking's first five entries; in a set with unanswerable questions "not in the
    text" is an entry, at its place by probability.
    has_answer_em, has_answer_f1: over the answerable questions. no_answer_accuracy: percent of the unanswerable ones
    with the prediction "not in the text". None in a set without unanswerable questions.
    ece, brier, aurc (fractions): how well the first answer's probability says whether that answer is an exact match; in
    a set without unanswerable questions its probability given that the text holds an answer, as is known there.
    no_answer_auroc (fraction): how well `no_answer_probability` tells unanswerable questions; None without both kinds.
    exact_share (fraction): questions for which the search proved that no better answer was left out.
    The last three are means over the questions.
    """

    n: int
    failed: int
    em: float
    f1: float
    top5_em: float
    top5_f1: float
    has_answer_em: float | None
    has_answer_f1: float | None
    no_answer_accuracy: float | None
    ece: float | None
    brier: float | None
    aurc: float | None
    no_answer_auroc: float | None
    exact_share: float
    seconds_per_question: float
    nodes_per_question: float
    passes_per_question: float


def summarise(observations: Sequence[Observation], refusing: bool) -> Summary:
    """Give the metrics of one question or more; `refusing`: the set has unanswerable questions."""
    answerable = [one for one in observations if not one.unanswerable]
    unanswerable = [one for one in observations if one.unanswerable]
    asked = [one for one in observations if one.answers]
    probabilities = [_probability(one, refusing) for one in asked]
    right = [one.answers[0].em for one in asked]
    tops = [_top(one, refusing) for one in observations]
    return Summary(
        n=len(observations),
        failed=sum(one.error is not None for one in observations),
        em=100 * fmean(one.em for one in observations),
        f1=100 * fmean(one.f1 for one in observations),
        top5_em=100 * fmean(em for em, _ in tops),
        top5_f1=100 * fmean(f1 for _, f1 in tops),
        has_answer_em=_percent(one.em for one in answerable) if refusing else None,
        has_answer_f1=_percent(one.f1 for one in answerable) if refusing else None,
        no_answer_accuracy=_percent(one.em for one in unanswerable) if refusing else None,
        ece=calibration_error(probabilities, right) if asked else None,
        brier=brier_score(probabilities, right) if asked else None,
        aurc=aurc(probabilities, right) if asked else None,
        no_answer_auroc=auroc([one.no_answer_probability for one in asked], [one.unanswerable for one in asked]),
        exact_share=fmean(one.exact for one in observations),
        seconds_per_question=fmean(one.seconds for one in observations),
        nodes_per_question=fmean(one.nodes for one in observations),
        passes_per_question=fmean(one.passes for one in observations),
    )


def _probability(one: Observation, refusing: bool) -> float:
    first, answered = one.answers[0].probability, 1 - one.no_answer_probability
    return first if refusing or not answered else min(first / answered, 1.0)


def _top(one: Observation, refusing: bool) -> tuple[float, float]:
    """Give the best exact match and the best F1 of the first five entries."""
    entries = [(answer.em, answer.f1) for answer in one.answers]
    if refusing and not one.error:
        place = sum(answer.probability >= one.no_answer_probability for answer in one.answers)
        entries.insert(place, (float(one.unanswerable), float(one.unanswerable)))
    best = entries[:_TOP] or [(0.0, 0.0)]
    return max(em for em, _ in best), max(f1 for _, f1 in best)


def _percent(values: Iterable[float]) -> float | None:
    found = list(values)
    return 100 * fmean(found) if found else None

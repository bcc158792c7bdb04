"""From labelled rows to a calibration, and to what it is worth on rows that it was not fitted on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from puna.answer.calibration import KEPT, Calibration, kept
from puna.answer.mixture import mix
from puna.answer.reader import Reader
from puna.answer.settings import Settings
from puna.errors import InputError
from puna.evaluate.fit import Example, fit
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.reliability import aurc, auroc, brier_score, calibration_error
from puna.evaluate.rows import QuestionRow

FEWEST = 20  # rows to fit on
_FOLDS = 5
_POINTS = 200  # of the stored curve


@dataclass(frozen=True, slots=True)
class Outcome:
    """A question's best answer: its probability, is it right; probability of no answer, is there none."""

    probability: float
    right: bool
    no_answer_probability: float
    unanswerable: bool


def enough(rows: int) -> None:
    """Raise InputError for fewer than FEWEST rows."""
    if rows < FEWEST:
        raise InputError("E-ROWS-FEW", rows=rows, fewest=FEWEST)


def observe(reader: Reader, row: QuestionRow, normalise: str = "sum") -> Example | None:
    """Ask a row's question, uncalibrated, and look which answers match a labelled one.

    None where that cannot be asked: a text without words, a question longer than the model's context.
    """
    try:
        findings = reader.examine(row.question, row.context, Settings(top=KEPT, group=False, normalise=normalise))
    except InputError:
        return None
    windows = tuple(kept(look.window) for look in findings.looks)
    right = {
        text
        for window in windows
        for text in window.candidates
        if row.answers and exact_match_and_f1(row.question, text, row.answers)[0]
    }
    return Example(windows, frozenset(right), row.unanswerable) if windows else None


def calibrate(
    examples: Sequence[Example], model: str, normalise: str = "sum"
) -> tuple[Calibration, list[Outcome], list[Outcome]]:
    """Fit on all examples; the curve and the measures come from folds, each judged by a fit on the others.

    Gives the calibration, each example's outcome by a fit on others, and each one's without calibration. Raises
    InputError for fewer than FEWEST examples.
    """
    enough(len(examples))
    folds = []
    for fold in range(_FOLDS):
        rest = [example for n, example in enumerate(examples) if n % _FOLDS != fold]
        folds.append(Calibration(model, normalise, len(rest), fit(rest), (), {}))
    held = [outcome(example, folds[n % _FOLDS]) for n, example in enumerate(examples)]
    raw = [outcome(example, None) for example in examples]
    measured = {
        "accuracy": float(np.mean([each.right for each in held])),
        "unanswerable": float(np.mean([each.unanswerable for each in held])),
        **measures(held),
        **{f"raw_{name}": value for name, value in measures(raw).items()},
    }
    fitted = Calibration(model, normalise, len(examples), fit(examples), tuple(curve(held)), measured)
    return fitted, held, raw


def outcome(example: Example, calibration: Calibration | None) -> Outcome:
    """Judge a question's best answer as `ask` would give it."""
    windows = [calibration.apply(window) if calibration else window for window in example.windows]
    chances, nothing = mix(windows)
    best = max(chances, key=lambda text: chances[text], default="")
    return Outcome(chances.get(best, 0.0), best in example.right, nothing, example.unanswerable)


def measures(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Expected calibration error, Brier score and area under risk-coverage of best answers, AUROC of no answer."""
    given = [each.probability for each in outcomes]
    right = [each.right for each in outcomes]
    nothing = [each.no_answer_probability for each in outcomes]
    return {
        "ece": calibration_error(given, right),
        "brier": brier_score(given, right),
        "aurc": aurc(given, right),
        "no_answer_auroc": auroc(nothing, [each.unanswerable for each in outcomes]),
    }


def curve(outcomes: Sequence[Outcome]) -> Iterator[tuple[float, float, float]]:
    """Give (probability, coverage, error) where the probability falls; error is (wrong + 1) / (answered + 1)."""
    ranked = sorted(outcomes, key=lambda each: -each.probability)
    wrong = np.cumsum([not each.right for each in ranked])
    falls = [
        n for n in range(len(ranked)) if n + 1 == len(ranked) or ranked[n + 1].probability < ranked[n].probability
    ]
    for n in falls[:: max(1, len(falls) // _POINTS)]:
        yield ranked[n].probability, (n + 1) / len(ranked), float((wrong[n] + 1) / (n + 2))

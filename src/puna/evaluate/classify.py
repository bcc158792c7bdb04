"""Labels of texts beside the right ones: accuracy, F1 of each label, how honest the probabilities are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from puna.evaluate.reliability import calibration_error

if TYPE_CHECKING:
    from puna.evaluate.texts import LabelRow
    from puna.tasks.classify import Classifier
    from puna.tasks.sentiment import Sentiment


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a row got: the right label, the most probable one, and the probability of that."""

    right: str
    found: str
    probability: float


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """Of `n` rows, as fractions. confusion: a row for each right label, a column for each that was given.

    macro_f1: mean of the labels' F1, 0 for one that is neither right nor given anywhere. ece: expected calibration error
    of the most probable label's probability, over ten bins of equal size. labels: in the order of the confusion.
    """

    n: int
    accuracy: float
    macro_f1: float
    ece: float
    rows_per_second: float
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def label_rows(
    classifier: "Classifier | Sentiment", rows: "Sequence[LabelRow]", report: Callable[[int], None] | None = None
) -> Iterator[Labelled]:
    """Label the rows in their order."""
    every = classifier.each([row.text for row in rows])
    for number, (row, found) in enumerate(zip(rows, every, strict=True), 1):
        yield Labelled(row.label, found.best.label, found.best.probability)
        if report:
            report(number)


def summarise_labels(done: Sequence[Labelled], labels: Sequence[str], seconds: float) -> LabelSummary:
    """Give the metrics of one row or more, labelled in so many seconds."""
    place = {label: n for n, label in enumerate(labels)}
    confusion = [[0] * len(labels) for _ in labels]
    for each in done:
        confusion[place[each.right]][place[each.found]] += 1
    right = [row[n] for n, row in enumerate(confusion)]
    sizes = [sum(row) + sum(column) for row, column in zip(confusion, zip(*confusion, strict=True), strict=True)]
    scores = [2 * count / size if size else 0.0 for count, size in zip(right, sizes, strict=True)]
    return LabelSummary(
        n=len(done),
        accuracy=sum(right) / len(done),
        macro_f1=sum(scores) / len(scores),
        ece=calibration_error([each.probability for each in done], [each.found == each.right for each in done]),
        rows_per_second=len(done) / max(seconds, 1e-9),
        labels=tuple(labels),
        confusion=tuple(map(tuple, confusion)),
    )

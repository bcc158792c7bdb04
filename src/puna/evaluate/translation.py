"""Translations compared with those of people: BLEU and chrF as sacrebleu computes them (Post 2018)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from puna.errors import InputError
from puna.tasks.rows import Fields

if TYPE_CHECKING:
    from puna.tasks.translate import Translator, Wanted

LANGUAGES = ("en", "zh")
_TOKENIZERS = {"en": "13a", "zh": "zh"}


@dataclass(frozen=True, slots=True)
class PairRow:
    """A text and its translations, the first the main one; where it stands, to be named in messages."""

    source: str
    targets: tuple[str, ...]
    source_language: str
    target_language: str
    place: Fields

    @property
    def direction(self) -> str:
        """Such as "en-zh"."""
        return f"{self.source_language}-{self.target_language}"


def pair_row(row: Fields) -> PairRow:
    """Parse `{src, tgt, src_lang, tgt_lang, tgt_alt?}` for `read_rows`; `tgt_alt` is a further reference, or several."""
    source, target = row.text("src_lang"), row.text("tgt_lang")
    if sorted((source, target)) != list(LANGUAGES):
        raise row.error("E-TRANSLATE-ROW", source=source, target=target)
    more: tuple[str, ...] = ()
    if "tgt_alt" in row:
        more = row.texts("tgt_alt") if row.is_array("tgt_alt") else (row.text("tgt_alt"),)
    return PairRow(row.text("src"), (row.text("tgt"), *more), source, target, row)


@dataclass(frozen=True, slots=True)
class DirectionScores:
    """BLEU and chrF, 0 to 100, of the `n` rows of a direction, with sacrebleu's signatures."""

    n: int
    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


@dataclass(frozen=True, slots=True)
class TranslationSummary:
    """Scores of every direction, and the means of those; incomplete: translations cut at the greatest length."""

    n: int
    incomplete: int
    bleu: float
    chrf: float
    sentences_per_second: float
    directions: dict[str, DirectionScores]


@dataclass(frozen=True, slots=True)
class Translated:
    """A row and what came of it: the best translation, and whether it had ended."""

    row: PairRow
    text: str
    complete: bool


def check_sacrebleu() -> None:
    """Raise InputError where sacrebleu is not installed."""
    if find_spec("sacrebleu") is None:
        raise InputError("E-SACREBLEU")


class TranslationRun:
    """Rows translated, some side by side; what is done stands in `done` also where it is interrupted."""

    def __init__(self, rows: Sequence[PairRow], wanted: "Wanted", batch: int) -> None:
        self.rows, self._wanted, self._batch = rows, wanted, batch
        self.done: list[Translated] = []
        self.seconds = 0.0

    def go(self, translator: "Translator", report: Callable[[int], None] | None = None) -> None:
        """Translate, direction by direction; the rows of like length go together."""
        for direction in dict.fromkeys(row.direction for row in self.rows):
            rows = sorted((row for row in self.rows if row.direction == direction), key=lambda row: len(row.source))
            for start in range(0, len(rows), self._batch):
                group = rows[start : start + self._batch]
                began = time.perf_counter()
                source, target = group[0].source_language, group[0].target_language
                texts = [row.source for row in group]
                found = list(
                    translator.translate(texts, target, source=source, wanted=self._wanted, batch=self._batch)
                )
                self.seconds += time.perf_counter() - began
                self.done += [
                    Translated(row, each.text, each.candidates[0].complete)
                    for row, each in zip(group, found, strict=True)
                ]
                if report:
                    report(len(self.done))

    def summary(self) -> TranslationSummary:
        """Give the metrics of what is done, one row or more."""
        directions = {}
        for direction in dict.fromkeys(each.row.direction for each in self.done):
            mine = [each for each in self.done if each.row.direction == direction]
            directions[direction] = scores_of(
                [each.text for each in mine], [each.row.targets for each in mine], direction[-2:]
            )
        every = list(directions.values())
        return TranslationSummary(
            n=len(self.done),
            incomplete=sum(not each.complete for each in self.done),
            bleu=sum(each.bleu for each in every) / len(every),
            chrf=sum(each.chrf for each in every) / len(every),
            sentences_per_second=len(self.done) / self.seconds,
            directions=directions,
        )


def scores_of(texts: Sequence[str], references: Sequence[Sequence[str]], language: str) -> DirectionScores:
    """Compare translations with their references, which may be more for some than for others."""
    check_sacrebleu()
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    most = max(map(len, references))
    streams: list[list[Any]] = [
        [each[n] if n < len(each) else None for each in references] for n in range(most)
    ]  # sacrebleu takes None for a reference that is not there
    bleu, chrf = BLEU(tokenize=_TOKENIZERS[language]), CHRF()
    found, letters = (metric.corpus_score(list(texts), streams).score for metric in (bleu, chrf))
    return DirectionScores(len(texts), found, letters, str(bleu.get_signature()), str(chrf.get_signature()))

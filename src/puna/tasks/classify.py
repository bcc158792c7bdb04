"""Labels for texts, each with its probability: exact log-probabilities of the labels behind the text, compared.

The head of the prompt, with labels and examples, is read once and kept; behind each text all labels are scored in one
packed pass. Three things are done with the numbers:

- Prior correction: a label's probability behind the text is divided by that behind an empty text (Zhao
  et al. 2021, "Calibrate before use"), for a model prefers some labels whatever it reads.
- Then the labels' probabilities are made to sum to 1. Where several may fit (`multi`), each has its own: that of "yes"
  against "no" to the question whether it fits.
- A text longer than a window is read in overlapping windows. Its probabilities are the means over the windows, each
  counting by its characters; where several labels may fit, a label's is that of the window where it is highest.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from puna.answer.mixture import log_sum
from puna.answer.reader import Reader
from puna.answer.types import Coverage
from puna.answer.windows import windows_of
from puna.errors import InputError, ModelFileError
from puna.rank.branches import room, score_behind
from puna.rank.score import score
from puna.rank.shelf import Shelf
from puna.tasks.label_prompt import WORDINGS, LabelPrompts, LabelWording, label_prompts, language_of
from puna.tasks.labels import Example, Label, check_threshold, examples_of, labels_of

_TOGETHER = 64  # texts whose forwards are packed
Progress = Callable[[int, int], None]
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label. `log_probability` (nats): of the label and its end behind the text, the prior not divided out.

    Where several labels may fit it is that of "yes". Over several windows it is the log of the mean probability, or that
    of the window that counts.
    """

    label: str
    probability: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class Classified:
    """A text's labels, the most probable first (equals by name).

    `chosen`: the first, or where several may fit, those that reach the threshold. `language`: of the prompt.
    """

    labels: tuple[LabelScore, ...]
    chosen: tuple[str, ...]
    language: str
    coverage: Coverage
    model: str
    elapsed_ms: float

    @property
    def best(self) -> LabelScore:
        """The most probable label."""
        return self.labels[0]

    def to_dict(self) -> dict[str, Any]:
        """Give the object that `puna classify --json` prints."""
        return asdict(self)


class Classifier:
    """A reader and labels, which any number of texts get.

    `labels`: names, or `Label`s with descriptions; their order does not matter. `examples`: texts with their labels,
    which stand before every text, in this order. `multi`: any number of labels may fit a text, those from `threshold` on.
    `prior`: whether the prior is divided out; None: unless the adapter was trained by `puna train classify`. `wordings`:
    sentences other than those of `label_prompt`, by language.

    As with `Reader.rank`, the model is asked without an adapter that Puna brings, unless `plain` is false. Raises
    InputError for labels and examples that cannot be used; what is too long for the model is told when a text of its
    language comes.

    >>> import puna
    >>> topics = puna.Classifier(puna.load(), ["sports", "politics"])
    >>> topics.classify("The striker scored twice.").best.label  # doctest: +SKIP
    """

    def __init__(
        self,
        reader: Reader,
        labels: Iterable[str | Label],
        *,
        examples: Sequence[Example] = (),
        multi: bool = False,
        threshold: float = 0.5,
        prior: bool | None = None,
        wordings: Mapping[str, LabelWording] = WORDINGS,
        plain: bool = True,
        shelf: Shelf | None = None,
    ) -> None:
        check_threshold(threshold)
        self.labels = labels_of(labels, 1 if multi else 2)
        self.examples = examples_of(examples, self.labels, multi=multi)
        self.multi, self.threshold = multi, threshold
        self._reader, self._wordings = reader.plain if plain else reader, wordings
        self.model = self._reader.name
        self.prior = self._reader.trained != "classify" if prior is None else prior
        self._shelf = shelf or Shelf(self._reader.model)  # keeps the heads
        self._prompts: dict[str, LabelPrompts] = {}
        self._priors: dict[str, list[float]] = {}

    @property
    def key(self) -> str:
        """All that labels depend on, as text."""
        labels, examples = (
            [list(asdict(each).values()) for each in given] for given in (self.labels, self.examples)
        )
        wordings = {language: asdict(wording) for language, wording in self._wordings.items()}
        return json.dumps([self.model, labels, examples, self.multi, self.threshold, self.prior, wordings])

    def classify(self, text: str, *, progress: Progress | None = None, stop: Stop | None = None) -> Classified:
        """Give a text's labels. `progress(done, total)` is called after each window.

        When `stop()` turns true, what was read so far counts: `coverage` says how far that is (KeyboardInterrupt where
        there is nothing yet). Raises InputError for a text without a character to read.
        """
        began = time.perf_counter()
        language = _checked(text)
        prompts = self.prompts(language)
        windows = windows_of(text, prompts.tokenizer, prompts.size)
        weights: list[int] = []
        scores: list[list[float]] = []
        done = 0
        for start, end in windows:
            if stop and stop():
                break
            if part := text[start:end].strip():
                weights.append(len(part))
                scores += self._scores(prompts, [part])
            done += 1
            if progress:
                progress(done, len(windows))
        if not scores:
            raise KeyboardInterrupt
        coverage = Coverage(len(text), windows[done - 1][1], done)
        return self._found(language, scores, weights, coverage, time.perf_counter() - began)

    def each(self, texts: Sequence[str]) -> Iterator[Classified]:
        """Give the labels of texts, in their order, many times faster than one by one: short ones share forwards.

        The numbers are those of `classify`, to the last bit. `elapsed_ms` of a short text is its share of the time.
        """
        for start in range(0, len(texts), _TOGETHER):
            group = texts[start : start + _TOGETHER]
            began = time.perf_counter()
            known = self._short(group)
            shared = (time.perf_counter() - began) / max(len(known), 1)
            for number, text in enumerate(group):
                if number in known:
                    language, scores = known[number]
                    yield self._found(language, [scores], [1], Coverage(len(text), len(text), 1), shared)
                else:
                    yield self.classify(text)

    def _short(self, texts: Sequence[str]) -> dict[int, tuple[str, list[float]]]:
        """Give language and scores of the texts that are one window, by number."""
        found: dict[int, tuple[str, list[float]]] = {}
        languages = [_checked(text) for text in texts]
        for language in dict.fromkeys(languages):
            prompts = self.prompts(language)
            short = [
                number
                for number, text in enumerate(texts)
                if languages[number] == language and len(windows_of(text, prompts.tokenizer, prompts.size)) == 1
            ]
            scores = self._scores(prompts, [texts[number] for number in short])
            found |= {number: (language, values) for number, values in zip(short, scores, strict=True)}
        return found

    def _found(
        self,
        language: str,
        scores: Sequence[Sequence[float]],
        weights: Sequence[int],
        coverage: Coverage,
        seconds: float,
    ) -> Classified:
        labels = self._mixed(scores, [weight / sum(weights) for weight in weights], self._prior(language))
        chosen = [each.label for each in labels if each.probability >= self.threshold] if self.multi else None
        return Classified(
            labels,
            (labels[0].label,) if chosen is None else tuple(chosen),
            language,
            coverage,
            self.model,
            round(seconds * 1000, 1),
        )

    def prompts(self, language: str) -> LabelPrompts:
        """Give the tokens for texts of a language ("en" or "zh"); raise InputError where the model has no room."""
        if language not in self._prompts:
            self._prompts[language] = label_prompts(
                self._reader.tokenizer,
                self._reader.model.config.context,
                self.labels,
                self.examples,
                wording=self._wordings[language],
                multi=self.multi,
            )
        return self._prompts[language]

    def _prior(self, language: str) -> list[float]:
        prompts = self.prompts(language)
        if language not in self._priors:
            nothing = [0.0] * len(prompts.candidates)
            self._priors[language] = self._scores(prompts, [""])[0] if self.prior else nothing
        return self._priors[language]

    def _scores(self, prompts: LabelPrompts, texts: Sequence[str]) -> list[list[float]]:
        """Give log-probabilities (nats) of labels, or of yes and no for each label in turn, behind each text.

        Which way a text is computed depends on its own length alone.
        """
        head, tails = prompts.head, [prompts.tail(text) for text in texts]
        found: dict[int, list[Tensor]] = {}
        if head:
            reading = self._shelf.read([*head, prompts.end], [len(head)]).until(len(head))
            most = room(reading, prompts.candidates)
            short = [number for number, tail in enumerate(tails) if len(tail) <= most]
            scored = score_behind(reading, [tails[n] for n in short], prompts.candidates, end=prompts.end)
            found = dict(zip(short, scored, strict=True))
        for number in (n for n in range(len(tails)) if n not in found):
            reading = self._shelf.read([*head, *tails[number]], [len(head)])
            found[number] = score(reading, prompts.candidates, end=prompts.end)
        values = [
            [float(each[-count:].sum()) for each, count in zip(found[n], prompts.counted, strict=True)]
            for n in range(len(tails))
        ]
        if any(math.isnan(value) for each in values for value in each):
            raise ModelFileError("E-MODEL-NUMBERS")
        return values

    def _mixed(
        self, windows: Sequence[Sequence[float]], weights: Sequence[float], prior: Sequence[float]
    ) -> tuple[LabelScore, ...]:
        """Give the labels' probabilities, the most probable first."""
        corrected = [[a - b for a, b in zip(scores, prior, strict=True)] for scores in windows]
        if self.multi:
            odds = [[_yes(*pair) for pair in zip(each[::2], each[1::2], strict=True)] for each in corrected]
            at = [max(range(len(odds)), key=lambda w: odds[w][n]) for n in range(len(self.labels))]
            probabilities = [odds[window][n] for n, window in enumerate(at)]
            raw = [windows[window][2 * n] for n, window in enumerate(at)]
        else:
            totals = [log_sum(each) for each in corrected]
            shares = [
                [math.exp(value - total) for value in each] for each, total in zip(corrected, totals, strict=True)
            ]
            probabilities = [
                math.fsum(weight * share for weight, share in zip(weights, column, strict=True))
                for column in zip(*shares, strict=True)
            ]
            logs = [math.log(weight) for weight in weights]
            raw = [
                log_sum([log + value for log, value in zip(logs, column, strict=True)])
                for column in zip(*windows, strict=True)
            ]
        found = [
            LabelScore(label.name, *pair) for label, *pair in zip(self.labels, probabilities, raw, strict=True)
        ]
        return tuple(sorted(found, key=lambda each: (-each.probability, each.label)))


def _checked(text: str) -> str:
    """Give a text's language; raise InputError for one without a character to read."""
    if not text.strip():
        raise InputError("E-TEXT-EMPTY", name="text")
    return language_of(text)


def _yes(yes: float, no: float) -> float:
    """P(yes) against no, of log-probabilities."""
    return math.exp(yes - log_sum([yes, no]))

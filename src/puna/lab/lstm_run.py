"""One training of the LSTM study: rows made into examples, the reader trained, the held-back rows answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from puna.evaluate.metrics import exact_match_and_f1
from puna.lab.lstm import Batch, LstmClassifier, LstmReader
from puna.lab.lstm_training import Course, Example, learn
from puna.lab.lstm_words import Vocabulary, words
from puna.lab.questions import Parts, Question
from puna.lab.study import Watch
from puna.llama.device import choose_device

_LONGEST = 30  # words of an answer


@dataclass(frozen=True, slots=True)
class Size:
    """What a size of the study means. rows: to learn from, by language. longest: words of a text to learn from."""

    rows: Mapping[str, int | None]
    held: int
    width: int
    hidden: int
    course: Course
    longest: int = 700
    classes: int = 1000


SIZES = {
    "tiny": Size({"en": 12, "zh": 12}, 4, 8, 8, Course(2, rows=4)),
    "small": Size({"en": 3000, "zh": 1500}, 100, 96, 96, Course(6)),
    "large": Size({"en": None, "zh": None}, 500, 128, 192, Course(20, patience=3)),
}


class Trained:
    """One training of a kind, "lstm", "joined" or "classes", and its answers to the held-back rows."""

    def __init__(self, rows: Parts, size: Size, kind: str, seed: int, device: str) -> None:
        self._rows, self._size, self._kind, self._seed = rows, size, kind, seed
        self._device = choose_device(device)
        texts = dict.fromkeys(each.row.context for each in rows.train)
        self._vocabulary = Vocabulary([*texts, *(each.row.question for each in rows.train)])

    @cached_property
    def _classes(self) -> list[str]:
        """The most frequent answers of the rows to learn from."""
        counts = Counter(each.places[0][0] for each in self._rows.train)
        return [text for text, _ in counts.most_common(self._size.classes)]

    def run(self, watch: Watch) -> dict[str, Any]:
        """Train; give (EM, F1) as fractions for each held-back row, each epoch's losses, and sizes."""
        train, valid = self._examples(self._rows.train), self._examples(self._rows.valid)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(self._seed)
            model = self._model().to(self._device)
            history = learn(model, train, valid or train, self._size.course, self._seed, watch)
        scores = [
            exact_match_and_f1(each.row.question, prediction, each.row.answers)
            for each, prediction in zip(self._rows.held, self._predictions(model), strict=True)
        ]
        return {
            "scores": scores,
            "history": history,
            "learned": len(train),
            "vocabulary": len(self._vocabulary),
            "parameters": sum(each.numel() for each in model.parameters()),
        }

    def _model(self) -> LstmReader | LstmClassifier:
        sizes = (len(self._vocabulary), self._size.width, self._size.hidden)
        if self._kind == "classes":
            return LstmClassifier(*sizes, len(self._classes))
        return LstmReader(*sizes, carried=self._kind == "lstm")

    def _examples(self, rows: Sequence[Question]) -> list[Example]:
        """Give the rows that can be learned from: texts not too long, the first answer found again, or a class."""
        number = {text: place for place, text in enumerate(self._classes)}
        found = []
        for each in rows:
            answer, start = each.places[0]
            labels: tuple[int, ...] | None
            if self._kind == "classes":
                labels = (number[answer],) if answer in number else None
            else:
                labels = _covered(each.row.context, start, start + len(answer))
            example = self._example(each, labels or ())
            if labels and len(example.text) <= self._size.longest:
                found.append(example)
        return found

    def _example(self, each: Question, labels: tuple[int, ...] = ()) -> Example:
        row = each.row
        return Example(self._vocabulary.question(row.question), self._vocabulary.text(row.context), labels)

    @torch.inference_mode()
    def _predictions(self, model: LstmReader | LstmClassifier) -> list[str]:
        """Give the answer to each held-back row, in their order."""
        found = []
        for first in range(0, len(self._rows.held), size := self._size.course.rows):
            part = self._rows.held[first : first + size]
            batch = Batch.of([self._example(each).pair for each in part], self._device)
            if isinstance(model, LstmClassifier):
                found += [self._classes[number] for number in model(batch).argmax(1).tolist()]
                continue
            for each, (start, end) in zip(part, model.answer(batch, _LONGEST), strict=True):
                places = words(each.row.context)
                found.append(each.row.context[places[start][1] : places[end][2]])
        return found


def _covered(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Give the first and the last word that an answer touches; None for one without words."""
    touched = [n for n, (_, first, last) in enumerate(words(text)) if first < end and last > start]
    return (touched[0], touched[-1]) if touched else None

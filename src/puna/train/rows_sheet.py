"""The questions of one passage. All are about one context: the passage without the sentences taken out for them."""

import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from puna.tokens.sentences import sentence_at, sentences
from puna.train.rows_passages import Passage, language_of
from puna.train.rows_target import BLANK, Range, Target, blanked

_INTERROGATIVE = 0.6  # of the questions that can have an interrogative instead of the blank
_MOST_TAKEN = 0.35  # of a passage's characters that may leave it


class _Asked(NamedTuple):
    """A question and its answers, as ranges of the passage; none where no answer stays."""

    kind: str
    question: str
    answers: tuple[Range, ...] = ()


class Sheet:
    """A passage and what is asked about it."""

    def __init__(self, passage: Passage, draw: random.Random) -> None:
        self._title, self._text, self._draw = passage.title, passage.text, draw
        self._language = language_of(passage.text)
        self._every = list(sentences(passage.text))
        self._askable = [each for each in self._every if self._language.askable(self._span(each))]
        self._taken: set[Range] = set()

    def rows(self, number: int, unanswerable: float, others: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Give at most so many rows in random order, without ids.

        Each is without an answer with the probability `unanswerable`: its answer's sentence was taken out, or it is
        one of the `others`, questions and answers of other passages.
        """
        without = sum(self._draw.random() < unanswerable for _ in range(number))
        recurring = self._recurring((number - without + 1) // 2)
        own = self._lost(sum(not others or self._draw.random() < 0.5 for _ in range(without)), recurring)
        clozes = self._clozes(number - without - len(recurring))
        context, gone = self._context()
        foreign = self._of_others(context, others, without - len(own))
        asked, wanted = [*recurring, *clozes], number - without
        share = len(asked) / wanted if wanted else 1.0  # where little can be asked, little is unanswerable
        rows = {}
        for each in [*asked, *(lost for lost in [*own, *foreign] if self._draw.random() < share)]:
            answers = [
                {
                    "text": self._span((a, b)),
                    "start": a - sum(min(last, a) - first for first, last in gone if first < a),
                }
                for a, b in each.answers
                if not any(first <= a < last for first, last in gone)
            ]
            rows[each.question] = {
                "title": self._title,
                "context": context,
                "question": each.question,
                "answers": answers,
                "unanswerable": not answers,
                "kind": each.kind,
            }
        found = list(rows.values())
        self._draw.shuffle(found)
        return found

    def _recurring(self, number: int) -> list[_Asked]:
        """Take out a sentence for each span that recurs; it still stands in another one."""
        found: list[_Asked] = []
        spans = self._language.recurrences(self._text, self._every)
        weights = [self._language.weight(self._span(each.places[0])) for each in spans]
        order = sorted(range(len(spans)), key=[self._draw.expovariate(weight) for weight in weights].__getitem__)
        for each in (spans[n] for n in order):
            if len(found) == number:
                break
            if any(set(each.places) & set(other.answers) for other in found):
                continue
            for place in self._draw.sample(each.clean, len(each.clean)):
                sentence = sentence_at(self._text, *place)
                question = self._question(sentence, Target(*place, each.kind), whole=True)
                if question and self._may_leave(sentence, [each.places, *(other.answers for other in found)]):
                    self._taken.add(sentence)
                    found.append(_Asked("recurring", question, each.places))
                    break
        return found

    def _lost(self, number: int, asked: list[_Asked]) -> list[_Asked]:
        """Take out sentences that alone hold an answer, and ask for it."""
        found: list[_Asked] = []
        for sentence in self._shuffled():
            if len(found) == number:
                break
            if not self._may_leave(sentence, [each.answers for each in asked]):
                continue
            rest = (self._text[: sentence[0]] + self._text[sentence[1] :]).casefold()
            for target in self._targets(sentence):
                question = self._question(sentence, target)
                if question and self._span((target.start, target.end)).casefold() not in rest:
                    self._taken.add(sentence)
                    found.append(_Asked("unanswerable", question))
                    break
        return found

    def _clozes(self, number: int) -> list[_Asked]:
        """Ask for a name, number or date of each sentence that stays."""
        found: list[_Asked] = []
        for sentence in self._shuffled():
            if len(found) == number:
                break
            asked = [(self._question(sentence, target), target) for target in self._targets(sentence)]
            written = [(question, target) for question, target in asked if question]
            for question, target in sorted(written, key=lambda each: BLANK in each[0])[:1]:  # blanks are plenty
                kind = "cloze" if BLANK in question else "wh"
                found.append(_Asked(kind, question, ((target.start, target.end),)))
        return found

    def _of_others(self, context: str, others: list[tuple[str, str]], number: int) -> list[_Asked]:
        """Take questions of other passages whose answers do not occur here."""
        folded = context.casefold()
        free = [question for question, answer in others if answer.casefold() not in folded]
        return [_Asked("unanswerable", question) for question in self._draw.sample(free, min(number, len(free)))]

    def _question(self, sentence: Range, target: Target, *, whole: bool = False) -> str | None:
        """Write the question; None for a sentence that cannot be asked, or that gives the answer away."""
        if sentence not in self._askable:
            return None
        first, last = sentence
        if not whole or self._language.size(self._span(sentence)) > self._language.LONG:
            first, last = self._language.clause(self._text, *sentence, target)
        rest = self._text[first : target.start] + BLANK + self._text[target.end : last]
        if (
            self._span((target.start, target.end)).casefold() in rest.casefold()
            or self._language.size(rest.replace(BLANK, " ")) < self._language.SHORT
        ):
            return None
        if self._draw.random() < _INTERROGATIVE and (
            question := self._language.asked(self._text, first, last, target)
        ):
            return question[0].upper() + question[1:]
        return blanked(self._text, first, last, target)

    def _may_leave(self, sentence: Range, kept: Iterable[tuple[Range, ...]]) -> bool:
        """Say whether a sentence may be taken out: it stands here once, and each of `kept` still has a place."""
        taken = {*self._taken, sentence}
        return (
            sum(last - first for first, last in taken) <= _MOST_TAKEN * len(self._text)
            and self._text.count(self._span(sentence)) == 1
            and all(any(sentence_at(self._text, *place) not in taken for place in places) for places in kept)
        )

    def _context(self) -> tuple[str, list[Range]]:
        """Give the text without what was taken, and the ranges that are gone, a gap beside each with it."""
        gone: list[Range] = []
        for n, (first, last) in enumerate(self._every):
            if (first, last) in self._taken:
                before = self._every[n - 1][1] if n else 0
                after = self._every[n + 1][0] if n + 1 < len(self._every) else len(self._text)
                ends = "\n" in self._text[last:after] and "\n" not in self._text[before:first]
                gone.append(
                    (before, last) if n and ends and self._every[n - 1] not in self._taken else (first, after)
                )
        kept = [0, *(offset for each in gone for offset in each), len(self._text)]
        text = "".join(self._text[a:b] for a, b in zip(kept[::2], kept[1::2], strict=True))
        return text.rstrip(), gone

    def _targets(self, sentence: Range) -> list[Target]:
        found = self._language.targets(self._text, *sentence)
        return self._draw.sample(found, len(found))

    def _shuffled(self) -> list[Range]:
        """Give the sentences that can be asked and are not taken, in random order."""
        free = [each for each in self._askable if each not in self._taken]
        return self._draw.sample(free, len(free))

    def _span(self, span: Range) -> str:
        return self._text[slice(*span)]

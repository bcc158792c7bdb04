"""Questions about their contexts: each is asked, its answers are compared with the accepted ones."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from puna.answer.settings import Options
from puna.errors import InputError
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.observation import Observation, Ranked, digest, keep, kept
from puna.evaluate.rows import QuestionRow

if TYPE_CHECKING:
    from puna.answer.reader import Reader


def observe(reader: "Reader", row: QuestionRow, refusing: bool, options: Options | None = None) -> Observation:
    """Ask a row's question, with these settings, and score what comes.

    The prediction is the best answer, or "" where "not in the text" is more probable than not. In a set that is not
    `refusing`, one without unanswerable questions, it is always the first answer: every question has one there, and the
    official scripts of such sets (SQuAD 1.1, CMRC 2018) know no refusal. No calibration is used but a given one.
    """
    options = {"calibration": None, **(options or {}), "top": 5}
    mark = digest(row, refusing, options)
    try:
        found = reader.ask(row.question, row.context, **options)
    except InputError as error:
        return Observation(mark, row.id, reader.name, row.question, row.answers, error=error.code)
    chosen = found.best if refusing else found.answers[0]
    prediction, work = chosen.text if chosen else "", found.certificate
    em, f1 = exact_match_and_f1(row.question, prediction, row.answers)
    return Observation(
        row=mark,
        id=row.id,
        model=found.model,
        question=row.question,
        gold=row.answers,
        prediction=prediction,
        em=em,
        f1=f1,
        answers=tuple(
            Ranked(one.text, one.probability, *exact_match_and_f1(row.question, one.text, row.answers))
            for one in found.answers
        ),
        no_answer_probability=found.no_answer_probability,
        exact=work is not None and work.exact,
        nodes=work.nodes if work else 0,
        passes=work.passes if work else 0,
        seconds=found.elapsed_ms / 1000,
    )


class Run:
    """Rows to ask, and what came of those that were asked.

    `output` keeps the observations: a run with the same rows and file takes up where the one before ended. Raises
    InputError where the file cannot be written, or holds anything but observations of these rows.
    """

    def __init__(
        self,
        rows: Sequence[QuestionRow],
        refusing: bool,
        output: Path | None = None,
        options: Options | None = None,
    ) -> None:
        self.observations = kept(output) if output else []
        self._refusing, self._output = refusing, output
        self._options: Options = {"calibration": None, **(options or {}), "top": 5}
        done = Counter(one.row for one in self.observations)
        self._waiting = []
        for row in rows:
            mark = digest(row, refusing, self._options)
            if done[mark]:
                done[mark] -= 1
            else:
                self._waiting.append(row)
        if output and (others := done.total()):
            raise InputError("E-OUTPUT-ROWS", path=output, count=others)

    def go(self, reader: "Reader", report: Callable[[Sequence[Observation]], None] | None = None) -> None:
        """Ask the rows that wait; `report` gets all observations after each.

        Raises InputError where the file holds answers of another model.
        """
        for one in self.observations:
            if one.model != reader.name:
                raise InputError("E-OUTPUT-MODEL", path=self._output, found=one.model, model=reader.name)
        while self._waiting:
            found = observe(reader, self._waiting[0], self._refusing, self._options)
            if self._output:
                keep(self._output, found)
            self.observations.append(found)
            del self._waiting[0]
            if report:
                report(self.observations)

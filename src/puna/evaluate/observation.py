"""What came of one question, and how it is kept so that a stopped run can go on."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from puna.answer.settings import Options
from puna.evaluate.records import keep_record, kept_records
from puna.evaluate.rows import QuestionRow
from puna.tasks.rows import Fields

_BEGINNING = b'{"row": "'  # of every line that is written here


@dataclass(frozen=True, slots=True)
class Ranked:
    """An answer of the ranking with its probability, and its exact match and F1 as if it were the prediction."""

    text: str
    probability: float
    em: float
    f1: float


@dataclass(frozen=True, slots=True)
class Observation:
    """One question asked. `em` and `f1` are fractions, `seconds` wall time.

    row: digest of the row and of whether its set has unanswerable questions. gold: the accepted answers. prediction: ""
    for "not in the text". answers: best first. exact, nodes, passes: of the search's certificate. error: the code where
    the question could not be asked, such as one longer than the model's context; all that follows `gold` is as here then.
    """

    row: str
    id: str
    model: str
    question: str
    gold: tuple[str, ...]
    prediction: str = ""
    em: float = 0.0
    f1: float = 0.0
    answers: tuple[Ranked, ...] = ()
    no_answer_probability: float = 0.0
    exact: bool = False
    nodes: int = 0
    passes: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def unanswerable(self) -> bool:
        """Whether the text holds no answer."""
        return not self.gold


def digest(row: QuestionRow, refusing: bool, options: Options) -> str:
    """Give 16 hexadecimal digits for a row, in a set with unanswerable questions or without, and how it is asked."""
    settings = {name: str(value) for name, value in sorted(options.items()) if value is not None}
    content = json.dumps([refusing, *asdict(row).values(), settings])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def kept(path: Path) -> list[Observation]:
    """Give the observations that a file holds, as `kept_records` does."""
    return kept_records(path, _BEGINNING, _observation)


def keep(path: Path, observation: Observation) -> None:
    """Add an observation to a file; raise InputError where that cannot be written."""
    keep_record(path, asdict(observation))


def _observation(record: Fields) -> Observation:
    return Observation(
        row=record.text("row"),
        id=record.text("id"),
        model=record.text("model"),
        question=record.text("question"),
        gold=record.texts("gold"),
        prediction=record.text("prediction", blank=True),
        em=record.number("em"),
        f1=record.number("f1"),
        answers=tuple(
            Ranked(one.text("text"), one.number("probability"), one.number("em"), one.number("f1"))
            for one in record.objects("answers")
        ),
        no_answer_probability=record.number("no_answer_probability"),
        exact=record.flag("exact"),
        nodes=record.integer("nodes"),
        passes=record.integer("passes"),
        seconds=record.number("seconds"),
        error=record.text("error") if "error" in record else None,
    )

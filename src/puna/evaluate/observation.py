"""What came of one question, and the file in which such records are kept so that a stopped run can go on."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from puna.answer.settings import Options
from puna.errors import InputError
from puna.evaluate.rows import QuestionRow, objects

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
    """Give the observations that a file holds; where there is no file, make an empty one.

    A last line that was only half written is cut off. Raises InputError for a file that cannot be written, or in which
    anything else stands.
    """
    with _opened(path) as file:
        file.seek(0)
        lines, end, rest = file.read().rpartition(b"\n")
        found = list(_observations(path, lines))
        if not (rest.startswith(_BEGINNING) or _BEGINNING.startswith(rest)):
            raise InputError("E-OUTPUT-OTHER", path=path, line=lines.count(b"\n") + 1 + len(end))
        file.truncate(len(lines + end))
    return found


def keep(path: Path, observation: Observation) -> None:
    """Add an observation to a file; raise InputError where that cannot be written."""
    with _opened(path) as file:
        file.write(json.dumps(asdict(observation), ensure_ascii=False).encode() + b"\n")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("ab+") as file:
            yield file
    except (OSError, ValueError) as error:  # a folder, no permission, a full disk, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError("E-OUTPUT-WRITE", path=path, reason=str(reason).lower()) from None


def _observations(path: Path, lines: bytes) -> Iterator[Observation]:
    try:
        for record in objects(path, lines.split(b"\n")):
            yield Observation(
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
    except InputError as error:
        raise InputError("E-OUTPUT-OTHER", path=path, line=error.parameters["line"]) from None

"""What `Reader` gives back. Offsets are Unicode code points of the source as given, `end` exclusive."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """A text to read and what to call it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a source: source[start:end] is `text`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A place where an answer stands. `line` counts from 1; `utf16` is the range in UTF-16 units (JavaScript)."""

    source: str
    start: int
    end: int
    line: int
    sentence: Passage
    utf16: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """A candidate. `probability` is among all candidates and "not in the text".

    `log_probability` (nats) is what the model gives the answer and its end, in the window where it gives it most.
    `evidence` is empty where a candidate of the user's own does not stand in the text.
    """

    text: str
    probability: float
    log_probability: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was read: `read` of `characters`, in `windows`."""

    characters: int
    read: int
    windows: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Ranked answers, best first; iterable."""

    question: str
    answers: tuple[Answer, ...]
    no_answer_probability: float
    model: str
    coverage: Coverage
    elapsed_ms: float

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def best(self) -> Answer | None:
        """The best answer, None where "not in the text" is more probable than not."""
        return self.answers[0] if self.answers and self.no_answer_probability <= 0.5 else None

    def to_dict(self) -> dict[str, Any]:
        """Give the object that `puna ask --json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates ranked without a text, best first; iterable."""

    question: str
    answers: tuple[Answer, ...]
    model: str
    elapsed_ms: float

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def to_dict(self) -> dict[str, Any]:
        """Give the object that `puna rank --json` prints."""
        found = asdict(self)
        for answer in found["answers"]:
            del answer["evidence"]
        return found

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
class Excerpt:
    """A part of a source to read, and not the rest: sources[source].text[start:end].

    `prior`: how probable it is, before anything is read, that the answer stands there and not in one of the others; up to
    a factor that all have in common.
    """

    source: int
    start: int
    end: int
    prior: float = 1.0


@dataclass(frozen=True, slots=True)
class Holding:
    """How probable it is that an excerpt holds the answer, now that it was read.

    `probability`: that it stands there, among all excerpts and "nowhere"; those of excerpts, an overlap counted for each
    by its prior, and `no_answer_probability` sum to 1. `alone`: that the excerpt holds an answer, as if nothing else had
    been read and whatever its prior; None where it was not read, or has no word that could be an answer.
    """

    probability: float
    alone: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A place where an answer stands. `line` counts from 1; `utf16` is the range in UTF-16 units (JavaScript).

    `loss`, where asked for: by how much the answer's log-probability falls (nats) when the sentence is hidden.
    """

    source: str
    start: int
    end: int
    line: int
    sentence: Passage
    utf16: tuple[int, int]
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """Another wording of an answer, at an overlapping place."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Support:
    """A sentence of a source, and by how much an answer's log-probability falls (nats) when it is hidden."""

    source: str
    sentence: Passage
    loss: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A candidate. `probability` is among all candidates and "not in the text".

    `log_probability` (nats) is what the model gives the answer and its end, in the window where it gives it most; for a
    span, with a reader that has a pointer, it is that and the pointer's weighed opinion, by which answers are ranked.
    `evidence` is empty where a candidate of the user's own does not stand in the text. `variants`: other wordings, each
    with its own probability. `why`, where asked for: the sentences that carry the answer most, at most ten, in order.
    """

    text: str
    probability: float
    log_probability: float
    evidence: tuple[Evidence, ...] = ()
    variants: tuple[Variant, ...] = ()
    why: tuple[Support, ...] | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was read: `read` of `characters`, in `windows`."""

    characters: int
    read: int
    windows: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the search over all spans proves; probabilities are the model's own, means over the windows.

    found: probability of the spans that were completed. unvisited: upper bound on that of all other spans. With a reader
    that has a pointer these two are sums of e^score, where a score is a `log_probability`, and no probabilities.
    outside: lower bound on the probability that the model writes something that is no span of the text.
    exact: scoring every span would give the same answers in the same order. nodes, passes: work done.
    """

    found: float
    unvisited: float
    outside: float
    exact: bool
    nodes: int
    passes: int

    @property
    def missed(self) -> float:
        """Upper bound on the share that the spans that were not visited have in what all spans hold."""
        every = self.found + self.unvisited
        return self.unvisited / every if every else 0.0


@dataclass(frozen=True, slots=True)
class Answers:
    """Ranked answers, best first; iterable.

    `certificate` is None where the candidates were the user's own. `threshold` is the least probability of an answer
    that keeps to the error rate asked for.
    """

    question: str
    answers: tuple[Answer, ...]
    no_answer_probability: float
    model: str
    coverage: Coverage
    certificate: Certificate | None
    elapsed_ms: float
    threshold: float | None = None

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def best(self) -> Answer | None:
        """The best answer; None where it is below the threshold, or without one, where no answer is likelier."""
        if not self.answers:
            return None
        sure = self.no_answer_probability <= 0.5
        if self.threshold is not None:
            sure = self.answers[0].probability >= self.threshold
        return self.answers[0] if sure else None

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
            for name in ("evidence", "variants", "why"):
                del answer[name]
        return found

"""Requests and answers of Puna's own routes. What a request does not have is refused, and so is a number that is none."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

from puna.answer.spans import MAX_CHARS, MAX_WORDS

Normalise = Literal["sum", "mean", "byte", "prior"]
Str = Annotated[
    str, StringConstraints(max_length=1 << 26)
]  # any length; with a bound lone surrogates are refused, too
Words = Annotated[str, StringConstraints(max_length=4096)]


class Given(BaseModel):
    """Anything that a client sends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Fault(BaseModel):
    """What went wrong."""

    message: str
    hint: str
    type: str
    code: str
    param: str | None = None


class Faulty(BaseModel):
    """The body of every error."""

    error: Fault


class Named(Given):
    """A text and what to call it. A name is shown, and never opened."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    text: Str


class Asked(Given):
    """A question about a text, several texts, or, without any, the library; the fields of `puna ask`."""

    question: Words
    text: Str | None = None
    texts: Annotated[list[Named], Field(min_length=1, max_length=1024)] | None = None
    candidates: Annotated[list[Words], Field(min_length=1, max_length=4096)] | None = None
    top: Annotated[int, Field(ge=1, le=1000)] = 5
    max_words: Annotated[int, Field(ge=1, le=64)] = MAX_WORDS
    max_chars: Annotated[int, Field(ge=1, le=256)] = MAX_CHARS
    exact: bool = False
    max_nodes: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    normalise: Normalise = "sum"
    group: bool = True
    why: bool = False
    max_error: Annotated[float, Field(gt=0, lt=1)] | None = None


class Ranked(Given):
    """Candidates to rank by what the model knows; the fields of `puna rank`."""

    question: Words
    candidates: Annotated[list[Words], Field(min_length=1, max_length=4096)]
    top: Annotated[int, Field(ge=1, le=4096)] | None = None
    normalise: Normalise = "sum"


class LabelGiven(Given):
    """A label, and what it means where its name does not say it."""

    name: Words
    description: Words = ""


class ExampleGiven(Given):
    """A text and its labels; one, but where several may fit."""

    text: Str
    labels: Annotated[list[Words], Field(max_length=1024)]


class Labelled(Given):
    """A text, or several, to give labels; the fields of `puna classify`."""

    text: Str | None = None
    texts: Annotated[list[Str], Field(min_length=1, max_length=1024)] | None = None
    labels: Annotated[list[Words | LabelGiven], Field(min_length=1, max_length=1024)]
    examples: Annotated[list[ExampleGiven], Field(max_length=1024)] = []
    multi: bool = False
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prior: bool | None = None


class Place(BaseModel):
    """source[start:end] is `text`; code points, `end` exclusive."""

    text: str
    start: int
    end: int


class EvidenceFound(BaseModel):
    """A place where an answer stands; `utf16`: the range in UTF-16 units, as JavaScript counts."""

    source: str
    start: int
    end: int
    line: int
    sentence: Place
    utf16: tuple[int, int]
    loss: float | None = None


class BoxFound(BaseModel):
    """Where a line stands on a page: in points (1/72 inch) from its left and upper edge; start and end as in the text."""

    start: int
    end: int
    page: int
    left: float
    top: float
    right: float
    bottom: float


class OriginalFound(BaseModel):
    """A place in what the text was extracted from: `part` is a file in an archive, or empty."""

    part: str
    start: int
    end: int


class CitationFound(EvidenceFound):
    """A place in a document of the library, whose name is `source`; `passage`: which of the passages that were read."""

    title: str
    page: int | None
    boxes: list[BoxFound]
    original: OriginalFound | None
    headings: list[str]
    passage: int


class VariantFound(BaseModel):
    """Another wording of an answer."""

    text: str
    probability: float


class SupportFound(BaseModel):
    """A sentence, and by how much an answer's log-probability falls (nats) when it is hidden."""

    source: str
    sentence: Place
    loss: float


class AnswerFound(BaseModel):
    """An answer; `probability` is among all candidates and "not in the text"."""

    text: str
    probability: float
    log_probability: float
    evidence: list[CitationFound | EvidenceFound]
    variants: list[VariantFound]
    why: list[SupportFound] | None


class CoverageFound(BaseModel):
    """What was read."""

    characters: int
    read: int
    windows: int


class CertificateFound(BaseModel):
    """What the search proves."""

    found: float
    unvisited: float
    outside: float
    exact: bool
    nodes: int
    passes: int


class PassageFound(BaseModel):
    """A passage that was read; `probability`: that the answer stands there, `alone`: if it were the only one read."""

    source: str
    title: str
    start: int
    end: int
    line: int
    page: int | None
    headings: list[str]
    text: str
    score: float
    prior: float
    probability: float
    alone: float | None


class AnswersFound(BaseModel):
    """What `puna ask --json` prints; about a library, with `passages`, what `puna ask --library --json` prints."""

    question: str
    answers: list[AnswerFound]
    no_answer_probability: float
    model: str
    coverage: CoverageFound
    certificate: CertificateFound | None
    elapsed_ms: float
    threshold: float | None
    passages: list[PassageFound] | None = None

    @model_serializer(mode="wrap")
    def _without_passages(self, write: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]  # noqa: ANN202
        """Leave `passages` out where texts were asked; with a type of its own here, the schema would be lost."""
        found = write(self)
        if self.passages is None:
            del found["passages"]
        return found


class CandidateFound(BaseModel):
    """A candidate; `probability` is among the candidates."""

    text: str
    probability: float
    log_probability: float


class RankingFound(BaseModel):
    """What `puna rank --json` prints."""

    question: str
    answers: list[CandidateFound]
    model: str
    elapsed_ms: float


class LabelFound(BaseModel):
    """A label."""

    label: str
    probability: float
    log_probability: float


class LabelsFound(BaseModel):
    """What `puna classify --json` prints."""

    labels: list[LabelFound]
    chosen: list[str]
    language: str
    coverage: CoverageFound
    model: str
    elapsed_ms: float


class ManyLabelsFound(BaseModel):
    """Of several texts, one object each, in their order."""

    data: list[LabelsFound]


class DocumentFound(BaseModel):
    """A document of the library: `name` is what evidence calls `source`; `size`: of the file, in bytes."""

    id: str
    name: str
    title: str
    size: int
    characters: int
    passages: int


class DocumentsFound(BaseModel):
    """Documents of the library, and whether there are more behind them."""

    data: list[DocumentFound]
    has_more: bool


class DocumentText(DocumentFound):
    """A piece of a document's text: `start` to `end` in code points. utf16, line, page: of where it begins.

    pages: where each page of the whole text begins, in code points; empty where the format has none.
    """

    start: int
    end: int
    utf16: int
    line: int
    page: int | None
    pages: list[int]
    text: str


class Removed(BaseModel):
    """A document that is gone."""

    id: str
    deleted: bool


class Health(BaseModel):
    """`ok`, `degraded` (it answers, and `problems` says what is wrong) or `stopping`."""

    status: Literal["ok", "degraded", "stopping", "failed"]
    problems: list[str]
    running: int
    waiting: int


class Tokenized(Given):
    """A text to cut into tokens."""

    prompt: Str
    model: Str | None = None
    add_special_tokens: bool = True


class TokensFound(BaseModel):
    """Ids, how many, and how many the model can read."""

    tokens: list[int]
    count: int
    max_model_len: int


class Detokenized(Given):
    """Ids to put together."""

    tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=1 << 20)]
    model: Str | None = None


class PromptFound(BaseModel):
    """Their text."""

    prompt: str


class TokenizerInfo(BaseModel):
    """What lm-evaluation-harness asks for."""

    tokenizer_class: str
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    add_bos_token: bool
    chat_template: str | None = None
    vocab_size: int
    model_max_length: int


FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Faulty} for status in (400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503, 504, 507)
}

"""Requests and answers of Puna's own routes. What a request does not have is refused, and so is a number that is none."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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
    evidence: list[EvidenceFound]
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


class AnswersFound(BaseModel):
    """What `puna ask --json` prints. About a library: what `puna ask --library --json` prints."""

    model_config = ConfigDict(extra="allow")

    question: str
    answers: list[AnswerFound]
    no_answer_probability: float
    model: str
    coverage: CoverageFound
    certificate: CertificateFound | None
    elapsed_ms: float
    threshold: float | None


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
    """A document of the library."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str


class DocumentsFound(BaseModel):
    """The documents of the library."""

    data: list[DocumentFound]


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
    status: {"model": Faulty} for status in (400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503, 504)
}

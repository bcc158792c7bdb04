"""Requests and answers in OpenAI's forms: what is computed here is taken, what is not is refused by name."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from puna.serve.schemas import Given, Str

Id = Annotated[int, Field(ge=0)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Prompt = Str | Annotated[list[Str] | list[Id] | list[list[Id]], Field(min_length=1)]


class StreamOptions(Given):
    """`include_usage`: a last chunk says how many tokens there were."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Writing(Given):
    """What completions and chats have in common. Where `temperature` is 0 the likeliest token is taken."""

    model: Str
    n: Annotated[int, Field(ge=1, le=128)] = 1
    temperature: Annotated[float, Field(ge=0, le=100)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[Str, float] | None = None

    def unsupported(self) -> list[str]:
        """Name what is asked for and not computed."""
        return [name for name in ("presence_penalty", "frequency_penalty", "logit_bias") if getattr(self, name)]

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return () if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class CompletionAsked(Writing):
    """`POST /v1/completions`. `prompt`: a text, ids, or a list of either. `echo`: the prompt, too, with its scores."""

    prompt: Prompt
    max_tokens: Annotated[int, Field(ge=0, le=1 << 20)] | None = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: int | None = None
    suffix: Str | None = None

    def unsupported(self) -> list[str]:
        """Name what is asked for and not computed."""
        more = ["best_of"] * (self.best_of not in (None, self.n)) + ["suffix"] * bool(self.suffix)
        return [*super().unsupported(), *more]


class TextPart(Given):
    """A piece of a message."""

    type: Literal["text"]
    text: Str


class ChatMessage(Given):
    """A message; what its content spells is never a control token."""

    role: Annotated[str, StringConstraints(pattern="^[a-z_]{1,32}$")]
    content: Str | Annotated[list[TextPart], Field(min_length=1)]
    name: Str | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ResponseFormat(Given):
    """Text only."""

    type: Literal["text"]


class ChatAsked(Writing):
    """`POST /v1/chat/completions`, in the model's own chat template."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1024)]
    max_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None


class EmbeddingAsked(Given):
    """`POST /v1/embeddings`: the mean of a text's hidden states, of length 1."""

    model: Str
    input: Prompt
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: Str | None = None


class Usage(BaseModel):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Logprobs(BaseModel):
    """Natural logarithms; with `echo` the first has none, for nothing stands before it."""

    text_offset: list[int]
    token_logprobs: list[float | None]
    tokens: list[str]
    top_logprobs: list[dict[str, float] | None]


class CompletionChoice(BaseModel):
    """A text."""

    index: int
    text: str
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class Completion(BaseModel):
    """What was written."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


class TopLogprob(BaseModel):
    """A token that might have stood there."""

    token: str
    bytes: list[int]
    logprob: float


class ChatLogprob(TopLogprob):
    """A token that was written."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """Of the tokens of a message."""

    content: list[ChatLogprob]


class Message(BaseModel):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """A message."""

    index: int
    message: Message
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    """Messages."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Delta(BaseModel):
    """What is new of a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """A piece of a message."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class ChatChunk(BaseModel):
    """A piece of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class Embedding(BaseModel):
    """A vector: numbers, or little-endian fp32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """Vectors, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class CalibrationFound(BaseModel):
    """How the answers of questions that were not fitted on turned out; `curve`: (probability, coverage, error)."""

    rows: int
    curve: list[tuple[float, float, float]]
    measured: dict[str, float | None]


class ModelMore(BaseModel):
    """What Puna says beside OpenAI's fields; `library`: whether the service has one."""

    description: str
    context: int
    library: bool
    calibration: CalibrationFound | None = None


class ModelFound(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    puna: ModelMore


class ModelsFound(BaseModel):
    """The models: first the one that reads texts."""

    object: Literal["list"] = "list"
    data: list[ModelFound]

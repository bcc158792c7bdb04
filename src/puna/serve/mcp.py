"""Tools for programs that speak the Model Context Protocol: `ask`, `rank` and `read_span`, on standard input and output.

Offsets are Unicode code points, `end` exclusive, as everywhere in Puna. No tool opens a file: what can be read is the
texts that the server was started with, and those that come with a call.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from puna import __version__
from puna.answer.checks import sources_of
from puna.answer.reader import Reader
from puna.answer.settings import Options
from puna.answer.types import Answer, Certificate, Coverage, Source
from puna.errors import InputError, PunaError, shown
from puna.tokens.sentences import line_of

INSTRUCTIONS = (
    "Puna finds answers in texts. It gives places that stand in the text word for word, each with a probability, and the "
    "probability that the text holds no answer; it never writes an answer of its own. Say so when "
    "no_answer_probability is above 0.5. Offsets count Unicode code points, the end exclusive."
)
AROUND = 400  # characters shown on either side of a span at most, unless more are asked for
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
Result = TypeVar("Result")

Text = Annotated[str | None, Field(description="The text; left out, the texts that the server was started with.")]
Top = Annotated[int, Field(ge=1, le=1000, description="How many answers to give.")]


class AnswersFound(BaseModel):
    """What `puna ask --json` prints: ranked answers with their places, best first."""

    question: str
    answers: tuple[Answer, ...]
    no_answer_probability: float
    model: str
    coverage: Coverage
    certificate: Certificate | None
    elapsed_ms: float
    threshold: float | None


class Candidate(BaseModel):
    """A candidate; `probability` is among the candidates, `log_probability` in nats."""

    text: str
    probability: float
    log_probability: float


class RankingFound(BaseModel):
    """What `puna rank --json` prints: candidates ranked without a text, best first."""

    question: str
    answers: list[Candidate]
    model: str
    elapsed_ms: float


class Span(BaseModel):
    """source[start:end] is `text`, on `line` (from 1); `before` and `after` are what stands around it."""

    source: str
    start: int
    end: int
    line: int
    before: str
    text: str
    after: str
    characters: int


class _Tools:
    """The tools over one reader, which answers one question at a time."""

    def __init__(self, reader: Reader, sources: Sequence[Source], language: str) -> None:
        self._reader, self._sources, self._language = reader, sources, language
        self._turn = threading.Lock()

    async def ask(
        self,
        question: Annotated[str, Field(description="In English or Chinese.")],
        context: Context,
        text: Text = None,
        candidates: Annotated[
            list[str] | None, Field(description="Answers to judge, instead of all spans of the text.")
        ] = None,
        top: Top = 5,
        exact: Annotated[bool, Field(description="Search until it is proven that none is better.")] = False,
    ) -> AnswersFound:
        """Answer a question from a text: the best spans of the text, ranked, each with its probability and exact places.

        Also gives the probability that the text holds no answer, what was read, and a proof of what was missed at most.
        """
        options: Options = {"top": top, "exact": exact}
        stopped = threading.Event()

        def progress(done: int, total: int) -> None:
            anyio.from_thread.run(context.report_progress, done, total)

        def work() -> AnswersFound:
            sources = self._given(text)
            with self._turn:
                found = self._reader.ask(
                    question, sources, candidates, progress=progress, stop=stopped.is_set, **options
                )
            return AnswersFound.model_validate(found.to_dict())

        try:
            return await self._done(work)
        finally:
            stopped.set()  # where the client has given up, so does the search

    async def rank(
        self,
        question: Annotated[str, Field(description="In English or Chinese.")],
        candidates: Annotated[list[str], Field(min_length=1, description="The answers to rank.")],
        top: Annotated[int | None, Field(ge=1, description="How many to give; left out, all.")] = None,
    ) -> RankingFound:
        """Rank candidate answers by what the model knows, without a text. Probabilities are among the candidates."""

        def work() -> RankingFound:
            with self._turn:
                found = self._reader.rank(question, candidates, top)
            return RankingFound.model_validate(found.to_dict())

        return await self._done(work)

    async def read_span(
        self,
        start: Annotated[int, Field(ge=0, description="First code point.")],
        end: Annotated[int, Field(ge=0, description="Behind the last code point.")],
        source: Annotated[
            str | None, Field(description="Name of one of the server's texts, as evidence gives it.")
        ] = None,
        text: Text = None,
        around: Annotated[int, Field(ge=0, le=100_000, description="Characters to show on either side.")] = AROUND,
    ) -> Span:
        """Read what stands at a place of a text, such as an answer's evidence, with what is around it."""

        def work() -> Span:
            sources = self._given(text)
            named = [each for each in sources if source in (None, each.name)]
            if len(named) != 1:
                known = ", ".join(shown(each.name) for each in sources)
                raise InputError("E-MCP-SOURCE", source=shown(source or ""), known=known)
            name, whole = named[0].name, named[0].text
            if not start <= end <= len(whole):
                raise InputError("E-MCP-SPAN", start=start, end=end, characters=len(whole))
            return Span(
                source=name,
                start=start,
                end=end,
                line=line_of(whole, start),
                before=whole[max(start - around, 0) : start],
                text=whole[start:end],
                after=whole[end : end + around],
                characters=len(whole),
            )

        return await self._done(work)

    def _given(self, text: str | None) -> Sequence[Source]:
        if text is not None:
            return sources_of(text)
        if not self._sources:
            raise InputError("E-MCP-TEXT")
        return self._sources

    async def _done(self, work: Callable[[], Result]) -> Result:
        """Do work in a thread of its own; what goes wrong on purpose is told to the client."""

        def told() -> Result:
            try:
                return work()
            except PunaError as error:
                message, hint = error.describe(self._language)
                raise ToolError(f"{message} [{error.code}]" + (f": {hint}" if hint else "")) from error
            except KeyboardInterrupt:  # stopped before anything was found
                raise ToolError("stopped") from None

        return await anyio.to_thread.run_sync(told, abandon_on_cancel=True)


def make_server(reader: Reader, sources: Sequence[Source] = (), language: str = "en") -> MCPServer:
    """Make a server of the tools over these texts; `run("stdio")` serves until its input ends.

    `language`: of error messages, "en" or "zh".
    """
    names = "; ".join(f"{shown(source.name)} ({len(source.text)} characters)" for source in sources)
    told = f"{INSTRUCTIONS} Texts here: {names}." if names else f"{INSTRUCTIONS} Give a text with each question."
    server: MCPServer = MCPServer("puna", instructions=told, version=__version__, log_level="WARNING")
    tools = _Tools(reader, sources, language)
    for tool in (tools.ask, tools.rank, tools.read_span):
        server.add_tool(tool, annotations=_READS, structured_output=True)
    return server

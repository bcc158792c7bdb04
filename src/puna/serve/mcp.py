"""Tools for programs that speak the Model Context Protocol: `ask`, `rank` and `read_span`, on standard input and output.

Offsets are Unicode code points, `end` exclusive, as everywhere in Puna. No tool opens a file: what can be read is the
texts or the library that the server was started with, and the texts that come with a call.
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
from puna.answer.checks import check, sources_of
from puna.answer.reader import Reader
from puna.answer.settings import Options
from puna.answer.types import Answers, Source
from puna.errors import InputError, PunaError, shown
from puna.library.ask import answer
from puna.library.cite import page_at
from puna.serve.library import Documents
from puna.serve.schemas import AnswersFound, RankingFound
from puna.tokens.sentences import line_of

INSTRUCTIONS = (
    "Puna finds answers in texts. It gives places that stand in the text word for word, each with a probability, and the "
    "probability that the text holds no answer; it never writes an answer of its own. Say so when "
    "no_answer_probability is above 0.5. Offsets count Unicode code points, the end exclusive."
)
_KNOWN = 20  # names of a library that are told
AROUND = 400  # characters shown on either side of a span at most, unless more are asked for
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
Result = TypeVar("Result")

Text = Annotated[
    str | None, Field(description="The text; left out, the texts or the library that the server was started with.")
]
Top = Annotated[int, Field(ge=1, le=1000, description="How many answers to give.")]


class Span(BaseModel):
    """source[start:end] is `text`, on `line` (from 1); `before` and `after` are what stands around it.

    page: of a PDF in a library, from 1. characters: of the whole text.
    """

    source: str
    start: int
    end: int
    line: int
    page: int | None
    before: str
    text: str
    after: str
    characters: int


class _Tools:
    """The tools over one reader, which answers one question at a time."""

    def __init__(self, reader: Reader, sources: Sequence[Source], library: Documents | None, language: str) -> None:
        self._reader, self._sources, self._library, self._language = reader, sources, library, language
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
        """Answer a question from texts: the best spans of them, ranked, each with its probability and exact places.

        Also gives the probability that the text holds no answer, what was read, and a proof of what was missed at most.
        """
        options: Options = {"top": top, "exact": exact}
        stopped = threading.Event()

        def progress(done: int, total: int) -> None:
            anyio.from_thread.run(context.report_progress, done, total)

        def work() -> AnswersFound:
            check(question, candidates)
            if text is None and self._library is not None:
                held = self._library.find(question)
                with self._turn:
                    found: Answers = answer(
                        held,
                        self._reader,
                        question,
                        candidates,
                        progress=progress,
                        stop=stopped.is_set,
                        options=options,
                    )
                return AnswersFound.model_validate(found.to_dict())
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
            str | None, Field(description="Name of a text or document, as evidence gives it.")
        ] = None,
        text: Text = None,
        around: Annotated[int, Field(ge=0, le=100_000, description="Characters to show on either side.")] = AROUND,
    ) -> Span:
        """Read what stands at a place of a text, such as an answer's evidence, with what is around it."""

        def work() -> Span:
            name, whole, pages = self._named(source, text)
            if not start <= end <= len(whole):
                raise InputError("E-MCP-SPAN", start=start, end=end, characters=len(whole))
            return Span(
                source=name,
                start=start,
                end=end,
                line=line_of(whole, start),
                page=page_at(pages, start),
                before=whole[max(start - around, 0) : start],
                text=whole[start:end],
                after=whole[end : end + around],
                characters=len(whole),
            )

        return await self._done(work)

    def _named(self, source: str | None, text: str | None) -> tuple[str, str, Sequence[int]]:
        """Give the name, the text and the pages of what `source` names; without it, of the only text there is."""
        if text is None and self._library is not None:
            known = self._library.names(_KNOWN + 1)
            name = known[0] if source is None and len(known) == 1 else source or ""
            if (entry := self._library.named(name)) is not None:
                document = self._library.document(entry)
                return name, document.text, document.pages
            more = ", …" if len(known) > _KNOWN else ""
            told = ", ".join(map(shown, known[:_KNOWN])) + more
        else:
            sources = self._given(text)
            fit = [each for each in sources if source in (None, each.name)]
            if len(fit) == 1:
                return fit[0].name, fit[0].text, ()
            told = ", ".join(shown(each.name) for each in sources)
        raise InputError("E-MCP-SOURCE", source=shown(source or ""), known=told)

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


def make_server(
    reader: Reader, sources: Sequence[Source] = (), language: str = "en", library: Documents | None = None
) -> MCPServer:
    """Make a server of the tools over these texts, or a library; `run("stdio")` serves until its input ends.

    `language`: of error messages, "en" or "zh".
    """
    names = "; ".join(f"{shown(source.name)} ({len(source.text)} characters)" for source in sources)
    if library is not None:
        told = f"{INSTRUCTIONS} A library of documents is here: questions without a text go to it."
    else:
        told = (
            f"{INSTRUCTIONS} Texts here: {names}." if names else f"{INSTRUCTIONS} Give a text with each question."
        )
    server: MCPServer = MCPServer("puna", instructions=told, version=__version__, log_level="WARNING")
    tools = _Tools(reader, sources, library, language)
    for tool in (tools.ask, tools.rank, tools.read_span):
        server.add_tool(tool, annotations=_READS, structured_output=True)
    return server

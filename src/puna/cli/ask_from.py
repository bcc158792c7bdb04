"""What `puna ask` asks: texts, or a library."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from puna.cli.inputs import read_sources
from puna.errors import InputError
from puna.library.retrieve import PASSAGES

if TYPE_CHECKING:
    from puna.answer.reader import Reader
    from puna.answer.types import Answers


@contextmanager
def asking(
    texts: tuple[str, ...], files: tuple[str, ...], encoding: str, library: str | None, passages: int | None
) -> "Iterator[Callable[..., Answers]]":
    """Give `Reader.ask` or `Library.ask` without its text, which is read or opened now, with the reader before.

    Raises InputError and LibraryError for what cannot be asked.
    """
    if library is None:
        from puna.answer.checks import sources_of

        if passages is not None:
            raise InputError("E-LIBRARY-ASK-NONE")
        sources = sources_of(read_sources(texts, files, encoding))

        def ask(reader: "Reader", question: str, candidates: Sequence[str] | None, **how: Any) -> "Answers":
            return reader.ask(question, sources, candidates, **how)

        yield ask
        return
    if texts or files:
        raise InputError("E-LIBRARY-ASK-TEXTS")
    if passages is not None and passages < 1:
        raise InputError("E-LIBRARY-ASK-PASSAGES", value=passages)
    from puna.library.library import Library

    count = PASSAGES if passages is None else passages
    with Library.open(library) as opened:
        opened.store  # noqa: B018  raises where there is none

        def ask_library(reader: "Reader", question: str, candidates: Sequence[str] | None, **how: Any) -> "Answers":
            opened.reader = reader
            return opened.ask(question, candidates, passages=count, **how)

        yield ask_library

"""The front door of a library: documents go in, answers with citations come out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self, Unpack

from puna.answer.inquiry import Progress, Stop
from puna.answer.reader import Reader, load
from puna.answer.settings import Options
from puna.errors import LibraryError
from puna.library.ask import ask, find
from puna.library.cite import FoundPassage, LibraryAnswers
from puna.library.retrieve import PASSAGES
from puna.library.store import open_store
from puna.library.types import Store


class Library:
    """Documents that are asked together. Not for use by several threads at once; several processes may use one.

    `reader`: who reads; None until the first question loads the default model.

    >>> with puna.Library.open("notes.library") as library:  # doctest: +SKIP
    ...     library.add(["notes/"])
    ...     print(library.ask("Who led the walk?").best)
    """

    def __init__(self, where: str | Path, store: Store | None, reader: Reader | None = None) -> None:
        self.where, self.reader = where, reader
        self._store = store

    @classmethod
    def open(cls, where: str | Path, *, reader: Reader | None = None) -> Self:
        """Open a library: a folder, or postgresql://…; where there is none, the first `add` makes it.

        `reader`: who reads; None is the default model, loaded for the first question. Raises LibraryError for one that
        cannot be used.
        """
        try:
            store = open_store(where, create=False)
        except LibraryError as error:
            if error.code != "E-LIBRARY-MISSING":
                raise
            store = None
        return cls(where, store, reader)

    def ask(
        self,
        question: str,
        candidates: Sequence[str] | None = None,
        *,
        passages: int = PASSAGES,
        progress: Progress | None = None,
        stop: Stop | None = None,
        **options: Unpack[Options],
    ) -> LibraryAnswers:
        """Answer a question from the best `passages` of the library; all else as `Reader.ask`.

        Where no passage has a word of the question there are no answers, and the probability of none is 1.
        Raises InputError as `Reader.ask` does, LibraryError, and PullError where the default model was not pulled yet.
        """
        store = self.store
        if self.reader is None:
            self.reader = load()
        return ask(
            store,
            self.reader,
            question,
            candidates,
            passages=passages,
            encode=None,
            progress=progress,
            stop=stop,
            options=options,
        )

    def search(self, question: str, n: int = PASSAGES) -> list[FoundPassage]:
        """Give the n best passages for a question, best first; no model is asked."""
        return find(self.store, question, n)

    @property
    def store(self) -> Store:
        """Where it lives. Raises LibraryError where there is no library yet."""
        if self._store is None:
            self._store = open_store(self.where, create=False)
        return self._store

    def close(self) -> None:
        """Let go of it."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

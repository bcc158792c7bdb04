"""The front door of a library: documents go in, answers with citations come out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, Unpack

from puna.answer.inquiry import Progress, Stop
from puna.answer.reader import Reader, load
from puna.answer.settings import Options
from puna.errors import LibraryError, shown
from puna.library.ask import ask, find
from puna.library.cite import FoundPassage, LibraryAnswers
from puna.library.embedding import Embedder, SentenceEmbedder
from puna.library.indexing import MODEL, Step, Summary, index
from puna.library.retrieve import PASSAGES
from puna.library.store import open_store
from puna.library.types import Store


class Library:
    """Documents that are asked together. Not for use by several threads at once; several processes may use one.

    `reader`: who reads; None until the first question loads the default model. `embedder`: of a library with vectors,
    what makes them; None until it is needed.

    >>> with puna.Library.open("notes.library") as library:  # doctest: +SKIP
    ...     library.add(["notes/"])
    ...     print(library.ask("Who led the walk?").best)
    """

    def __init__(
        self, where: str | Path, store: Store | None, reader: Reader | None = None, embedder: Embedder | None = None
    ) -> None:
        self.where, self.reader, self.embedder = where, reader, embedder
        self._store = store

    @classmethod
    def open(cls, where: str | Path, *, reader: Reader | None = None, embedder: Embedder | None = None) -> Self:
        """Open a library: a folder, or postgresql://…; where there is none, the first `add` makes it.

        reader: None is the default model, loaded for the first question. embedder: gives a new library vectors, as
        `puna.library.embedding.SentenceEmbedder` does; for one that has them, None loads the model that made them.
        Raises LibraryError for one that cannot be used.
        """
        try:
            store = open_store(where, create=False)
        except LibraryError as error:
            if error.code != "E-LIBRARY-MISSING":
                raise
            store = None
        return cls(where, store, reader, embedder)

    def add(
        self,
        paths: str | Path | Sequence[str | Path],
        *,
        report: Callable[[Step], None] | None = None,
        stop: Stop | None = None,
    ) -> Summary:
        """Bring the library up to date with files and all files in folders, and say what was done.

        Unchanged files are skipped, changed ones replaced, deleted ones removed; those that cannot be read are named in
        `skipped`, and `report` hears of each file when it is safe on the disk. Raises InputError for a path that is not
        there, LibraryError.
        """
        if self._store is None:
            self._store = open_store(self.where, create=True)
        given = [paths] if isinstance(paths, str | Path) else paths
        model = self._store.setting(MODEL)
        embedder = self.embedder or (SentenceEmbedder(model) if model else None)
        return index(given, self._store, report, embedder=embedder, stop=stop)

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
            embedder=self.embedding(store),
            progress=progress,
            stop=stop,
            options=options,
        )

    def search(self, question: str, n: int = PASSAGES) -> list[FoundPassage]:
        """Give the n best passages for a question, best first; no model is asked."""
        return find(self.store, question, n, self.embedding(self.store))

    @property
    def store(self) -> Store:
        """Where it lives. Raises LibraryError where there is no library yet."""
        if self._store is None:
            self._store = open_store(self.where, create=False)
        return self._store

    def embedding(self, store: Store) -> Embedder | None:
        """Give what makes the library's vectors, if it has any. Raises LibraryError where another one was given."""
        model = store.setting(MODEL)
        if model is None:
            return None
        self.embedder = self.embedder or SentenceEmbedder(model)
        if self.embedder.name != model:
            raise LibraryError("E-LIBRARY-MODEL", model=shown(model), given=shown(self.embedder.name))
        return self.embedder

    def close(self) -> None:
        """Let go of it."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

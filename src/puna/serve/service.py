"""The models behind the service, and what they are asked to do: one engine for all."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from puna.answer.reader import Reader
from puna.answer.settings import Options
from puna.answer.types import Answers, Ranking, Source
from puna.errors import ServeError
from puna.rank.shelf import Shelf
from puna.serve.calls import Stepped, wait
from puna.serve.engine import Engine, Request
from puna.serve.limits import Limits
from puna.tasks.classify import Classified, Classifier
from puna.tasks.labels import Example, Label

_SPACE = 64 << 20  # bytes below which a disk is full


class Documents(Protocol):
    """A library as the service knows it: documents go in by name and are told by an id; a name is never a path.

    All of it is called in the threads of the engine's calls, one at a time.
    """

    def put(self, name: str, content: bytes) -> dict[str, Any]:
        """Add a file, or replace the one of that name; give what `list` says of it."""

    def list(self) -> Sequence[dict[str, Any]]:
        """Give id, name, title, size, characters and passages of each document."""

    def remove(self, document: str) -> bool:
        """Remove a document; False if there is none of that id."""

    def ask(
        self, reader: Reader, question: str, candidates: Sequence[str] | None, options: Options
    ) -> dict[str, Any]:
        """Answer from the library with this reader; give what `puna ask --library --json` prints."""


class Service:
    """What the routes call. `path`: the model's file; `folder`: where the library lives, for `problems`."""

    def __init__(
        self,
        reader: Reader,
        limits: Limits,
        *,
        path: Path | None = None,
        documents: Documents | None = None,
        folder: Path | None = None,
    ) -> None:
        self.reader, self.limits, self.documents = reader, limits, documents
        self.calibration = reader.own_calibration()
        self.engine = Engine(reader.plain.model, limits)
        self._path, self._folder = path, folder
        self._asking = Shelf(Stepped(reader.model), memory=limits.shelf)
        plain = reader.plain
        self._plain = self._asking if plain is reader else Shelf(Stepped(plain.model), memory=limits.shelf)

    @property
    def tokenizer(self) -> Any:
        """The models' tokenizer."""
        return self.reader.tokenizer

    @property
    def context(self) -> int:
        """Tokens that a text may have."""
        return self.reader.plain.model.config.context

    @property
    def models(self) -> tuple[str, str]:
        """Names of the model that reads texts and of the one that writes and ranks; often the same file."""
        return self.reader.name, self.reader.plain.name

    def ask(
        self,
        tenant: str,
        question: str,
        sources: Sequence[Source] | None,
        candidates: Sequence[str] | None,
        options: Options,
    ) -> tuple[Request, Any]:
        """Begin a question, about texts or, without any, about the library; its future gives the object of `--json`."""

        def work(shelf: Shelf) -> dict[str, Any]:
            reader = self.reader.over(shelf)
            if sources is None:
                return self.library.ask(reader, question, candidates, options)
            found: Answers = reader.ask(question, sources, candidates, **options)
            return found.to_dict()

        return self._begin(tenant, self._asking, work)

    def rank(
        self, tenant: str, question: str, candidates: Sequence[str], top: int | None, normalise: str
    ) -> tuple[Request, Any]:
        """Begin a ranking."""

        def work(shelf: Shelf) -> dict[str, Any]:
            found: Ranking = self.reader.plain.over(shelf).rank(question, candidates, top, normalise)
            return found.to_dict()

        return self._begin(tenant, self._plain, work)

    def classify(
        self,
        tenant: str,
        texts: Sequence[str],
        labels: Sequence[Label],
        examples: Sequence[Example],
        *,
        multi: bool,
        threshold: float,
        prior: bool | None,
    ) -> tuple[Request, Any]:
        """Begin to label texts."""

        def work(shelf: Shelf) -> list[dict[str, Any]]:
            reader = self.reader.plain.over(shelf)
            classifier = Classifier(
                reader, labels, examples=examples, multi=multi, threshold=threshold, prior=prior, shelf=shelf
            )
            found: list[Classified] = list(classifier.each(texts))
            return [each.to_dict() for each in found]

        return self._begin(tenant, self._plain, work)

    def with_library(self, work: Callable[[Documents], Any]) -> tuple[Request, Any]:
        """Begin something with the library. Raises ServeError where there is none."""
        documents = self.library
        return self.engine.call(lambda: work(documents))

    @property
    def library(self) -> Documents:
        """The library; raises ServeError where there is none."""
        if self.documents is None:
            raise ServeError("E-SERVE-LIBRARY")
        return self.documents

    def problems(self) -> list[str]:
        """Say what is wrong: "model file missing", "disk full", "engine failed", "stopping"; empty where nothing is."""
        found = []
        if self._path is not None and not self._path.exists():
            found.append("model file missing")
        try:
            if self._folder is not None and shutil.disk_usage(self._folder).free < _SPACE:
                found.append("disk full")
        except OSError:
            found.append("library missing")
        if self.engine.state != "ok":
            found.append({"failed": "engine failed"}.get(self.engine.state, self.engine.state))
        return found

    def _begin(self, tenant: str, shelf: Shelf, work: Callable[[Shelf], Any]) -> tuple[Request, Any]:
        def run() -> Any:
            view = shelf.beside(salt=tenant.encode(), wait=wait)
            try:
                return work(view)
            finally:
                view.close()

        return self.engine.call(run)

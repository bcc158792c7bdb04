"""The models behind the service, and what they are asked to do: one engine for all."""

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from puna.answer.reader import Reader
from puna.answer.settings import Options
from puna.answer.types import Answers, Ranking, Source
from puna.errors import ServeError
from puna.library.ask import Found, answer
from puna.rank.shelf import Shelf
from puna.serve.calls import Stepped, wait
from puna.serve.desk import Desk
from puna.serve.engine import Engine
from puna.serve.library import Documents
from puna.serve.limits import Limits
from puna.tasks.classify import Classified, Classifier
from puna.tasks.labels import Example, Label

_SPACE = 64 << 20  # bytes below which a disk is full


class Begun(NamedTuple):
    """Something that is being done: its result to come, how to let go of it, and its time; None: the engine counts it."""

    future: "Future[Any]"
    drop: Callable[[], None]
    seconds: float | None = None


class Service:
    """What the routes call. `path`: the model's file, for `problems`; `documents`: the library, if there is one."""

    def __init__(
        self,
        reader: Reader,
        limits: Limits,
        *,
        path: Path | None = None,
        documents: Documents | None = None,
    ) -> None:
        self.reader, self.limits, self.documents = reader, limits, documents
        self.calibration = reader.own_calibration()
        self.engine = Engine(reader.plain.model, limits)
        self._path = path
        # Who adds documents does not keep those waiting who look some up.
        self._adding, self._looking = (Desk(threads, limits.waiting) for threads in (limits.adding, limits.looking))
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
        sources: Sequence[Source] | Found,
        candidates: Sequence[str] | None,
        options: Options,
    ) -> Begun:
        """Begin a question about texts, or what was found in the library; its future gives the object of `--json`."""

        def work(shelf: Shelf) -> dict[str, Any]:
            reader = self.reader.over(shelf)
            if isinstance(sources, Found):
                return answer(sources, reader, question, candidates, options=options).to_dict()
            found: Answers = reader.ask(question, sources, candidates, **options)
            return found.to_dict()

        return self._begin(tenant, self._asking, work)

    def rank(self, tenant: str, question: str, candidates: Sequence[str], top: int | None, normalise: str) -> Begun:
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
    ) -> Begun:
        """Begin to label texts."""

        def work(shelf: Shelf) -> list[dict[str, Any]]:
            reader = self.reader.plain.over(shelf)
            classifier = Classifier(
                reader, labels, examples=examples, multi=multi, threshold=threshold, prior=prior, shelf=shelf
            )
            found: list[Classified] = list(classifier.each(texts))
            return [each.to_dict() for each in found]

        return self._begin(tenant, self._plain, work)

    def look_up(self, work: Callable[[Documents], Any]) -> Begun:
        """Begin to read something in the library. Raises ServeError where there is none."""
        documents = self.library
        task = self._looking.submit(lambda wanted: work(documents))
        return Begun(task.future, task.drop, self.limits.seconds)

    def change(self, work: Callable[[Documents, Callable[[], bool]], Any]) -> Begun:
        """Begin to change the library; `work` is also given a call that tells whether that is still wanted."""
        documents = self.library
        task = self._adding.submit(lambda wanted: work(documents, wanted))
        return Begun(task.future, task.drop, self.limits.seconds)

    def stop(self, grace: float) -> None:
        """Take on no more; what is in work has `grace` seconds to be done, then ends with an error."""
        until = time.monotonic() + grace
        desks = (self._adding, self._looking)
        for desk in desks:
            desk.close()
        self.engine.stop(grace)
        for desk in desks:
            desk.finish(until)
        if self.documents is not None:
            self.documents.close()

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
        folder = self.documents.folder if self.documents else None
        try:
            if folder is not None and shutil.disk_usage(folder).free < _SPACE:
                found.append("disk full")
        except OSError:
            found.append("library missing")
        if self.engine.state != "ok":
            found.append({"failed": "engine failed"}.get(self.engine.state, self.engine.state))
        return found

    def _begin(self, tenant: str, shelf: Shelf, work: Callable[[Shelf], Any]) -> Begun:
        def run() -> Any:
            view = shelf.beside(salt=tenant.encode(), wait=wait)
            try:
                return work(view)
            finally:
                view.close()

        request, future = self.engine.call(run)
        return Begun(future, lambda: self.engine.drop(request))

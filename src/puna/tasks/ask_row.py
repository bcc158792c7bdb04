"""One row of many asked: a line of JSON in, a line of JSON out."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from puna.answer.reader import Reader, load
from puna.answer.settings import Options, Settings
from puna.answer.types import Answers
from puna.errors import InputError, PunaError, shown
from puna.library.library import Library
from puna.library.retrieve import PASSAGES
from puna.tasks.many_rows import many_row
from puna.tasks.rows import fields_of

_FORMAT = 1  # of the lines
_CONSTANT = ("model", "threshold", "elapsed_ms")  # the same in all rows, or another in every run


@dataclass(frozen=True, slots=True)
class How:
    """All that decides how rows are asked, as plain values: a process anywhere can make an `Asker` of it.

    `rows` is what the file of rows is called in errors. `library` is asked instead of the rows' own texts, `passages` of
    it are read for a question. The others are those of `puna.load`.
    """

    rows: str
    model: str | None
    adapter: str | Path | None
    device: str
    keep: bool
    options: Options
    library: str | None = None
    passages: int = PASSAGES

    def from_anywhere(self) -> "How":
        """Give the same with whole paths, for a process that runs in another folder."""

        def whole(value: str | None) -> str | None:
            return str(Path(value).absolute()) if value is not None and Path(value).exists() else value

        adapter = self.adapter.absolute() if isinstance(self.adapter, Path) else self.adapter
        return replace(self, model=whole(self.model), adapter=adapter, library=whole(self.library))

    def asker(self) -> "Asker":
        """Load the model and open the library.

        Raises what `puna.load` does, InputError for a calibration of another model, LibraryError for no library.
        """
        reader = load(self.model, adapter=self.adapter, device=self.device, keep=self.keep)
        library = Library.open(self.library, reader=reader) if self.library is not None else None
        if library:
            library.store  # noqa: B018  raises where there is none
        return Asker(self, reader, library)


class Asker:
    """Asks rows, each for itself: what comes of one does not depend on those before it."""

    def __init__(self, how: How, reader: Reader, library: Library | None = None) -> None:
        self._how, self._reader, self._library = how, reader, library
        options: Options = {
            "calibration": reader.own_calibration(how.options.get("normalise", "sum")),
            **how.options,
        }
        self._settings = Settings(**options)
        if self._settings.calibration is not None:
            self._settings.calibration.check(reader.name)

    @property
    def model(self) -> str:
        """The model's name, with the adapter's."""
        return self._reader.name

    @property
    def identity(self) -> str:
        """All that decides what comes of a row: the same for every process that asks it in the same way."""
        return json.dumps([_FORMAT, self.model, asdict(self._settings), self._how.library, self._how.passages])

    def ask(self, number: int, raw: bytes) -> bytes:
        """Give the line of the output for a row: `{row, id, question, answers, ...}`, or `{row, error}`.

        `row` is the number of its line. Only an InputError is the row's own fault and becomes its result, and what was
        not foreseen; other errors of Puna's are raised.
        """
        found: dict[str, Any]
        try:
            found = self._ask(number, raw)
        except InputError as error:
            found = failed(error)
        except PunaError:
            raise
        except Exception as error:  # one row must not take a million others with it
            found = failed(InputError("E-ROW-FAILED", reason=shown(f"{type(error).__name__}: {error}")))
        return json.dumps({"row": number, **found}, ensure_ascii=False).encode()

    def _ask(self, number: int, raw: bytes) -> dict[str, Any]:
        row = many_row(fields_of(Path(self._how.rows), number, raw), library=self._library is not None)
        answers: Answers
        if self._library is None:
            answers = self._reader.ask(row.question, row.sources, row.candidates, **self._how.options)
        else:
            how = self._how
            answers = self._library.ask(row.question, row.candidates, passages=how.passages, **how.options)
        found = answers.to_dict()
        for name in _CONSTANT:
            del found[name]
        for answer in found["answers"]:
            del answer["why"]
            for place in answer["evidence"]:
                del place["loss"]
        for passage in found.get("passages", ()):
            del passage["text"]
        return {"id": row.id, **found}


def failed(error: PunaError) -> dict[str, Any]:
    """Give the fields of a row that has no answer because of an error."""
    return {"error": {"code": error.code, "message": str(error)}}

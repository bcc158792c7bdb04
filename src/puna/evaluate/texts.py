"""Texts of a file, one a row, and those with labels; a row that cannot be used is told by its line, the rest are read."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from puna.errors import InputError, shown
from puna.tasks.labels import Example, Label, label_of, labels_of
from puna.tasks.rows import Fields, fields_of, opened

_BOM = b"\xef\xbb\xbf"
_KINDS = (".txt", ".csv", ".jsonl")
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text, the line where its row begins (from 1), and the row's `id`, None where it has none."""

    line: int
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A text with the label that it should get."""

    text: str
    label: str

    @property
    def context(self) -> str:
        """The text."""
        return self.text


def read_texts(path: Path, column: str = "text") -> tuple[list[TextRow], list[InputError]]:
    """Read texts, and what is wrong with rows that have none, in the order of the file; plain or gzipped UTF-8.

    .txt: each line is a text, blank ones are skipped. .csv: RFC 4180, the first row names the columns. .jsonl: objects
    with a string in the field `column`. Raises InputError for a file that cannot be read, is of another kind, has no such
    column, or holds no row.
    """
    kind = Path(path.name.removesuffix(".gz")).suffix.lower()
    if kind not in _KINDS:
        raise InputError("E-TEXTS-KIND", path=path)
    raw = _lines(path)
    wrong: list[InputError] = []
    if kind == ".csv":
        found = list(_table(path, raw, column, wrong))
    else:
        found = list(_each(path, raw, lambda *given: _row(*given, column=column, plain=kind == ".txt"), wrong))
    if not found and not wrong:
        raise InputError("E-ROWS-NONE", path=path)
    return found, sorted(wrong, key=lambda error: int(str(error.parameters["line"])))


def labelled_rows(path: Path, given: Sequence[Label]) -> tuple[list[LabelRow], tuple[Label, ...]]:
    """Read `{text, label}` a line, and give the labels: those given, else those of the rows.

    Raises InputError for the first row that does not fit, and for labels that `labels_of` refuses.
    """
    known = labels_of(given) if given else ()
    found, _ = read_labelled([path], known)
    return found, known or labels_of(dict.fromkeys(row.label for row in found))


def read_labelled(
    paths: Sequence[Path], known: Sequence[Label] = (), *, strict: bool = True
) -> tuple[list[LabelRow], list[InputError]]:
    """Read `{text, label}` a line from JSON Lines, plain or gzipped, and what is wrong with other rows.

    A label that is none of those `known`, where there are any, is wrong. With `strict` the first wrong row is raised.
    Raises InputError for a file that cannot be read, and where no row is of use.
    """
    found: list[LabelRow] = []
    wrong: list[InputError] = []
    names = {label.name for label in known}

    def parse(path: Path, number: int, line: bytes) -> LabelRow:
        row = fields_of(path, number, line)
        name = " ".join(row.text("label").split())
        if names and name not in names:
            raise row.error("E-ROWS-LABEL", label=name)
        return LabelRow(row.text("text"), name)

    for path in paths:
        found += _each(path, _lines(path), parse, None if strict else wrong)
    if not found:
        if wrong:
            raise InputError("E-TRAIN-USABLE", files=", ".join(map(str, paths)), count=len(wrong))
        raise InputError("E-ROWS-NONE", path=paths[0])
    return found, wrong


def read_examples(path: Path) -> list[Example]:
    """Read `{text, label}` or `{text, labels: [...]}` a line; raise InputError for the first row that does not fit."""

    def parse(path: Path, number: int, line: bytes) -> Example:
        row = fields_of(path, number, line)
        return Example(row.text("text"), row.texts("labels") if "labels" in row else (row.text("label"),))

    found = list(_each(path, _lines(path), parse, None))
    if not found:
        raise InputError("E-ROWS-NONE", path=path)
    return found


def read_labels(path: Path) -> list[Label]:
    """Read a label a line as `label_of` takes it, or `{label, description?}` a line of .jsonl.

    Raises InputError for a file that cannot be read and for the first line that does not fit.
    """
    plain = not path.name.removesuffix(".gz").endswith(".jsonl")

    def parse(path: Path, number: int, line: bytes) -> Label:
        if plain:
            return label_of(_decoded(path, number, line))
        row = fields_of(path, number, line)
        return Label(row.text("label"), row.text("description") if "description" in row else "")

    return list(_each(path, _lines(path), parse, None))


def _lines(path: Path) -> list[bytes]:
    with opened(path) as (lines, _):
        return [line.removeprefix(_BOM) if not number else line for number, line in enumerate(lines)]


def _each(
    path: Path, lines: Sequence[bytes], parse: Callable[[Path, int, bytes], _Row], wrong: list[InputError] | None
) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield parse(path, number, line)
        except InputError as error:
            if wrong is None:
                raise
            wrong.append(error)


def _row(path: Path, number: int, line: bytes, *, column: str, plain: bool) -> TextRow:
    if plain:
        return TextRow(number, _decoded(path, number, line).strip())
    row: Fields = fields_of(path, number, line)
    return TextRow(number, row.text(column), row.identity() if "id" in row else None)


def _table(path: Path, raw: Sequence[bytes], column: str, wrong: list[InputError]) -> Iterator[TextRow]:
    """Give the rows of a table. After one that is broken it goes on with the next line."""
    lines: list[str] = []
    for number, line in enumerate(raw, 1):
        lines.append("")
        try:
            lines[-1] = _decoded(path, number, line)
        except InputError as error:
            wrong.append(error)
    heads: list[str] | None = None
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        number = at + 1
        reader = csv.reader((lines[n] for n in range(at, len(lines))), strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            wrong.append(InputError("E-TEXTS-QUOTES", path=path, line=number, reason=str(error)))
            at += 1
            continue
        at += reader.line_num
        if heads is None:
            heads = [cell.strip() for cell in cells]
            if column not in heads:
                known = ", ".join(map(shown, heads))
                raise InputError("E-TEXTS-COLUMN", path=path, column=shown(column), known=known)
        elif len(cells) != len(heads):
            wrong.append(InputError("E-TEXTS-CELLS", path=path, line=number, found=len(cells), wanted=len(heads)))
        elif not (text := cells[heads.index(column)]).strip():
            wrong.append(InputError("E-ROWS-BLANK", path=path, line=number, field=shown(column)))
        else:
            place = heads.index("id") if "id" in heads else None
            yield TextRow(number, text, None if place is None else cells[place])


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeError:
        raise InputError("E-ROWS-UNICODE", path=path, line=number) from None

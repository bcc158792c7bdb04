"""Labels of the user's own, and examples of them. Imports nothing heavy: bad input is told before a model is loaded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from puna.errors import InputError, shown


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """A label, and what it means where its name does not say it."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its labels; one, but where several may fit."""

    text: str
    labels: tuple[str, ...]


def label_of(text: str) -> Label:
    """Part "name: description", at the first colon with a space behind it or the first full-width one."""
    places = [(place, len(colon)) for colon in (": ", "：") if (place := text.find(colon)) >= 0]
    if not places:
        return Label(text)
    place, size = min(places)
    return Label(text[:place], text[place + size :])


def labels_of(given: Iterable[str | Label], fewest: int = 2) -> tuple[Label, ...]:
    """Give labels in the order of their names, in which alone they are read; white space is one space.

    A string is a name. Raises InputError for fewer than `fewest`, empty names, and names given twice.
    """
    found: dict[str, Label] = {}
    for each in given:
        label = Label(each) if isinstance(each, str) else each
        name, description = (" ".join(part.split()) for part in (label.name, label.description))
        if not name:
            raise InputError("E-LABEL-EMPTY")
        if name in found:
            raise InputError("E-LABEL-TWICE", label=shown(name))
        found[name] = Label(name, description)
    if not found:
        raise InputError("E-LABEL-NONE")
    if len(found) < fewest:
        raise InputError("E-LABEL-ONE", label=shown(next(iter(found))))
    return tuple(sorted(found.values()))


def examples_of(given: Sequence[Example], labels: Sequence[Label], *, multi: bool) -> tuple[Example, ...]:
    """Give examples with the names as `labels` has them; raise InputError for blank texts and for other labels."""
    names = {label.name for label in labels}
    found = []
    for number, each in enumerate(given, 1):
        wanted = tuple(" ".join(name.split()) for name in each.labels)
        if not each.text.strip():
            raise InputError("E-EXAMPLE-EMPTY", number=number)
        if unknown := [name for name in wanted if name not in names]:
            raise InputError("E-EXAMPLE-LABEL", number=number, label=shown(unknown[0]))
        if not multi and len(wanted) != 1:
            raise InputError("E-EXAMPLE-MANY", number=number, count=len(wanted))
        found.append(Example(each.text.strip(), wanted))
    return tuple(found)


def check_threshold(value: float) -> None:
    """Raise InputError for a threshold that is no probability."""
    if not 0 <= value <= 1:
        raise InputError("E-THRESHOLD", value=value)

"""A library as other programs' retriever: a module for each, with that program's own classes."""

from importlib.util import find_spec
from typing import Any

from puna.errors import InputError
from puna.library.cite import FoundPassage

_SAID = ("source", "title", "start", "end", "line", "page", "headings", "score")


def check_package(name: str, extra: str) -> None:
    """Raise InputError where a package is not installed, which an extra of Puna's has."""
    if find_spec(name.partition(".")[0]) is None or find_spec(name) is None:
        raise InputError("E-LIBRARY-ADAPTER-MISSING", package=name, extra=extra)


def metadata(found: FoundPassage) -> dict[str, Any]:
    """Give where a passage stands and how good the search thinks it: all but its text, as plain values of JSON."""
    return {name: getattr(found, name) for name in _SAID} | {"headings": list(found.headings)}

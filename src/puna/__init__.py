"""Puna: ranked, cited answers from text with a Llama model.

>>> import puna
>>> reader = puna.load()
>>> reader.ask("Who led the walk?", "The walk was led by Ann.").best.text  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from puna.errors import DocumentError, InputError, KeptError, LibraryError, ModelFileError, PullError, PunaError

if TYPE_CHECKING:
    from puna.answer.reader import Reader, load
    from puna.answer.types import Answer, Answers, Evidence, Ranking, Source
    from puna.library.cite import Citation, LibraryAnswers
    from puna.library.library import Library
    from puna.tasks.classify import Classified, Classifier, LabelScore
    from puna.tasks.labels import Example, Label
    from puna.tasks.pipeline import pipeline
    from puna.weights.kept_folder import KeptFolder

__version__ = "0.1.0"

_WHERE = {
    "Answer": "puna.answer.types",
    "Answers": "puna.answer.types",
    "Citation": "puna.library.cite",
    "Classified": "puna.tasks.classify",
    "Classifier": "puna.tasks.classify",
    "Evidence": "puna.answer.types",
    "Example": "puna.tasks.labels",
    "KeptFolder": "puna.weights.kept_folder",
    "Label": "puna.tasks.labels",
    "LabelScore": "puna.tasks.classify",
    "Library": "puna.library.library",
    "LibraryAnswers": "puna.library.cite",
    "Ranking": "puna.answer.types",
    "Reader": "puna.answer.reader",
    "Source": "puna.answer.types",
    "load": "puna.answer.reader",
    "pipeline": "puna.tasks.pipeline",
}
__all__ = [
    "Answer",
    "Answers",
    "Citation",
    "Classified",
    "Classifier",
    "DocumentError",
    "Evidence",
    "Example",
    "InputError",
    "KeptError",
    "KeptFolder",
    "Label",
    "LabelScore",
    "Library",
    "LibraryAnswers",
    "LibraryError",
    "ModelFileError",
    "PullError",
    "PunaError",
    "Ranking",
    "Reader",
    "Source",
    "load",
    "pipeline",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command's help does not wait for torch."""
    if name not in _WHERE:
        raise AttributeError(f"module 'puna' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])

"""Puna: ranked, cited answers from text with a Llama model.

>>> import puna
>>> reader = puna.load()
>>> reader.ask("Who led the walk?", "The walk was led by Ann.").best.text  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from puna.errors import InputError, KeptError, ModelFileError, PullError, PunaError

if TYPE_CHECKING:
    from puna.answer.reader import Reader, load
    from puna.answer.types import Answer, Answers, Evidence, Ranking, Source
    from puna.weights.kept_folder import KeptFolder

__version__ = "0.1.0"

_WHERE = {
    "Answer": "puna.answer.types",
    "Answers": "puna.answer.types",
    "Evidence": "puna.answer.types",
    "KeptFolder": "puna.weights.kept_folder",
    "Ranking": "puna.answer.types",
    "Reader": "puna.answer.reader",
    "Source": "puna.answer.types",
    "load": "puna.answer.reader",
}
__all__ = [
    "Answer",
    "Answers",
    "Evidence",
    "InputError",
    "KeptError",
    "KeptFolder",
    "ModelFileError",
    "PullError",
    "PunaError",
    "Ranking",
    "Reader",
    "Source",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command's help does not wait for torch."""
    if name not in _WHERE:
        raise AttributeError(f"module 'puna' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])

"""What a question, a text and candidates must be. Imports nothing heavy: bad input is told before a model is loaded."""

from collections.abc import Iterable, Sequence

from puna.answer.types import Source
from puna.errors import InputError


def sources_of(text: str | Source | Iterable[Source]) -> list[Source]:
    """Give a list of sources, each with something to read; raise InputError otherwise."""
    if isinstance(text, str):
        text = Source("text", text)
    found = [text] if isinstance(text, Source) else list(text)
    if not found:
        raise InputError("E-TEXT-EMPTY", name="text")
    for source in found:
        if not source.text.strip():
            raise InputError("E-TEXT-EMPTY", name=source.name)
    return found


def check(question: str, candidates: Sequence[str] | None) -> None:
    """Raise InputError for an empty question, and for empty or doubled candidates."""
    if not question.strip():
        raise InputError("E-QUESTION-EMPTY")
    if candidates is None:
        return
    if not candidates:
        raise InputError("E-CANDIDATE-NONE")
    seen: set[str] = set()
    for candidate in candidates:
        if not candidate.strip():
            raise InputError("E-CANDIDATE-EMPTY")
        if candidate.strip() in seen:
            raise InputError("E-CANDIDATE-TWICE", candidate=candidate.strip())
        seen.add(candidate.strip())

"""Refusing a tokenizer: what its files say is made safe to print before it enters a message."""

from collections.abc import Iterator
from contextlib import contextmanager

from puna.errors import ModelFileError, PunaError, shown

_LONGEST = 200  # characters of what is said of a file


def damaged(what: str) -> ModelFileError:
    """Say that the file's tokenizer contradicts itself."""
    return ModelFileError("E-TOKENIZER-DAMAGED", what=shown(what, _LONGEST))


def other_kind(kind: str) -> ModelFileError:
    """Say that the tokenizer is of a kind that Puna does not compute."""
    return ModelFileError("E-TOKENIZER-KIND", kind=shown(kind, _LONGEST))


@contextmanager
def library(what: str) -> Iterator[None]:
    """Call the tokenizers library, which raises bare Exception, or panics, over what it cannot do with a file's data."""
    try:
        yield
    except (PunaError, TypeError, UnicodeError):  # of the text that was given
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise damaged(f"{what}: {error}") from None
        raise


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Read a file's JSON without asking at each step what it is: what is not as it should be makes it damaged."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise damaged(f"{name}: {error!r}") from None

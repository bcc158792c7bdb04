"""What goes wrong, under stable codes.

An error is a code and its parameters; the sentences, in English and in Chinese, stand in `puna.messages`.
"""

from collections.abc import Mapping

from puna.messages import MESSAGES

_SHOWN = 80
_DIGITS = 128  # bits of a number that is written out


class PunaError(Exception):
    """Any error that Puna raises on purpose.

    `code` is stable ("E-FILE-MISSING"), `parameters` fill the sentence of that code.
    `str(error)` is the English sentence; `describe("zh")` gives message and hint in Chinese.
    """

    def __init__(self, code: str, /, **parameters: object) -> None:
        self.code = code
        self.parameters: Mapping[str, object] = parameters
        super().__init__(self.describe("en")[0])

    def describe(self, language: str = "en") -> tuple[str, str]:
        """Give (message, hint) in "en" or "zh"; the hint may be empty."""
        entry = MESSAGES[self.code]
        message, hint = entry.zh if language == "zh" else entry.en
        return message.format_map(self.parameters), hint.format_map(self.parameters)


def shown(value: object, most: int = _SHOWN) -> str:
    """Give a value read from a file as at most so many printable characters on one line."""
    text = value if isinstance(value, str) else _plain(value)
    if len(text) > most:
        text = text[: most - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def _plain(value: object, inside: bool = False) -> str:
    # A hostile list may hold millions of items or be thousands deep, a number have thousands of digits: never print all.
    if isinstance(value, list | tuple):
        if inside:
            return "[…]"
        items = ", ".join(item[:_SHOWN] if isinstance(item, str) else _plain(item, True) for item in value[:8])
        return f"[{items}, …]" if len(value) > 8 else f"[{items}]"
    if isinstance(value, int) and value.bit_length() > _DIGITS:
        return f"{'-' if value < 0 else ''}2^{value.bit_length() - 1}…"
    if isinstance(value, bool | int | float) or value is None:
        return str(value)
    return type(value).__name__


class InputError(PunaError):
    """The question, text, candidates or options given cannot be used."""


class ModelFileError(PunaError):
    """A model file is missing, damaged, hostile, or of a kind that Puna does not compute."""


class PullError(PunaError):
    """A model could not be fetched."""


class DocumentError(PunaError):
    """A document cannot be read: damaged, encrypted, too large, of an unknown kind; said by name, the rest goes on."""


class LibraryError(PunaError):
    """A library cannot be opened, read or written."""


class ServeError(PunaError):
    """A request to the service cannot be met, or the service cannot begin."""


class KeptError(PunaError):
    """What was read cannot be kept on disk, or not be used again; said as a warning, for it is read anew."""


class PeerError(PunaError):
    """A program that Puna is compared with cannot be installed, or does not do what it is asked."""

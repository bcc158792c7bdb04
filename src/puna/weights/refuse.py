"""One way to refuse a model file: values from the file are made safe to print before they enter a message."""

from pathlib import Path

from puna.errors import ModelFileError

_SHOWN = 80


def shown(value: object) -> str:
    """Give a value read from a file as at most 80 printable characters on one line."""
    text = value if isinstance(value, str) else _plain(value)
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def refuse(code: str, path: Path, /, **parameters: object) -> ModelFileError:
    """Build the error for `code` about `path`; integers stay integers, all else becomes printable text."""
    safe = {name: value if type(value) is int else shown(value) for name, value in parameters.items()}
    printable = "".join(c if c.isprintable() else "�" for c in str(path))
    return ModelFileError(code, path=printable, **safe)


def _plain(value: object) -> str:
    # A hostile list may hold millions of items: never print it whole.
    if isinstance(value, list | tuple):
        items = ", ".join(shown(item) for item in value[:8])
        return f"[{items}, …]" if len(value) > 8 else f"[{items}]"
    if isinstance(value, bool | int | float) or value is None:
        return str(value)
    return type(value).__name__

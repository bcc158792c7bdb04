"""One way to refuse a model file: values from the file are made safe to print before they enter a message."""

from pathlib import Path

from puna.errors import ModelFileError, shown

__all__ = ["refuse", "shown"]


def refuse(code: str, path: Path, /, **parameters: object) -> ModelFileError:
    """Build the error for `code` about `path`; integers of up to 64 bits stay such, all else becomes printable text."""
    safe = {
        name: value if type(value) is int and value.bit_length() <= 64 else shown(value)
        for name, value in parameters.items()
    }
    printable = "".join(c if c.isprintable() else "\ufffd" for c in str(path))
    return ModelFileError(code, path=printable, **safe)

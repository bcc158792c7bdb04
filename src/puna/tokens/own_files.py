"""The tokenizer's file beside the weights where there is no tokenizer.json: the one that its makers wrote."""

from pathlib import Path
from typing import Any

from puna.errors import ModelFileError
from puna.tokens.gguf_vocab import damaged
from puna.tokens.ranked_files import tekken_metadata, tiktoken_metadata
from puna.tokens.sentencepiece_file import sentencepiece_metadata

LARGEST = 1 << 26
"""Bytes of a tokenizer's file; Gemma's tokenizer.json, among the largest in use, has half of that."""
_FIRST_FIELD = b"\n"  # a SentencePiece model begins with the key of its first piece, a tiktoken file with base64


def read_bounded(path: Path) -> bytes:
    """Give what is in a file. Raises FileNotFoundError, or ModelFileError if it is too large, or no file."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise damaged(f"{path.name} is no file")
        if size > LARGEST:
            raise ModelFileError("E-TOKENIZER-SIZE", name=path.name, size=size, limit=LARGEST)
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(f"{path.name}: {error.strerror}") from None


def own_metadata(folder: Path) -> dict[str, Any]:
    """Read tekken.json or tokenizer.model, as Mistral numbers it too, as the GGUF metadata of the same vocabulary.

    Raises ModelFileError if there is none, if it is damaged, or of a kind that Puna does not compute.
    """
    try:
        return tekken_metadata(read_bounded(folder / "tekken.json"))
    except FileNotFoundError:
        pass
    numbered = sorted(folder.glob("tokenizer.model.v*"))
    for path in (folder / "tokenizer.model", *numbered[-1:]):
        try:
            content = read_bounded(path)
        except FileNotFoundError:
            continue
        return (sentencepiece_metadata if content.startswith(_FIRST_FIELD) else tiktoken_metadata)(content)
    raise ModelFileError("E-TOKENIZER-MISSING", path=folder / "tokenizer.json")

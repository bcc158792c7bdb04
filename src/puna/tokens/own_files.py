"""The tokenizer's file beside the weights where there is no tokenizer.json: the one that its makers wrote."""

from pathlib import Path
from typing import Any

from puna.errors import ModelFileError
from puna.tokens.files import read_bounded
from puna.tokens.ranked_files import tekken_metadata, tiktoken_metadata
from puna.tokens.sentencepiece_file import sentencepiece_metadata

_FIRST_FIELD = b"\n"  # a SentencePiece model begins with the key of its first piece, a tiktoken file with base64


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

"""Merges out of a list of pieces, for files that give only the order in which pieces are made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import AnyStr

from puna.errors import ModelFileError

LONGEST = 256
"""Characters or bytes of one piece; the longest in use have 128."""
_CUTS = (
    1 << 22
)  # ways to cut a piece in two, of all pieces together; Llama 4's, the largest in use, have 1.2 million
_MERGES = 1 << 20  # ways that make it of two others; Llama 4's have 440 thousand


def merges_in_order(order: Iterable[AnyStr], ids: Mapping[AnyStr, int]) -> list[tuple[int, int]]:
    """Give every way to make a piece of two others, the pieces in the order given, by the ids of the two.

    Raises ModelFileError if there are more than any vocabulary in use has.
    """
    merges: list[tuple[int, int]] = []
    cuts = 0
    for piece in order:
        cuts += len(piece)
        if len(piece) > LONGEST or cuts > _CUTS or len(merges) > _MERGES:
            raise ModelFileError("E-TOKENIZER-DAMAGED", what="its pieces are too long or too many")
        made = [
            (left, right)
            for at in range(1, len(piece))
            if (left := ids.get(piece[:at])) is not None and (right := ids.get(piece[at:])) is not None
        ]
        merges += sorted(made)
    return merges


def spelled(merges: Iterable[tuple[int, int]], pieces: Sequence[str]) -> list[tuple[str, str]]:
    """Write merges with their pieces instead of ids."""
    return [(pieces[left], pieces[right]) for left, right in merges]

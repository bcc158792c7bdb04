"""Byte texts for studies: batches of running text, and of sentences with their translations.

Tokens are the 256 bytes, END before and after a text, and THEN between a sentence and its translation.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from puna.lab.teaching import Batch, counted
from puna.tasks.rows import objects, opened

END, THEN = 256, 257
VOCABULARY = 258


def read_text(path: Path) -> Tensor:
    """Give the bytes [N] of a gzipped text, as tokens."""
    return torch.frombuffer(bytearray(gzip.decompress(path.read_bytes())), dtype=torch.uint8).long()


def split_text(text: Tensor, share: float = 0.05) -> tuple[Tensor, Tensor]:
    """Part a text in that to learn from, and its end."""
    cut = int(len(text) * (1 - share))
    return text[:cut], text[cut:]


def text_batch(text: Tensor, rows: int, length: int, draw: torch.Generator) -> Batch:
    """Draw chains of `length` bytes, END before each."""
    starts = torch.randint(len(text) - length + 1, (rows, 1), generator=draw)
    return chains(text[starts + torch.arange(length)])


def chains(rows: Tensor) -> Batch:
    """Put END before rows of bytes [B, T]; each byte is to be predicted."""
    tokens = torch.cat([torch.full((len(rows), 1), END), rows], 1)
    return Batch(tokens, counted(tokens), torch.ones_like(tokens, dtype=torch.bool))


def read_pairs(path: Path, most: int) -> list[tuple[bytes, bytes]]:
    """Give sentences with their translations, those of up to `most` bytes together."""
    with opened(path) as (lines, _):
        pairs = [(row.text("src").encode(), row.text("tgt").encode()) for row in objects(path, lines)]
    return [pair for pair in pairs if sum(map(len, pair)) <= most]


def pair_batch(pairs: Sequence[tuple[bytes, bytes]], rows: int, draw: torch.Generator) -> Batch:
    """Draw pairs of like length: of four times as many in the order of length, the neighbours of one of them."""
    drawn = torch.randint(len(pairs), (4 * rows,), generator=draw).tolist()
    ordered = sorted((pairs[index] for index in drawn), key=lambda pair: len(pair[0]) + len(pair[1]))
    start = int(torch.randint(3 * rows + 1, (), generator=draw))
    return translations(ordered[start : start + rows])


def translations(pairs: Sequence[tuple[bytes, bytes]]) -> Batch:
    """Lay pairs out, ends filled up with END; of each the bytes of the translation and the END after it are wanted."""
    rows = [[END, *source, THEN, *target, END] for source, target in pairs]
    length = max(map(len, rows))
    tokens = torch.tensor([row + [END] * (length - len(row)) for row in rows])
    places = counted(tokens)
    begin = torch.tensor([[len(source) + 2] for source, _ in pairs])
    end = torch.tensor([[len(row)] for row in rows])
    return Batch(tokens, places, (places >= begin) & (places < end))

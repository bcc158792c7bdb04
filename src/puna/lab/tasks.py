"""Tasks on sequences of any length: copy, reverse, parity.

A chain is BEGIN, n symbols, THEN, the answer. All chains of a batch have the same n, so there is no padding.
"""

import torch

from puna.lab.teaching import Batch, counted

TASKS = ("copy", "reverse", "parity")
SYMBOLS = 8
BEGIN, THEN = SYMBOLS, SYMBOLS + 1
VOCABULARY = SYMBOLS + 2


def answered(task: str, length: int) -> int:
    """Give how many tokens the answer to `length` symbols has."""
    return 1 if task == "parity" else length


def task_batch(task: str, rows: int, length: int, draw: torch.Generator) -> Batch:
    """Draw chains of `length` symbols (bits for parity), all equally probable; the answer's tokens are wanted."""
    symbols = torch.randint(2 if task == "parity" else SYMBOLS, (rows, length), generator=draw)
    answer = {"copy": symbols, "reverse": symbols.flip(1), "parity": symbols.sum(1, keepdim=True) % 2}[task]
    begin, then = (torch.full((rows, 1), token) for token in (BEGIN, THEN))
    tokens = torch.cat([begin, symbols, then, answer], 1)
    places = counted(tokens)
    return Batch(tokens, places, places >= length + 2)

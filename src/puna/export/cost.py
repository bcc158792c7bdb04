"""What a type costs: how much worse a model predicts a text, beside the size that is saved."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from puna.errors import InputError
from puna.export.model import Source
from puna.llama.load import load
from puna.llama.model import CHUNK, Llama
from puna.tokens.tokenizer import Tokenizer
from puna.weights.blocks import FORMATS
from puna.weights.checkpoint import Checkpoint

_PIECE = 1 << 16  # characters that are encoded at a time, and on to a line's end
_FEWEST = 2  # tokens of a window


@dataclass(frozen=True)
class Cost:
    """One type: bytes of the weights, and over the same tokens perplexity and nats a token.

    `added`: nats a token more than the model as it is, `error` the standard error of that; 0 for the model itself.
    """

    kind: str | None
    size_bytes: int
    nats: float
    added: float
    error: float

    @property
    def perplexity(self) -> float:
        """e to the nats."""
        return math.exp(self.nats)


@dataclass(frozen=True)
class Windows:
    """Pieces of a text's beginning, each read from nothing: how many tokens are predicted, how many characters read."""

    tokens: Sequence[Sequence[int]]
    characters: int

    @property
    def predicted(self) -> int:
        """Tokens, all but the first of each window."""
        return sum(len(window) - 1 for window in self.tokens)


def windows(text: str, tokenizer: Tokenizer, most: int, size: int) -> Windows:
    """Cut a text's first `most` tokens into windows; each begins with BOS where the model has one.

    Raises InputError where there is nothing to predict.
    """
    ids: list[int] = []
    begin = 0
    while begin < len(text) and len(ids) < most:
        found = text.find("\n", begin + _PIECE)
        end = len(text) if found < 0 else found
        new, offsets = tokenizer.encode_with_offsets(text[begin:end], start=not begin)
        room = most - len(ids)
        ids += new[:room]
        begin = end if len(new) <= room else begin + offsets[room - 1][1]
    first = tokenizer.encode_prompt("")
    step = max(size - len(first), _FEWEST)
    cut = [[*first, *ids[at : at + step]] for at in range(0, len(ids), step)]
    kept = Windows([window for window in cut if len(window) >= _FEWEST], begin)
    if not kept.tokens:
        raise InputError("E-EXPORT-TEXT")
    return kept


def costs(
    source: Source,
    kinds: Sequence[str],
    text: Windows,
    device: torch.device,
    step: Callable[[], object] = lambda: None,
) -> Iterator[Cost]:
    """Measure the model as it is, then in each type; one is loaded at a time, and `step` is called for each window."""
    plain = source.merged
    before = losses(load(plain, device=device), text, step)
    yield _cost(None, _size(plain), before, before)
    for kind in kinds:
        stored = source.retyped(kind)
        yield _cost(kind, stored.size_bytes, losses(load(stored, device=device), text, step), before)


def _cost(kind: str | None, size: int, losses: torch.Tensor, before: torch.Tensor) -> Cost:
    moved = losses - before
    error = float(moved.std()) / math.sqrt(len(moved)) if len(moved) > 1 else 0.0
    return Cost(kind, size, float(losses.mean()), float(moved.mean()), error)


def losses(model: Llama, text: Windows, step: Callable[[], object] = lambda: None) -> torch.Tensor:
    """Give -log P of each token that is predicted, fp64."""
    found = []
    for window in text.tokens:
        cache = model.new_cache(len(window))
        ids = torch.tensor(window, device=model.device)
        with torch.inference_mode():
            for start in range(0, len(window) - 1, CHUNK):
                stop = min(start + CHUNK, len(window) - 1)
                places = torch.arange(start, stop, device=model.device)
                hidden = model(ids[start:stop], places, cache, None)
                found.append(model.log_probs(hidden, places - start, ids[start + 1 : stop + 1]).cpu())
        step()
    return -torch.cat(found).double()


def _size(checkpoint: Checkpoint) -> int:
    """Give the bytes that the weights take in a file."""
    sizes = 0
    for name in checkpoint.names():
        form = FORMATS.get(checkpoint.type_name(name))
        items, size = form or (1, 8)  # F64, of a folder
        sizes += math.prod(checkpoint.shape(name)) // items * size
    return sizes

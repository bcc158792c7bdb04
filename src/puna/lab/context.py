"""A model beyond the context that it was trained for: its rotary scaling changed, its surprise and recall measured."""

import math
import random
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from puna.errors import InputError
from puna.llama.config import LlamaConfig
from puna.llama.model import CHUNK, ROWS, Llama
from puna.rank.score import Reading, score
from puna.rank.trie import build_trie, common_prefix
from puna.shapes import Float
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import Checkpoint

SCALINGS = ("none", "linear", "ntk", "dynamic", "yarn")
DYNAMIC = 2.0  # the factor of dynamic NTK, which is one for all lengths
DEPTHS = (0.1, 0.3, 0.5, 0.7, 0.9)
KEYS = 10  # candidates, one of them right: chance is a tenth

# Mohtashami and Jaggi 2023 (Landmark attention) hide a key like this, in other words.
_TASK = "A pass key stands somewhere in the text below. Remember it, for you will be asked for it at the end.\n\n"
_FILLER = (
    " The wind blows over the hills. The river runs to the sea. Birds come and go. So passes the day, and the next."
)
_NEEDLE = " The pass key is {key}. Do not forget it: {key} is the pass key."
_QUESTION = "\n\nWhat is the pass key? The pass key is"
_KEY = " {key}"


def rope_parameters(scaling: str, config: LlamaConfig, length: int) -> dict[str, Any]:
    """Give the `rope_parameters` of `config.json` with which a model of this configuration reads `length` tokens.

    The factor is length / context, but for "dynamic", whose frequencies follow the length by themselves. "ntk" raises
    the base by factor^(E / (E - 2)), which stretches the slowest pair by the factor and leaves the fastest (NTK-aware).
    Raises InputError for a model that is scaled already: what would be compared is its own training.
    """
    if config.rope.kind != "default":
        raise InputError("E-LAB-SCALED", kind=config.rope.kind)
    theta, original, size = config.rope.theta, config.context, config.head_dim
    factor = max(1.0, length / original)
    if scaling == "linear":
        return {"rope_type": "linear", "rope_theta": theta, "factor": factor}
    if scaling == "ntk":
        return {"rope_type": "default", "rope_theta": theta * factor ** (size / (size - 2))}
    if scaling in ("dynamic", "yarn"):
        factor = DYNAMIC if scaling == "dynamic" else factor
        shared = {"rope_theta": theta, "original_max_position_embeddings": original}
        return {"rope_type": scaling, "factor": factor, **shared}
    return {"rope_type": "default", "rope_theta": theta}


def stretched(checkpoint: Checkpoint, scaling: str, length: int) -> Checkpoint:
    """Give the checkpoint with another rotary scaling, and with positions for `length` tokens."""
    parameters = rope_parameters(scaling, LlamaConfig.from_dict(checkpoint.config), length)
    other = copy(checkpoint)
    other.config = {
        **{key: value for key, value in checkpoint.config.items() if key not in ("rope_theta", "rope_scaling")},
        "rope_parameters": parameters,
        "max_position_embeddings": length,
    }
    return other


@torch.inference_mode()
def surprises(
    model: Llama, tokens: Sequence[int], watch: Callable[[int, int], None] = lambda done, total: None
) -> Float[Tensor, " T-1"]:
    """Give -log P of each token but the first given all before it, in nats; read once, in chunks."""
    cache = model.new_cache(len(tokens), span=len(tokens))
    found = []
    for start in range(0, len(tokens) - 1, CHUNK):
        part = torch.tensor(tokens[start : start + CHUNK + 1], device=model.device)
        count = min(CHUNK, len(tokens) - 1 - start)
        positions = torch.arange(start, start + count, device=model.device)
        hidden = model(part[:count], positions, cache, None)
        rows = torch.arange(count, device=model.device)
        found.append(-model.log_probs(hidden, rows, part[1 : count + 1]).cpu())
        watch(start + count, len(tokens) - 1)
    return torch.cat(found)


def bits_per_byte(nats: float, tokens: Sequence[int], tokenizer: Tokenizer) -> float:
    """Turn the surprise of these tokens into bits for each byte of their text, which no tokenizer's cut changes."""
    return nats / math.log(2) / sum(len(tokenizer.token_bytes(token)) for token in tokens)


@dataclass(frozen=True, slots=True)
class Haystack:
    """Filler of a length with a key hidden at each depth, and the keys among which it is to be found."""

    prompts: list[list[int]]  # one for each of DEPTHS
    keys: list[list[int]]  # the first is the right one

    @classmethod
    def of(cls, tokenizer: Tokenizer, length: int, seed: int) -> "Haystack":
        """Hide a random key of five digits; a prompt and the key behind it have at most `length` tokens.

        Raises InputError where not even the task has room.
        """
        numbers = random.Random(seed).sample(range(10000, 100000), KEYS)  # noqa: S311  no secret
        task, (filler, needle, question) = (
            tokenizer.encode_prompt(_TASK),
            tokenizer.encode_batch([_FILLER, _NEEDLE.format(key=numbers[0]), _QUESTION], start=False),
        )
        keys = tokenizer.encode_batch([_KEY.format(key=number) for number in numbers], start=False)
        used = len(task) + len(needle) + len(question) + max(map(len, keys))
        times = (length - used) // len(filler)
        if times < len(DEPTHS):
            raise InputError("E-LAB-SHORT", length=length, wanted=used + len(DEPTHS) * len(filler))
        prompts = [
            [*task, *filler * (before := round(depth * times)), *needle, *filler * (times - before), *question]
            for depth in DEPTHS
        ]
        return cls(prompts, keys)


@torch.inference_mode()
def recall(
    model: Llama, hay: Haystack, length: int, watch: Callable[[int, int], None] = lambda done, total: None
) -> list[dict[str, Any]]:
    """Look for the key at each depth, in the order of DEPTHS.

    `rank`: place of the right key among the candidates by log-probability, 1 where it is first. `written`: whether greedy
    decoding writes the key: each of its tokens is the most probable one. `log_probability` of the right key, nats.
    Filler that two prompts begin with is read once: from the deepest key on, each goes back as far as it has to.
    """
    found: list[dict[str, Any]] = []
    reading: Reading | None = None
    before: list[int] = []
    for number, tokens in enumerate(reversed(hay.prompts)):
        watch(number, len(hay.prompts))
        shared = common_prefix(before, tokens)
        cache = reading.until(shared).cache if reading else model.new_cache(length + ROWS, span=length)
        reading, before = Reading(model, cache, tokens[shared:]), tokens
        values = [float(each.sum()) for each in score(reading, hay.keys, end=None)]
        right = hay.keys[0]
        states = torch.cat((reading.hidden, reading.open(build_trie([right[:-1]]))))
        found.append(
            {
                "rank": 1 + sum(value >= values[0] for value in values[1:]),
                "written": model.logits(states).argmax(-1).tolist() == right,
                "log_probability": values[0],
            }
        )
    return found[::-1]

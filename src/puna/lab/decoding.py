"""How fast Puna writes with a shape of model: random weights, many or few key-value heads, behind a context."""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from puna.export.folder import write_folder
from puna.export.regroup import RegroupedCheckpoint
from puna.lab.study import Watch
from puna.llama.describe import cache_bytes
from puna.llama.load import load
from puna.llama.step import writing
from puna.train.scratch import Scratch, Sizes, byte_tokenizer
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.layout import expected_shapes

_MOST = 1 << 20  # tensors of a model, more than any shape here has


def random_model(sizes: Sizes, folder: Path) -> Checkpoint:
    """Give a model of random weights in bf16 as a folder, which is written where it is not there yet."""
    path = folder / f"random-{sizes.width}-{sizes.layers}-{sizes.heads}-{sizes.ffn}-{sizes.context}"
    if not path.exists():
        tokenizer = byte_tokenizer()
        config = sizes.config(tokenizer)
        weights = Scratch(config, seed=0)

        def tensor(name: str) -> torch.Tensor:
            return weights.tensor(name, torch.float32)

        shapes = expected_shapes(path, config, _MOST)
        write_folder(path, shapes, tensor, {}, config, torch.bfloat16, tokenizer.files())
    return open_checkpoint(path)


@torch.inference_mode()
def speeds(
    checkpoint: Checkpoint,
    counts: Sequence[int],
    context: int,
    *,
    rounds: int,
    tokens: int,
    device: torch.device,
    watch: Watch,
) -> list[dict[str, Any]]:
    """Write `tokens` behind `context` others with each number of key-value heads in turn, `rounds` times and once before.

    Taking turns, what slows the machine for a while slows all of them. Gives for each number tokens a second (median and
    quartiles of the rounds), and the bytes that a token takes in the cache and that all of the context takes.
    """
    with ExitStack() as stack:
        writers = {}
        for count in counts:
            same = count == checkpoint.config["num_key_value_heads"]
            model = load(checkpoint if same else RegroupedCheckpoint(checkpoint, count, "first"), device=device)
            follow = stack.enter_context(writing(model, context + tokens, span=context + tokens))
            model.read([token % 256 for token in range(context)], follow.cache)
            writers[count] = model, follow
        spent: dict[int, list[float]] = {count: [] for count in counts}
        for turn in range(rounds + 1):
            watch(turn, rounds + 1)
            for count, (_, follow) in writers.items():
                token = 0
                start = time.perf_counter()
                for _ in range(tokens):
                    token = int(follow(token).argmax())
                spent[count].append((time.perf_counter() - start) / tokens)
                follow.cache.truncate(context)
        found = []
        for count, (model, _) in writers.items():
            low, middle, high = statistics.quantiles(spent[count][1:], n=4, method="inclusive")
            size = cache_bytes(model.config, model.dtype)
            found.append(
                {
                    "kv_heads": count,
                    "tokens_per_second": 1 / middle,
                    "quartiles": [1 / high, 1 / low],
                    "cache_bytes_per_token": size,
                    "cache_bytes": size * context,
                }
            )
    return found

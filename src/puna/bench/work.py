"""The least work that reading and writing take, whoever does it: what the machine's limits are held against."""

import math
from dataclasses import dataclass

from puna.bench.jobs import WRITTEN
from puna.llama.config import LlamaConfig
from puna.weights.blocks import FORMATS
from puna.weights.checkpoint import Checkpoint

_KEPT_BYTES = 2  # of one number among the keys and values: fp16 or bf16


@dataclass(frozen=True, slots=True)
class Work:
    """A model's weights in matrix products, and the file's bytes that one token touches."""

    config: LlamaConfig
    layer_weights: int
    touched: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Work":
        """Count in a checkpoint."""
        config = LlamaConfig.from_dict(checkpoint.config)
        layers = touched = 0
        for name in checkpoint.names():
            count, embedding = math.prod(checkpoint.shape(name)), "embed_tokens" in name
            items, size = FORMATS[checkpoint.type_name(name)]
            if len(checkpoint.shape(name)) == 2 and not embedding and "lm_head" not in name:
                layers += count
            if not embedding or config.tied:  # of an embedding that is no head, one row
                touched += count // items * size
        return cls(config, layers, touched)

    def reading(self, tokens: int) -> float:
        """Give the operations of reading so many tokens: products of the layers, attention, one row of the head."""
        config = self.config
        attention = (
            2 * tokens**2 * config.heads * config.head_dim * config.layers
        )  # half of all pairs, two products
        head = 2 * config.width * config.vocab_size
        return 2 * tokens * self.layer_weights + attention + head

    def writing(self, after: int) -> float:
        """Give the bytes to read for a token, in the middle of those that are timed."""
        config = self.config
        kept = 2 * config.layers * config.kv_heads * config.head_dim * _KEPT_BYTES
        return self.touched + (after + WRITTEN / 2) * kept

    def share(self, measure: str, rate: float, limits: dict[str, float]) -> float | None:
        """Give the share of the machine's limit that a rate in tokens a second is; None where none bounds it."""
        kind, _, count = measure.partition("_")
        if kind == "prefill":
            return rate / int(count) * self.reading(int(count)) / limits["matmul_flops"]
        if kind == "decode":
            return rate * self.writing(int(count)) / limits["read_bytes"]
        return None

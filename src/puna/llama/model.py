"""The whole model: embedding, layers, norm, head.

One primitive: `Llama.forward(tokens, positions, cache, mask)` over packed tokens. Positions and mask are
explicit, so chains, trees, packed rows and padding are all the same call.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.llama.attention import CLOSED, has_flash
from puna.llama.block import Block
from puna.llama.cache import Cache
from puna.llama.config import LlamaConfig
from puna.llama.linear import Embedding, Linear, bf16_products
from puna.llama.norm import RMSNorm
from puna.llama.packed import FEW, Packed
from puna.llama.rope import tables
from puna.shapes import Bool, Float, Int

if TYPE_CHECKING:
    from puna.llama.step import Step

CHUNK = 512  # tokens read in one forward: large enough for full matrix speed, small enough for a flat memory use
GPU_CHUNK = 4096  # a GPU has more to fill, and needs no mask to read a chain
# Rows of a scoring forward at most. Torch's matrix kernels choose their order of summation by shape, so there, and in
# the head's product, fewer are padded: one shape makes a score equal to the last bit whatever is scored beside it.
ROWS = 128


class Trunk(nn.Module):
    """Everything below the head; named `model` in Hugging Face's checkpoints."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.embed_tokens = Embedding(config.vocab_size, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)


class Llama(nn.Module):
    """A model of Llama's kind; `dtype` is that of the matrix products, everything else is fp32.

    `packed`: weights for the CPU's own kernels; with them the parameters are without memory and not used.
    `step`: what `puna.llama.step` keeps on a GPU.
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.packed: Packed | None = None
        self.step: Step | None = None
        self._notes: Tensor | None = None
        self.model = Trunk(config)
        self.lm_head = Linear(config.width, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """Make the head the embedding where the configuration says so."""
        if self.config.tied:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def dtype(self) -> torch.dtype:
        """Type of the matrix products."""
        if self.packed is not None:
            return self.packed.engine.dtype
        weight: Tensor = self.get_parameter("model.layers.0.mlp.up_proj.weight")
        return weight.dtype

    @property
    def engine(self) -> str:
        """What computes: "amx", "avx512", "avx2" or "neon", which are `puna.native`'s, "cuda" or "torch"."""
        if self.packed is not None:
            return self.packed.engine.name
        return "cuda" if self.device.type == "cuda" else "torch"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        if self.packed is not None:
            return torch.device("cpu")
        return self.lm_head.weight.device

    def rows_for(self, count: int, most: int = ROWS) -> int:
        """Give the rows that a scoring forward of `count` must have: `most`, or as many where rows are independent."""
        return most if self.packed is None else count

    def takes_chain(self, count: int) -> bool:
        """Tell whether a chain of `count` tokens, read in one forward with others, gives what it gives alone."""
        return self.packed is not None and FEW < count <= CHUNK

    def new_cache(self, capacity: int, *, span: int | None = None) -> Cache:
        """Make an empty cache with room for `capacity` tokens (it grows); `span` as in `Cache`."""
        notes = 0 if self._notes is None else len(self._notes)
        return Cache(self.config, capacity, span=span, notes=notes, dtype=self.dtype, device=self.device)

    def take_notes(self, projection: Float[Tensor, "N D"]) -> None:
        """From now on keep, beside keys and values, a projection of the hidden state of each token that `read` reads."""
        self._notes = projection.to(self.device)

    def forward(
        self,
        tokens: Int[Tensor, " T"],
        positions: Int[Tensor, " T"],
        cache: Cache | None,
        mask: Bool[Tensor, "R M"] | None,
        *,
        chain: int = 0,
    ) -> Float[Tensor, "T D"]:
        """Read T tokens behind the cache's and give their normed hidden states, fp32.

        Keys are the cache's tokens in order, then these. `mask` covers the last M of them: mask[t, m] is True where
        token t may attend to that key; keys before are open to all rows. Every row must see at least its own key.
        None: a chain, each sees all before it and itself. With `chain` the first so many tokens are one, which all others
        see whole; `mask` is theirs, over each other.
        The cache is advanced by T.
        """
        if cache is not None:
            cache.reserve(len(tokens))
        if self.packed is not None:
            cache = cache or self.new_cache(len(tokens), span=int(positions.max()) + 1)
            hidden = self.packed.forward(tokens, positions, cache, mask, chain)
            cache.advance(len(tokens))
            return hidden
        if chain and mask is not None:
            every = causal_mask(0, len(tokens), self.device)
            every[chain:, chain:] = mask
            mask = every
        length = cache.span if cache is not None else int(positions.max()) + 1
        past = cache.length if cache is not None else 0
        cos, sin = tables(self.config.rope, positions, length)
        if mask is None and not has_flash(self.device, self.dtype, self.config.head_dim):
            mask = causal_mask(past, len(tokens), self.device)
        bias = None if mask is None else self._bias(mask)
        near, before = bias, None
        if 0 < self.config.window < max(length, past + len(tokens)):
            near, before = self._near(positions, cache, mask)
        if tokens.device.type == "cpu" and len(
            tokens
        ):  # a GPU would have to be waited for; `read` has looked at most
            self.config.check_ids(int(tokens.min()), int(tokens.max()))
        x = self.model.embed_tokens(tokens).float()
        for layer, block in enumerate(self.model.layers):
            if layer in self.config.sliding:
                x = block(x, cos, sin, near, cache, layer, before)
            else:
                x = block(x, cos, sin, bias, cache, layer)
        if cache is not None:
            cache.advance(len(tokens))
        normed: Tensor = self.model.norm(x)
        return normed

    def _bias(self, mask: Tensor, closed: float = float("-inf")) -> Tensor:
        """0 where `mask` is True."""
        return torch.zeros(mask.shape, dtype=self.dtype, device=self.device).masked_fill_(~mask, closed)

    def _near(
        self, positions: Tensor, cache: Cache | None, mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Give `bias` and `before` of the sliding layers, as `grouped_attention` wants them.

        Which way they are computed depends on the whole job's length, not on the tokens that happen to share a forward.
        """
        places = positions if cache is None else cache.places(positions)
        if mask is None:
            if len(places) <= self.config.window:
                return None, None
            mask = causal_mask(len(places) - len(positions), len(positions), self.device)
        near = positions[:, None] - places < self.config.window
        far = len(places) - mask.shape[1]
        return self._bias(mask & near[:, far:]), self._bias(near[:, :far], CLOSED) if far else None

    def read(self, tokens: Sequence[int], cache: Cache) -> Float[Tensor, "1 D"]:
        """Read a chain of tokens behind the cache's, in chunks; give the hidden state of the last."""
        hidden: Tensor | None = None
        size = CHUNK if self.device.type == "cpu" else GPU_CHUNK
        for start in range(0, len(tokens), size):
            if self.packed is not None:
                cache.reserve(len(part := tokens[start : start + size]))
                hidden = self.packed.chain(part, cache)
                cache.advance(len(part))
            else:
                part = tokens[start : start + size]
                self.config.check_ids(min(part), max(part))
                chunk = torch.tensor(part, device=self.device)
                past = cache.length
                positions = torch.arange(past, past + len(chunk), device=self.device)
                hidden = self(chunk, positions, cache, None)
            if self._notes is not None:
                cache.note(hidden @ self._notes.T)
        if hidden is None:
            raise ValueError("nothing to read: no tokens")
        return hidden[-1:]

    def logits(self, hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Head over the given rows only, fp32 out."""
        if self.packed is not None:
            return self.packed.logits(hidden)
        if self.lm_head.weight.dtype == torch.bfloat16:  # on a GPU
            return torch.mm(hidden.bfloat16(), self.lm_head.weight.T, out_dtype=torch.float32)
        with bf16_products(self.dtype == torch.bfloat16 and hidden.shape[0] > 1):  # one row is faster in fp32
            return F.linear(hidden, self.lm_head.weight)

    def log_probs(
        self, hidden: Float[Tensor, "N D"], rows: Int[Tensor, " M"], tokens: Int[Tensor, " M"]
    ) -> Float[Tensor, " M"]:
        """log P(tokens[m] | hidden[rows[m]]), fp32; logits exist for ROWS rows at a time only."""
        if self.packed is not None:
            return self.packed.log_probs(hidden, rows, tokens)
        out = torch.zeros(len(rows), device=hidden.device)
        for start in range(0, hidden.shape[0], ROWS):
            block = hidden[start : start + ROWS]
            logits = self.logits(F.pad(block, (0, 0, 0, ROWS - len(block))))
            here = (rows >= start) & (rows < start + ROWS)  # asked as a tensor: a GPU waits for no answer
            at = (rows - start).clamp(0, ROWS - 1)
            out = torch.where(here, logits[at, tokens] - logits.logsumexp(-1)[at], out)
        return out


def causal_mask(past: int, new: int, device: torch.device | str = "cpu") -> Bool[Tensor, "T S"]:
    """Mask of a chain of `new` tokens behind `past` others: each sees all before it and itself."""
    return torch.ones(new, past + new, dtype=torch.bool, device=device).tril(past)

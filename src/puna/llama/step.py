"""One token after another behind a cache, in tensors that keep their shapes and places.

A GPU computes one token faster than Python can say what to compute. So it records a step once and replays the record: a
CUDA graph. What changes from step to step, the token and its place, is data of the record; only how many slots
are attended to makes another record, and those come in a few sizes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from puna.llama.attention import CLOSED, PART, one_row_attention
from puna.llama.block import Block
from puna.llama.cache import Cache
from puna.llama.linear import Linear
from puna.llama.model import Llama
from puna.llama.rope import tables
from puna.shapes import Float


class Writer(Protocol):
    """Gives what follows the tokens of its cache, one token a call."""

    cache: Cache

    def __call__(self, token: int) -> Float[Tensor, " V"]:
        """Read a token behind the cache's; give the logits of the next, valid until the next call."""
        ...


@contextmanager
def writing(model: Llama, capacity: int, *, span: int) -> Iterator[Writer]:
    """Lend a writer with an empty cache; `capacity` and `span` as for `Llama.new_cache`.

    On a GPU the model keeps it, with its records, for the next time.
    """
    if model.device.type != "cuda":
        yield _Plain(model, model.new_cache(capacity, span=span))
        return
    step, model.step = model.step, None  # who writes while another does gets one of its own
    step = step or Step(model)
    step.begin(capacity, span)
    try:
        yield step
    finally:
        model.step = step


class _Plain:
    """A forward for each token."""

    def __init__(self, model: Llama, cache: Cache) -> None:
        self.cache, self._model = cache, model

    def __call__(self, token: int) -> Tensor:
        return self._model.logits(self._model.read([token], self.cache))[0]


class Step:
    """A step, and its records by how many slots they attend to; on a CPU it computes unrecorded. Not for training."""

    def __init__(self, model: Llama) -> None:
        self._model = model
        self._layers = [_Layer(block) for block in model.model.layers if isinstance(block, Block)]
        self._token, self._place = (torch.zeros(1, dtype=torch.long, device=model.device) for _ in range(2))
        self._rope = torch.empty(2, 0, model.config.head_dim, device=model.device)
        self._records: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._known: tuple[Tensor, ...] = ()  # memory that the records use
        self.cache = model.new_cache(PART)

    def begin(self, capacity: int, span: int) -> None:
        """Empty the cache and make room for a job of `span` positions."""
        if self.cache.capacity < _slots(capacity):
            self.cache = self._model.new_cache(_slots(capacity))
        self.cache.truncate(0)
        self.cache.span = span
        places = torch.arange(max(span, self._rope.shape[1]), device=self._model.device)
        cos, sin = tables(self._model.config.rope, places, span)
        # As wide as a head, with the sign of each half: the rotation is then two products and their sum.
        rope = torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)))
        if rope.shape == self._rope.shape:
            self._rope.copy_(rope)
        else:
            self._rope = rope

    def __call__(self, token: int) -> Float[Tensor, " V"]:
        """As `Writer`."""
        length = self.cache.length
        if length >= self.cache.span:
            raise ValueError(f"the job has {self.cache.span} positions")
        slots = _slots(length + 1)
        self.cache.reserve(slots - length)
        known = (*self.cache.stores, self._rope)
        if list(map(id, known)) != list(map(id, self._known)):
            self._records.clear()
            self._known = known
        self._token.fill_(token)
        self._place.fill_(length)
        logits = self._compute(slots) if self._model.device.type == "cpu" else self._replay(slots)
        self.cache.advance(1)
        return logits

    def _compute(self, slots: int) -> Tensor:
        """Give the logits; nothing here depends on the token, its place or the cache but through tensors."""
        model, device = self._model, self._model.device
        x = model.model.embed_tokens(self._token).float()
        cos, sin = self._rope.index_select(1, self._place)
        bias = torch.zeros(slots, dtype=model.dtype, device=device)
        places = torch.arange(slots, device=device)
        bias.masked_fill_(places > self._place, CLOSED)
        window, sliding = model.config.window, model.config.sliding
        near = bias.masked_fill(places <= self._place - window, CLOSED) if window else bias
        for n, (layer, keys, values) in enumerate(zip(self._layers, *self.cache.stores, strict=True)):
            x = layer(x, cos, sin, self._place, near if n in sliding else bias, keys, values)
        return model.logits(model.model.norm(x))[0]

    def _replay(self, slots: int) -> Tensor:
        if slots not in self._records:
            self._records[slots] = self._record(slots)
        graph, logits = self._records[slots]
        graph.replay()
        return logits

    def _record(self, slots: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        with torch.cuda.device(self._model.device):
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._compute(slots)  # libraries set up on first use what cannot be recorded
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                logits = self._compute(slots)
        return graph, logits


class _Layer:
    """`Block.forward` for one row, with fewer and larger products."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.self_attn, block.mlp
        self._block = block
        self._qkv = _join(attention.q_proj, attention.k_proj, attention.v_proj)
        self._gates = _join(mlp.gate_proj, mlp.up_proj)

    def __call__(
        self, x: Tensor, cos: Tensor, sin: Tensor, place: Tensor, bias: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        block, heads = self._block, len(keys)
        rows = self._qkv(block.input_layernorm(x)).view(-1, keys.shape[-1])
        turning, v = rows[:-heads], rows[-heads:]
        if (q_norm := block.self_attn.q_norm) is not None and (k_norm := block.self_attn.k_norm) is not None:
            turning = torch.cat((q_norm(turning[:-heads]), k_norm(turning[-heads:])))
        turned = torch.addcmul(turning * cos, turning.roll(turning.shape[-1] // 2, -1), sin).to(v.dtype)
        keys.index_copy_(1, place, turned[-heads:, None])
        values.index_copy_(1, place, v[:, None])
        seen = slice(len(bias))
        attended = one_row_attention(turned[:-heads], keys[:, seen], values[:, seen], bias)
        x = x + block.self_attn.o_proj(attended.view(1, -1))
        gate, up = self._gates(block.post_attention_layernorm(x)).chunk(2, -1)
        out: Tensor = x + block.mlp.down_proj(F.silu(gate) * up)
        return out


@torch.inference_mode(False)
@torch.no_grad()
def _join(*parts: Linear) -> Linear:
    """Make one matrix of several; theirs become views of it, so that it takes no memory of its own."""
    joined = Linear(parts[0].in_features, sum(part.out_features for part in parts), bias=False, device="meta")
    sizes = [part.out_features for part in parts]
    for name in ("weight", "bias"):
        if getattr(parts[0], name) is not None:
            whole = torch.cat([getattr(part, name) for part in parts])
            setattr(joined, name, nn.Parameter(whole, requires_grad=False))
            for part, rows in zip(parts, torch.split(whole, sizes), strict=True):
                setattr(part, name, nn.Parameter(rows, requires_grad=False))
    return joined


def _slots(length: int) -> int:
    """How many slots a step attends to that needs `length`: few sizes, so that few steps are recorded."""
    return PART << (-(-length // PART) - 1).bit_length() if length <= 1024 else -(-length // 1024) * 1024

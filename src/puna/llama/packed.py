"""The model over packed weights: what `Llama` does with torch's products, done by `puna.native` on the CPU.

Every row of a pass is summed in an order of its own that does not depend on the rows beside it, so a score is the same
to the last bit whatever is scored with it.
"""

from collections.abc import Sequence
from ctypes import byref, c_int64
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from puna.llama.cache import Cache
from puna.llama.config import LlamaConfig
from puna.llama.rope import tables
from puna.native.library import Engine, Layer, Matrix, Model, Pass, engines
from puna.shapes import Bool, Float, Int
from puna.weights.checkpoint import Checkpoint

FEW = 3  # of model.h: a chain of up to so many tokens is multiplied row by row
_LINES = 8  # tables of rotations kept, where they depend on a job's length
_EXACT = frozenset({"Q4_0", "Q4_1", "Q8_0", "BF16"})  # types of which the packed form always keeps every bit


class Stretch(NamedTuple):
    """Tokens from position `start` on of a text whose position 0 is the cache's slot `base`, a multiple of 32."""

    base: int
    start: int
    tokens: Sequence[int]


def engine_for(config: LlamaConfig, dtype: torch.dtype | None) -> Engine | None:
    """Give the fastest kernels that take a model of these sizes, with products in `dtype` if that is given.

    A pass says once what its tokens see, for all layers. Where only some have a sliding window torch computes, which is
    slower: Qwen's configurations can say it, and those that Qwen has published do not.
    """
    whole = all(size % 32 == 0 for size in (config.width, config.ffn_width, config.head_dim))
    if not whole or config.mlp_bias or 0 < len(config.sliding) < config.layers:
        return None
    return next((engine for engine in engines().values() if dtype in (None, engine.dtype)), None)


class Packed:
    """A checkpoint's weights in column tiles, and the passes over them."""

    def __init__(self, config: LlamaConfig, checkpoint: Checkpoint, engine: Engine) -> None:
        self.config = config
        self.engine = engine
        self._checkpoint = checkpoint
        self._alive: list[object] = []
        layers = (Layer * config.layers)(*(self._layer(f"model.layers.{n}.") for n in range(config.layers)))
        self._alive.append(layers)
        rows = torch.arange(-(-config.vocab_size // 32) * 32)
        rows[config.vocab_size :] = -1
        embedding = self._matrix({"model.embed_tokens": rows}, config.width)
        head = embedding if config.tied else self._matrix({"lm_head": rows}, config.width)
        self._embedding = embedding
        kind = checkpoint.type_name("model.embed_tokens.weight")
        self._table = (
            None
            if kind in _EXACT or engine.dtype == torch.float32
            else checkpoint.tensor("model.embed_tokens.weight", torch.float32)
        )
        self._model = Model(
            config.width,
            config.heads,
            config.kv_heads,
            config.head_dim,
            config.ffn_width,
            config.layers,
            config.vocab_size,
            config.norm_eps,
            layers,
            self._gain("model.norm.weight"),
            head,
        )
        del self._checkpoint
        self._lines: dict[int, tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    def chain(self, tokens: Sequence[int], cache: Cache) -> Float[Tensor, "T D"]:
        """As `forward` for tokens that follow the cache's, at the positions that follow; the cache is not advanced.

        Writing calls it for every token: what it needs is kept, for after a pass over the weights even a small tensor
        costs many microseconds.
        """
        count, start = len(tokens), cache.length
        self.config.check_ids(min(tokens), max(tokens))
        x = torch.empty(count, self.config.width)
        if self._table is None:
            self.engine.kernels.puna_rows(byref(self._embedding), (c_int64 * count)(*tokens), count, x.data_ptr())
        else:
            x.copy_(self._table[torch.tensor(tokens)])
        cos, sin, slots, lows = self._line(start + count, cache.span)
        turned, placed = 4 * cos.shape[1] * start, 4 * start
        given = Pass(
            count,
            start + count,
            cache.capacity,
            True,
            x.data_ptr(),
            cos.data_ptr() + turned,
            sin.data_ptr() + turned,
            *(store.data_ptr() for store in cache.stores),
            slots.data_ptr() + placed,
            lows.data_ptr() + placed,
            slots.data_ptr() + placed + 4,
            *(None, None, None),
        )
        _check(self.engine.kernels.puna_forward(byref(self._model), byref(given), torch.get_num_threads()))
        return x

    def forward(
        self,
        tokens: Int[Tensor, " T"],
        positions: Int[Tensor, " T"],
        cache: Cache,
        mask: Bool[Tensor, "R M"] | None,
        chain: int = 0,
    ) -> Float[Tensor, "T D"]:
        """As `Llama.forward`; the cache is not advanced."""
        count, slots = len(tokens), cache.length + len(tokens)
        cos, sin = (table.contiguous() for table in tables(self.config.rope, positions, cache.span))
        x = self.embed(tokens)
        slot = cache.slots(count).int()
        low = self._first_near(positions)
        high = torch.arange(slots - count + 1, slots + 1, dtype=torch.int32)
        seen, first, listed = torch.empty(3, 0, dtype=torch.int32)
        if mask is not None and mask.shape[1] < slots and mask.shape[1] != count - chain:
            mask = F.pad(mask, (slots - mask.shape[1], 0), value=True)  # over some of the cache's keys: over all
        if mask is not None and self.config.window:
            near = positions[:, None] - cache.places(positions) < self.config.window
            mask = mask & near[chain:, near.shape[1] - mask.shape[1] :]
        if mask is not None and mask.shape[1] < slots:  # what all see, and a list of single keys for each
            high[chain:] = slots - mask.shape[1]
            row, listed = (each.contiguous() for each in (mask.nonzero() + chain).int().unbind(1))
            first = torch.searchsorted(row, torch.arange(count + 1, dtype=torch.int32)).int()
        elif mask is not None:
            seen, slots = mask.to(torch.uint8).contiguous(), mask.shape[1]
            low, high = seen.argmax(1).int(), (slots - seen.flip(1).argmax(1)).int()
        keys, values = cache.stores
        tensors = (x, cos, sin, keys, values, slot, low, high, seen, first, listed)
        given = Pass(
            count, slots, cache.capacity, mask is None, *(t.data_ptr() if t.numel() else None for t in tensors)
        )
        _check(self.engine.kernels.puna_forward(byref(self._model), byref(given), torch.get_num_threads()))
        return x

    def stretches(self, given: Sequence[Stretch], cache: Cache) -> Float[Tensor, "T D"]:
        """Read on in several texts of one cache in one pass; the cache's own length is neither used nor changed.

        A token's row is what it is in any company and however its text was cut: it is never multiplied as a few rows are.
        """
        tokens = torch.tensor([token for each in given for token in each.tokens])
        positions = torch.cat([torch.arange(each.start, each.start + len(each.tokens)) for each in given])
        bases = torch.cat([torch.full((len(each.tokens),), each.base) for each in given])
        places = (bases + positions).int()
        if int(places.max()) >= cache.capacity:
            raise ValueError(f"slot {int(places.max())} of {cache.capacity}")
        cos, sin, _, lows = self._line(int(positions.max()) + 1, cache.span)
        cos, sin = cos[positions].contiguous(), sin[positions].contiguous()
        x, low, high = self.embed(tokens), (lows[positions] + bases).int(), places + 1
        tensors = (x, cos, sin, *cache.stores, places, low, high)
        given_pass = Pass(
            len(tokens),
            int(high.max()),
            cache.capacity,
            False,
            *(t.data_ptr() for t in tensors),
            *(None, None, None),
        )
        _check(self.engine.kernels.puna_forward(byref(self._model), byref(given_pass), torch.get_num_threads()))
        return x

    def embed(self, tokens: Int[Tensor, " T"]) -> Float[Tensor, "T D"]:
        """Give the embeddings of tokens, fp32."""
        self._check_ids(tokens)
        if self._table is not None:
            return self._table[tokens]
        out = torch.empty(len(tokens), self.config.width)
        tokens = tokens.long().contiguous()
        self.engine.kernels.puna_rows(byref(self._embedding), tokens.data_ptr(), len(tokens), out.data_ptr())
        return out

    def logits(self, hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """As `Llama.logits`."""
        hidden = hidden.contiguous()
        out = torch.empty(len(hidden), self.config.vocab_size)
        _check(
            self.engine.kernels.puna_logits(
                byref(self._model), hidden.data_ptr(), len(hidden), out.data_ptr(), torch.get_num_threads()
            )
        )
        return out

    def log_probs(
        self, hidden: Float[Tensor, "N D"], rows: Int[Tensor, " M"], tokens: Int[Tensor, " M"]
    ) -> Float[Tensor, " M"]:
        """As `Llama.log_probs`; no row of logits is ever whole."""
        self._check_ids(tokens)
        used, place = torch.unique(rows, return_inverse=True)
        hidden = hidden[used].contiguous()
        order = tokens.argsort(stable=True)
        wanted, place = tokens[order].to(torch.int32), place[order].to(torch.int32)
        strips = torch.arange(0, self.config.vocab_size + 32, 32, dtype=torch.int32)
        first = torch.searchsorted(wanted, strips).to(torch.int32)
        mass, picked = torch.empty(len(used)), torch.empty(len(rows))
        _check(
            self.engine.kernels.puna_masses(
                byref(self._model),
                hidden.data_ptr(),
                len(hidden),
                mass.data_ptr(),
                first.data_ptr(),
                place.data_ptr(),
                wanted.data_ptr(),
                picked.data_ptr(),
                torch.get_num_threads(),
            )
        )
        out = torch.empty(len(rows))
        out[order] = picked - mass[place]
        return out

    def _line(self, count: int, span: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give cos and sin of the positions before `count`, the numbers 0 to `count`, and what `_first_near` gives."""
        rope = self.config.rope
        line = self._lines.get(key := span if rope.kind in ("dynamic", "longrope") else 0)
        if line is None or len(line[0]) < count:
            if len(self._lines) == _LINES:
                self._lines.clear()
            size = max(2 * count, 1024)
            numbers = torch.arange(size + 1, dtype=torch.int32)
            line = (*tables(rope, numbers[:-1], span), numbers, self._first_near(numbers[:-1]))
            self._lines[key] = line
        return line

    def _first_near(self, positions: Int[Tensor, " T"]) -> Int[Tensor, " T"]:
        """Give the first position that each token sees: 0 but for a sliding window."""
        window = self.config.window
        return (positions - window + 1).clamp(min=0).int() if window else torch.zeros(len(positions)).int()

    def _check_ids(self, tokens: Tensor) -> None:
        """Look before C does."""
        if len(tokens):
            self.config.check_ids(int(tokens.min()), int(tokens.max()))

    def _layer(self, name: str) -> Layer:
        config = self.config
        width, half = config.width, config.head_dim // 2
        # A strip of queries or keys holds 16 dimensions and the 16 that turn with them.
        turned = torch.arange(config.heads * config.head_dim).view(-1, 2, half // 16, 16).transpose(1, 2).flatten()
        plain = torch.arange(config.kv_heads * config.head_dim)
        attention, ffn = f"{name}self_attn.", f"{name}mlp."
        keys = config.kv_heads * config.head_dim
        return Layer(
            self._matrix(
                {f"{attention}q_proj": turned, f"{attention}k_proj": turned[:keys], f"{attention}v_proj": plain},
                width,
            ),
            self._matrix({f"{attention}o_proj": torch.arange(width)}, config.heads * config.head_dim),
            self._matrix(
                {f"{ffn}{part}_proj": torch.arange(config.ffn_width) for part in ("gate", "up")}, width, mixed=True
            ),
            self._matrix({f"{ffn}down_proj": torch.arange(width)}, config.ffn_width),
            self._gain(f"{name}input_layernorm.weight"),
            self._gain(f"{name}post_attention_layernorm.weight"),
            *(
                self._gain(f"{attention}{part}_norm.weight", turned[: config.head_dim])
                if config.head_norms
                else None
                for part in "qk"
            ),
        )

    def _matrix(self, parts: dict[str, Tensor], width: int, *, mixed: bool = False) -> Matrix:
        """Pack named matrices, the rows of each in the given order, one after the other or tile by tile."""
        packed = [self._pack(f"{name}.weight", order) for name, order in parts.items()]
        tiles = [len(order) // 16 for order in parts.values()]
        picks = [(part, tile) for part, count in enumerate(tiles) for tile in range(count)]
        if mixed:
            picks.sort(key=lambda pick: pick[::-1])
        names = self._checkpoint.names()
        bias = None
        if f"{next(iter(parts))}.bias" in names:
            bias = torch.cat(
                [self._checkpoint.tensor(f"{name}.bias", torch.float32)[order] for name, order in parts.items()]
            )
        made, alive = self.engine.matrix(packed, width, torch.tensor(picks), bias)
        self._alive += alive
        return made

    def _pack(self, name: str, order: Tensor) -> tuple[str, Tensor]:
        kind = self._checkpoint.type_name(name)
        if kind in ("Q4_0", "Q4_1"):
            rows = self._checkpoint.rows(name)
            return "q4", self.engine.pack("q4", rows if kind == "Q4_1" else _with_least(rows), order)
        if kind == "Q8_0":
            return "q8", self.engine.pack("q8", self._checkpoint.rows(name), order)
        form = "bf16" if kind == "BF16" or self.engine.dtype == torch.bfloat16 else "f32"
        dense = self._checkpoint.tensor(name, torch.bfloat16 if form == "bf16" else torch.float32)
        return form, self.engine.pack(form, dense.view(torch.uint8), order)

    def _gain(self, name: str, order: Tensor | None = None) -> int:
        gain = self._checkpoint.tensor(name, torch.float32)
        gain = gain if order is None else gain[order]
        self._alive.append(gain)
        return gain.data_ptr()


def _with_least(rows: Tensor) -> Tensor:
    """Q4_0's blocks as Q4_1's: the least value, -8 scales, is written out."""
    blocks = rows.view(len(rows), -1, 18)
    least = (blocks[..., :2].contiguous().view(torch.float16) * -8).view(torch.uint8)
    return torch.cat((blocks[..., :2], least, blocks[..., 2:]), -1).view(len(rows), -1)


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("no memory for a pass over the model")

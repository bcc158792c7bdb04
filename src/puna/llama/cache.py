"""The keys and values of what has been read, and notes on it. The cache owns the offset: nobody else counts slots."""

from copy import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from puna.llama.config import LlamaConfig
from puna.shapes import Float, Int


class Cache:
    """Keys and values of `length` tokens, [L, K, capacity, E] each, and `notes` numbers of each token; it grows.

    The tokens are a chain from position 0 on: what branches stands behind it for one forward, and is forgotten.
    `span`: how many positions the whole job may use. Frequencies that depend on the sequence's length (dynamic
    NTK, LongRoPE) are fixed by it for the cache's life, so reading in chunks equals reading at once.
    """

    def __init__(
        self,
        config: LlamaConfig,
        capacity: int,
        *,
        span: int | None = None,
        notes: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.length = 0
        self._shared = 0  # so many slots stand in another cache's memory
        self.span = span or capacity
        shape = (config.layers, config.kv_heads, whole(max(capacity, 1)), config.head_dim)
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)
        self._notes = torch.zeros((shape[2], notes), device=device)

    @property
    def nbytes(self) -> int:
        """Memory of all slots."""
        return self._keys.nbytes + self._values.nbytes + self._notes.nbytes

    @property
    def capacity(self) -> int:
        """Slots there is room for before the next growth."""
        return self._keys.shape[2]

    def reserve(self, new: int) -> None:
        """Make room for `new` more tokens, at least doubling when it has to grow."""
        need = self.length + new
        if need <= self.capacity:
            return
        size, used = whole(max(need, 2 * self.capacity)), whole(self.length)
        grown = [old.new_zeros((*old.shape[:2], size, old.shape[3])) for old in self.stores]
        for new_store, old in zip(grown, self.stores, strict=True):
            new_store[:, :, :used] = old[:, :, :used]
        notes = F.pad(self._notes[:used], (0, 0, 0, size - used))
        # All or, where this was interrupted, none: kernels trust one capacity.
        self._keys, self._values, self._notes = *grown, notes
        self._shared = 0

    def write(
        self, layer: int, keys: Float[Tensor, "T K E"], values: Float[Tensor, "T K E"]
    ) -> tuple[Float[Tensor, "K S E"], Float[Tensor, "K S E"]]:
        """Put one layer's new keys and values behind the old and give views of all, S = length + T."""
        end = self.length + keys.shape[0]
        self._keys[layer, :, self.length : end] = keys.transpose(0, 1)
        self._values[layer, :, self.length : end] = values.transpose(0, 1)
        return self._keys[layer, :, :end], self._values[layer, :, :end]

    def slots(self, new: int) -> Int[Tensor, " T"]:
        """Give the places of the next `new` tokens."""
        return torch.arange(self.length, self.length + new)

    def places(self, positions: Int[Tensor, " T"]) -> Int[Tensor, " S"]:
        """Give the positions of all keys that `write` gives, the new ones' included."""
        past = torch.arange(self.length, dtype=positions.dtype, device=positions.device)
        return torch.cat((past, positions))

    @property
    def stores(self) -> tuple[Float[Tensor, "L K S E"], Float[Tensor, "L K S E"]]:
        """All keys' and values' memory, for `puna.native`, which orders what is inside a block of 32 slots itself."""
        return self._keys, self._values

    def note(self, notes: Float[Tensor, "T N"]) -> None:
        """Keep notes of the tokens that were read last."""
        self._notes[self.length - len(notes) : self.length] = notes

    def notes(self, start: int, end: int) -> Float[Tensor, "n N"]:
        """Give the notes of tokens start to end."""
        return self._notes[start:end]

    def blocks(
        self, length: int
    ) -> tuple[Float[Tensor, "L K S E"], Float[Tensor, "L K S E"], Float[Tensor, "S N"]]:
        """Give views of the whole blocks in which the first `length` tokens stand, for `fill`."""
        size = whole(length)
        return self._keys[:, :, :size], self._values[:, :, :size], self._notes[:size]

    def fill(
        self,
        keys: Float[Tensor, "L K S E"],
        values: Float[Tensor, "L K S E"],
        notes: Float[Tensor, "S N"],
        length: int,
    ) -> None:
        """Take the first `length` tokens from another cache's blocks; what was here is forgotten."""
        self.length = 0
        self.reserve(length)
        for store, given in zip(self.stores, (keys, values), strict=True):
            store[:, :, : whole(length)] = given
        self._notes[: whole(length)] = notes
        self.length = length

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the keys and values of `length` slots from `source` on to `target` on: multiples of 32, no overlap."""
        size = whole(length)
        for store in self.stores:
            store[:, :, target : target + size] = store[:, :, source : source + size]

    def share(self) -> "Cache":
        """Give a cache that goes on behind this one's tokens, in its memory until it needs more: one at a time."""
        other = copy(self)
        other._shared = self.length
        return other

    def release(self) -> None:
        """Forget everything and give back the memory that is not shared."""
        self.length = self._shared = 0
        self._keys, self._values = (store.new_empty((*store.shape[:2], 0, store.shape[3])) for store in self.stores)
        self._notes = self._notes[:0]

    def advance(self, new: int) -> None:
        """Count `new` tokens as read: called once after all layers, so an interrupted forward leaves no trace."""
        self.length += new

    def truncate(self, length: int) -> None:
        """Forget all slots from `length` on."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate a cache of {self.length} tokens to {length}")
        if length < self._shared:  # what comes next would be written over what is another's
            self._keys, self._values, self._notes = (each.clone() for each in (*self.stores, self._notes))
            self._shared = 0
        self.length = length


def whole(slots: int) -> int:
    """Round up: slots come in blocks of 32."""
    return -(-slots // 32) * 32

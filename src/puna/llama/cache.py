"""The keys and values of what has been read. The cache owns the offset: nobody else counts slots."""

import torch
from torch import Tensor

from puna.llama.config import LlamaConfig
from puna.shapes import Float, Int


class Cache:
    """Keys and values of `length` tokens, [L, K, capacity, E] each, grown when full.

    `span`: how many positions the whole job may use. Frequencies that depend on the sequence's length (dynamic
    NTK, LongRoPE) are fixed by it for the cache's life, so reading in chunks equals reading at once.
    """

    def __init__(
        self,
        config: LlamaConfig,
        capacity: int,
        *,
        span: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.length = 0
        self.span = span or capacity
        shape = (config.layers, config.kv_heads, _whole(max(capacity, 1)), config.head_dim)
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)

    @property
    def capacity(self) -> int:
        """Slots there is room for before the next growth."""
        return self._keys.shape[2]

    def reserve(self, new: int) -> None:
        """Make room for `new` more tokens, at least doubling when it has to grow."""
        need = self.length + new
        if need <= self.capacity:
            return
        size, used = _whole(max(need, 2 * self.capacity)), _whole(self.length)
        for name in ("_keys", "_values"):
            old: Tensor = getattr(self, name)
            grown = old.new_zeros((*old.shape[:2], size, old.shape[3]))
            grown[:, :, :used] = old[:, :, :used]
            setattr(self, name, grown)

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

    @property
    def stores(self) -> tuple[Float[Tensor, "L K S E"], Float[Tensor, "L K S E"]]:
        """All keys' and values' memory, for `puna.native`, which orders what is inside a block of 32 slots itself."""
        return self._keys, self._values

    def advance(self, new: int) -> None:
        """Count `new` tokens as read: called once after all layers, so an interrupted forward leaves no trace."""
        self.length += new

    def truncate(self, length: int) -> None:
        """Forget all slots from `length` on."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate a cache of {self.length} tokens to {length}")
        self.length = length


def _whole(slots: int) -> int:
    """Slots come in blocks of 32."""
    return -(-slots // 32) * 32

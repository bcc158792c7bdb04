"""Shape annotations: jaxtyping's where it was loaded first (the tests do), inert otherwise.

One legend for the package: T packed tokens, S key tokens, D width, H query heads, K key-value heads,
G = H/K queries a key-value head, E head dim, V vocabulary, L layers, F feed-forward width, N rows.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Int
else:

    class _Unchecked:
        def __class_getitem__(cls, item: Any) -> Any:
            return item[0]

    Bool = Float = Int = _Unchecked

__all__ = ["Bool", "Float", "Int"]

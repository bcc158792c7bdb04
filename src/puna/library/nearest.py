"""The vectors with the greatest inner product, by looking at all of them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from puna.errors import InputError

if TYPE_CHECKING:
    from puna.library.types import Vector, Vectors

_ROWS = 4096  # vectors looked at at once
Rows = npt.NDArray[np.float32]


def rows_of(vectors: "Vectors", count: int) -> Rows:
    """Give vectors as [N, D], float32. Raises InputError unless they are one a passage, finite and equally long."""
    try:
        found = np.ascontiguousarray(vectors, np.float32)
    except (ValueError, TypeError):  # not all equally long
        raise InputError("E-LIBRARY-VECTORS") from None
    if not count:
        found = found.reshape(0, 0)
    if found.ndim != 2 or len(found) != count or (count and not found.shape[1]) or not np.isfinite(found).all():
        raise InputError("E-LIBRARY-VECTORS")
    return found


def row_of(vector: "Vector") -> Rows:
    """Give a question's vector as [D], float32. Raises InputError for what is none."""
    (row,) = rows_of(cast("Vectors", [vector]), 1)
    return cast("Rows", row)


def nearest(stored: Iterable[tuple[Sequence[int], bytes]], vector: "Vector", limit: int) -> list[tuple[int, float]]:
    """Give (id, inner product) of the best, best first, equals by id.

    stored: ids and their vectors, float32 [N, D] as bytes; any cut into pieces gives the same products to the last bit.
    """
    query = row_of(vector)
    ids, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    for piece, rows in _blocks(stored, len(query)):
        ids, scores = np.concatenate([ids, piece]), np.concatenate([scores, np.einsum("nd,d->n", rows, query)])
        best = np.lexsort((ids, -scores))[:limit]
        ids, scores = ids[best], scores[best]
    return list(zip(ids.tolist(), scores.tolist(), strict=True))


def _blocks(
    stored: Iterable[tuple[Sequence[int], bytes]], width: int
) -> Iterable[tuple[npt.NDArray[np.int64], Rows]]:
    """Join what documents hold to blocks worth a call. Raises ValueError where bytes and ids do not agree."""
    ids: list[int] = []
    raw: list[bytes] = []
    for some, data in stored:
        if len(data) != len(some) * width * 4:
            raise ValueError("vectors of another length")
        ids.extend(some)
        raw.append(data)
        if len(ids) >= _ROWS:
            yield np.array(ids, np.int64), np.frombuffer(b"".join(raw), np.float32).reshape(-1, width)
            ids, raw = [], []
    if ids:
        yield np.array(ids, np.int64), np.frombuffer(b"".join(raw), np.float32).reshape(-1, width)

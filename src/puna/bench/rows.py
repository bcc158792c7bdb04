"""Figures of several rounds in, rows out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from puna.bench.jobs import unit

PUNA = "puna"


@dataclass(frozen=True, slots=True)
class Row:
    """One measure. `ratio`: how many times better than the best peer; `limit_share`: of what the machine could do."""

    measure: str
    unit: str
    puna: float | None
    peers: dict[str, float]
    best_peer: str | None
    ratio: float | None
    limit_share: float | None


def settled(values: Sequence[float]) -> float:
    """Give the median; the first round, in which much is done for the first time, counts only alone."""
    return median(values[1:] or values)


def row(measure: str, figures: Mapping[str, float], share: float | None) -> Row:
    """Compare Puna's figure with the peers'."""
    peers = {name: value for name, value in figures.items() if name != PUNA}
    puna, more = figures.get(PUNA), unit(measure).endswith("/s")
    best = (max if more else min)(peers, key=lambda name: peers[name]) if peers else None
    ratio = None
    if puna and best and peers[best]:
        ratio = puna / peers[best] if more else peers[best] / puna
    return Row(measure, unit(measure), puna, peers, best, ratio, share)

"""Overlapping near-duplicates: "May 1921", "3 May 1921" and "on 3 May 1921" are wordings of one answer."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

Place = tuple[int, int, int]  # source, start, end


def grouped(ranked: Sequence[str], places: Mapping[str, Sequence[Place]], top: int) -> dict[str, list[str]]:
    """Give the `top` leading answers, in order, each with the later ones that are other wordings of it.

    An answer joins the first leading one that it shares a place with: they overlap there by half of the shorter or more.
    """
    leaders: dict[str, list[str]] = {}
    places = {text: sorted(places.get(text, ())) for text in ranked}
    for text in ranked:
        same = (leader for leader in leaders if _overlap(places[text], places[leader]))
        leader = next(same, None)
        if leader is not None:
            leaders[leader].append(text)
        elif len(leaders) < top:
            leaders[text] = []
    return leaders


def _overlap(one: Sequence[Place], other: Sequence[Place]) -> bool:
    longest = max((last - first for _, first, last in other), default=0)
    for source, start, end in one:
        near = bisect_left(other, (source, start - longest)), bisect_left(other, (source, end))
        for _, first, last in other[slice(*near)]:
            if 2 * (min(end, last) - max(start, first)) >= min(end - start, last - first):
                return True
    return False

"""Wordings of one answer are found by their places."""

import random

import pytest

from puna.answer.groups import Place, grouped

TEXT = "It ended on 3 May 1921. In May it rained."


def places(*texts: str) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for text in texts:
        start = TEXT.find(text)
        while start >= 0:
            found.setdefault(text, []).append((0, start, start + len(text)))
            start = TEXT.find(text, start + 1)
    return found


@pytest.mark.parametrize(
    ("ranked", "top", "want"),
    [
        (["3 May 1921", "1921", "rained", "May"], 5, {"3 May 1921": ["1921", "May"], "rained": []}),
        (["May", "3 May 1921", "1921"], 5, {"May": ["3 May 1921"], "1921": []}),
        (["1921", "rained", "3 May 1921", "It"], 2, {"1921": ["3 May 1921"], "rained": []}),
        (["May 1921", "on 3 May"], 5, {"May 1921": [], "on 3 May": []}),  # 3 of 8 characters are no half
        (["on 3 May", "3 May 1921"], 5, {"on 3 May": ["3 May 1921"]}),  # 5 of 8 are
        ([], 3, {}),
    ],
)
def test_cases(ranked: list[str], top: int, want: dict[str, list[str]]) -> None:
    found = grouped(ranked, places(*ranked), top)
    assert found == want
    assert list(found) == list(want)


def test_half_of_the_shorter_is_enough_and_less_is_not() -> None:
    assert grouped(["a", "b"], {"a": [(0, 0, 10)], "b": [(0, 8, 12)]}, 9) == {"a": ["b"]}
    assert grouped(["a", "b"], {"a": [(0, 0, 10)], "b": [(0, 8, 13)]}, 9) == {"a": [], "b": []}


def test_other_sources_and_no_places_are_apart() -> None:
    found = grouped(["a", "b", "c", "d"], {"a": [(0, 0, 5)], "b": [(1, 0, 5)], "c": []}, 9)
    assert found == {"a": [], "b": [], "c": [], "d": []}


def shared(one: list[Place], other: list[Place]) -> bool:
    """Character by character."""
    for source, start, end in one:
        for place, first, last in other:
            common = len(set(range(start, end)) & set(range(first, last))) if source == place else 0
            if common and common >= min(end - start, last - first) / 2:
                return True
    return False


@pytest.mark.parametrize("seed", range(40))
def test_equals_comparing_every_pair_of_places(seed: int) -> None:
    rng = random.Random(seed)
    found: dict[str, list[Place]] = {}
    for name in range(rng.randint(1, 30)):
        size = rng.randint(1, 9)
        starts = [rng.randrange(60 if seed % 2 else 400) for _ in range(rng.randint(0, 4))]
        found[str(name)] = [(rng.randrange(2), start, start + rng.choice((size, size + 1))) for start in starts]
    ranked, top = rng.sample(list(found), len(found)), rng.randint(1, 6)
    want: dict[str, list[str]] = {}
    for text in ranked:
        leader = next((leader for leader in want if shared(found[text], found[leader])), None)
        if leader is not None:
            want[leader].append(text)
        elif len(want) < top:
            want[text] = []
    assert list(grouped(ranked, found, top).items()) == list(want.items())

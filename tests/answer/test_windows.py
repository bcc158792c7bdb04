"""Windows cover the text and cut no answer."""

import itertools
import random

import pytest

from puna.answer.windows import windows


def offsets_of(text: str, rng: random.Random) -> list[tuple[int, int]]:
    """Tokens of one to four characters; now and then several tokens within one character, as in byte-level BPE."""
    found, place = [], 0
    while place < len(text):
        end = min(len(text), place + rng.randint(1, 4))
        found += [(place, end)] * (rng.choice((1, 1, 1, 3)) if end == place + 1 else 1)
        place = end
    return found


@pytest.mark.parametrize("seed", range(30))
def test_windows_cover_and_overlap(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choice("ab c。. \n") for _ in range(rng.randint(1, 800)))
    offsets, size = offsets_of(text, rng), rng.randint(12, 90)
    overlap = size // 4
    found = windows(text, [first for first, _ in offsets], size, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    for (a, b), (c, d) in itertools.pairwise(found):
        assert a < c <= b < d
    for start, end in found:
        assert sum(1 for a, b in offsets if a >= start and b <= end) <= size
    for token in range(len(offsets) - overlap // 2):
        first, last = offsets[token][0], offsets[min(token + overlap // 2, len(offsets) - 1)][1]
        assert any(a <= first and last <= b for a, b in found), "an answer shorter than the overlap was cut"


def test_short_text_is_one_window() -> None:
    assert windows("abc", [0], 5, 1) == [(0, 3)]

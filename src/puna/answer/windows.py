"""A long text in overlapping windows, so that nothing is cut: every character stands in at least one."""

import math
from collections.abc import Sequence

from puna.answer.types import Excerpt, Source
from puna.tokens.sentences import sentences
from puna.tokens.tokenizer import Tokenizer

WINDOW = 1024  # tokens of text read at once, less where the model's context is shorter
OVERLAP = 256  # tokens that neighbouring windows share
_LEAST = 1e-300  # of a prior, which must stay above 0
_ROOM = 128  # tokens kept free for an answer, less in a very short context


def room_of(context: int) -> int:
    """Give the tokens that are kept free for an answer."""
    return min(_ROOM, context // 4)


def window_size(context: int, overhead: int) -> int:
    """Give the tokens of text in a window, beside a prompt of `overhead` tokens without it."""
    return min(WINDOW, context - overhead - room_of(context))


def windows_of(text: str, tokenizer: Tokenizer, size: int) -> list[tuple[int, int]]:
    """Give the windows [start, end) of a text in which it is read, each of at most `size` tokens."""
    return windows(text, tokenizer.token_starts(text), size, min(OVERLAP, size // 4))


def shares_of(
    sources: Sequence[Source], excerpts: Sequence[Excerpt], tokenizer: Tokenizer, size: int
) -> list[dict[tuple[int, int, int], float]]:
    """Give for each excerpt its windows (source, start, end) with their shares in its prior: equal ones.

    The highest prior counts as 1, so that no sum of them is too large to be a number.
    """
    found, most = [], max((each.prior for each in excerpts), default=1.0)
    for each in excerpts:
        text = sources[each.source].text[each.start : each.end]
        cut = windows_of(text, tokenizer, size)
        share = max(each.prior / most / len(cut), _LEAST)
        found.append({(each.source, each.start + start, each.start + end): share for start, end in cut})
    return found


def summed(shares: Sequence[dict[tuple[int, int, int], float]]) -> dict[tuple[int, int, int], float]:
    """Give the windows of all excerpts with their shares in all priors: one that several have is read once."""
    found: dict[tuple[int, int, int], list[float]] = {}
    for window, share in (item for each in shares for item in each.items()):
        found.setdefault(window, []).append(share)
    return {window: math.fsum(each) for window, each in found.items()}


def windows(text: str, tokens: Sequence[int], size: int, overlap: int) -> list[tuple[int, int]]:
    """Give windows [start, end) in code points that cover the text, each of at most `size` tokens.

    `tokens`: where each token of the text begins. Neighbours share about `overlap` tokens, so that an
    answer shorter than that stands whole in one of them; a window starts with a sentence where one starts near.
    """
    if len(tokens) <= size:
        return [(0, len(text))]
    starts = {first for first, _ in sentences(text)}
    found: list[tuple[int, int]] = []
    token = 0
    while True:
        begin = tokens[token] if found else 0
        last = token + size
        if last >= len(tokens):
            return [*found, (begin, len(text))]
        # A token may be a part of a character: a window ends before the character that it cannot hold whole.
        end = tokens[last]
        found.append((begin, max(end, begin + 1)))
        follow = last - overlap
        near = (t for t in range(follow, follow - overlap, -1) if t > token and tokens[t] in starts)
        follow = next(near, follow)
        while follow > token + 1 and tokens[follow - 1] == tokens[follow]:
            follow -= 1  # to the first token of a character
        token = follow

"""A long text in overlapping windows, so that nothing is cut: every character stands in at least one."""

from collections.abc import Sequence

from puna.answer.sentences import sentences


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

"""A long text in overlapping windows, so that nothing is cut: every character stands in at least one."""

from collections.abc import Sequence

from puna.tokens.sentences import sentences
from puna.tokens.tokenizer import Tokenizer

WINDOW = 1024  # tokens of text read at once, less where the model's context is shorter
OVERLAP = 256  # tokens that neighbouring windows share
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

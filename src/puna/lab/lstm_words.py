"""Words for the LSTM: Chinese characters, words of other scripts, punctuation marks, each with its place."""

import re
from collections import Counter
from collections.abc import Iterable

PADDING, UNKNOWN, END = 0, 1, 2  # END stands behind a question
_SPECIAL = 3
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+|[^\w\s]|_")


def words(text: str) -> list[tuple[str, int, int]]:
    """Give each word in lower case with its start and end in code points."""
    return [(found[0].lower(), *found.span()) for found in _WORD.finditer(text)]


class Vocabulary:
    """The words that texts hold at least `least` times, the `most` frequent of them; all others are unknown."""

    def __init__(self, texts: Iterable[str], *, least: int = 2, most: int = 20000) -> None:
        counts = Counter(word for text in texts for word, _, _ in words(text))
        frequent = sorted((-count, word) for word, count in counts.items() if count >= least)[:most]
        self._ids = {word: number for number, (_, word) in enumerate(frequent, _SPECIAL)}

    def __len__(self) -> int:
        """Count the ids, with those of padding, unknown words and a question's end."""
        return len(self._ids) + _SPECIAL

    def question(self, text: str) -> list[int]:
        """Give a question's ids, END behind them."""
        return [*self.text(text), END]

    def text(self, text: str) -> list[int]:
        """Give a text's ids, one a word."""
        return [self._ids.get(word, UNKNOWN) for word, _, _ in words(text)]

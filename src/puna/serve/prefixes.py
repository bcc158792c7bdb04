"""Texts that were read and may be the beginning of others: found by their tokens, compared token by token."""

from collections.abc import Iterator

from puna.rank.trie import common_prefix
from puna.serve.text import Text

LEAST = 32  # tokens; shorter beginnings are read faster than looked for


class Prefixes:
    """Texts by tenant and first tokens: in work, or done and left where they are until the place is wanted."""

    def __init__(self) -> None:
        self._by_head: dict[tuple[str, tuple[int, ...]], list[Text]] = {}
        self._idle: dict[int, Text] = {}  # least recently used first

    def add(self, text: Text) -> None:
        """Make a text findable."""
        if len(text.wanted.prompt) > LEAST:
            self._by_head.setdefault(self._head(text), []).append(text)

    def keep(self, text: Text) -> bool:
        """Keep a text that is done; False for one that nobody would look for."""
        if text.done <= LEAST or text not in self._by_head.get(self._head(text), ()):
            self.remove(text)
            return False
        self._idle[id(text)] = text
        return True

    def remove(self, text: Text) -> None:
        """Forget a text."""
        texts = self._by_head.get(head := self._head(text), [])
        if text in texts:
            texts.remove(text)
            if not texts:
                del self._by_head[head]
        self._idle.pop(id(text), None)

    def oldest(self, but: Text | None = None) -> Text | None:
        """Give the text that was kept longest without use, other than one."""
        return next((text for text in self._idle.values() if text is not but), None)

    def best(self, text: Text, grain: int) -> tuple[Text, int] | None:
        """Give the text that shares most with the beginning of this one, and how many tokens are read once for both.

        They are at least LEAST and a multiple of `grain`, and leave a token to read. Where the prompt is scored they must
        have been scored as deeply; a score is of the token after the row that is read, so one token less is shared.
        """
        found: tuple[Text, int] | None = None
        if text.wanted.pool:  # all its states are needed
            return None
        for other in self._candidates(text):
            size = min(common_prefix(other.tokens, text.tokens), len(text.tokens) - 1)
            if text.scores_prompt:
                size = min(common_prefix(other.wanted.prompt, text.tokens), len(text.tokens)) - 1
            size = size // grain * grain
            if size >= LEAST and (found is None or size > found[1]):
                found = other, size
        if found and id(found[0]) in self._idle:
            self._idle[id(found[0])] = self._idle.pop(id(found[0]))
        return found

    def _candidates(self, text: Text) -> Iterator[Text]:
        for other in self._by_head.get(self._head(text), ()):
            if other is text or other.place is None:
                continue
            deep = not text.scores_prompt or (
                other.scores_prompt and (other.wanted.scores or 0) >= (text.wanted.scores or 0)
            )
            if deep and (not other.over or id(other) in self._idle):
                yield other

    def _head(self, text: Text) -> tuple[str, tuple[int, ...]]:
        return text.tenant, tuple(text.tokens[:LEAST])

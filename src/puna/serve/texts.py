"""All texts in work: a step is one forward over a token of each that is written and a part of some that are read."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from puna.serve.ground import HEAD, READ, Ground, Part
from puna.serve.prefixes import Prefixes
from puna.serve.text import Text

ROWS = 256  # of a step that are read, at most; those that are written come in addition


@dataclass(slots=True)
class Counts:
    """Work done: forwards, tokens read in them, tokens that had been read for another text, tokens written."""

    forwards: int = 0
    read: int = 0
    shared: int = 0
    written: int = 0


class Texts:
    """Texts on a ground. `fail` is told of a text that cannot go on, and why; the others go on."""

    def __init__(self, ground: Ground, most: int, fail: Callable[[Text, Exception], None]) -> None:
        self.counts = Counts()
        self._ground, self._most, self._fail = ground, most, fail
        self._texts: list[Text] = []
        self._served: dict[int, int] = {}  # tokens read for each text that is being read
        self._prefixes = Prefixes()

    def __len__(self) -> int:
        return len(self._texts)

    def admit(self, text: Text) -> bool:
        """Begin with a text; False where there is no room now. What was kept of others goes, the oldest first."""
        if len(self._texts) >= self._most:
            return False
        source = self._prefixes.best(text, self._ground.grain)
        kept = source[0] if source else None
        while (place := self._ground.take(text.room)) is None:
            oldest = self._prefixes.oldest(kept) or self._prefixes.oldest()
            if oldest is None:
                return False
            if oldest is kept:
                source = kept = None
            self._drop(oldest)
        text.place = place
        text.follows = source
        self._texts.append(text)
        # A new text does not wait for those that have been read for long, nor do they wait for it for ever.
        self._served[id(text)] = min(self._served.values(), default=0)
        self._prefixes.add(text)
        return True

    def drop(self, text: Text) -> None:
        """Stop a text that is wanted no more; what was read of it is kept."""
        if text in self._texts:
            text.over = True
            self._leave(text)

    def step(self) -> bool:
        """Do one forward; False if there was nothing to do."""
        chosen: list[Text] = []
        parts: list[Part] = []
        for text in self._texts:
            if not text.reading and text.place:
                chosen.append(text)
                parts.append(Part(text.place, text.done, text.tokens[text.done :]))
        room = ROWS
        for text in sorted((t for t in self._texts if t.reading), key=lambda t: self._served[id(t)]):
            if not self._ready(text) or text.place is None:
                continue
            end = min((text.done // READ + 1) * READ, len(text.wanted.prompt))
            if end - text.done > room:
                break
            room -= end - text.done
            chosen.append(text)
            parts.append(Part(text.place, text.done, text.tokens[text.done : end]))
            self._served[id(text)] += end - text.done
        if not parts:
            return False
        for text, hidden in zip(chosen, self._forward(chosen, parts), strict=True):
            self._take(text, hidden)
        self._heads(chosen)
        for text in chosen:
            if not text.over:
                text.finish()
            if text.over and text in self._texts:
                self._leave(text)
        return True

    def _ready(self, text: Text) -> bool:
        """Tell whether a text can be read on: not while another one reads what it begins with."""
        if text.follows is None:
            return True
        source, size = text.follows
        if source.place is None or text.place is None:  # gone: it reads for itself
            text.follows = None
            return True
        known = source.known(scored=text.scores_prompt)
        if known < size and not source.over:
            return False
        size = min(size, known // self._ground.grain * self._ground.grain)  # less where it was dropped before
        text.follows = None
        if size > text.done:
            self._ground.copy(source.place, text.place, size)
            text.done = size
            if text.scores_prompt:
                top = text.wanted.scores or 0
                own = source.prompt_scores[: size + 1]
                text.prompt_scores = [each and each._replace(top=each.top[: max(top, 1)]) for each in own]
            self.counts.shared += size
        return True

    def _forward(self, chosen: list[Text], parts: list[Part]) -> list[Tensor | None]:
        self.counts.forwards += 1
        try:
            return list(self._ground.read(parts))
        except Exception:  # one of them, or all: each is tried alone
            found: list[Tensor | None] = []
            for text, part in zip(chosen, parts, strict=True):
                try:
                    found += self._ground.read([part])
                except Exception as error:
                    found.append(None)
                    self._lose(text, error)
            return found

    def _take(self, text: Text, hidden: Tensor | None) -> None:
        if hidden is None:
            return
        self.counts.read += len(hidden)
        try:
            text.waiting_rows = text.rows(hidden)
        except Exception as error:
            self._lose(text, error)

    def _heads(self, chosen: list[Text]) -> None:
        """Multiply the head for the rows that need it, few at a time, and hand each text its own."""
        blocks = [
            (text, block)
            for text in chosen
            if text.waiting_rows is not None and len(text.waiting_rows)
            for block in torch.split(text.waiting_rows, HEAD)
        ]
        for text in chosen:
            text.waiting_rows = None
        while blocks:
            some: list[tuple[Text, Tensor]] = []
            count = 0
            while blocks and (not some or count + len(blocks[0][1]) <= HEAD):
                count += len(blocks[0][1])
                some.append(blocks.pop(0))
            some = [(text, block) for text, block in some if not text.over]
            if some:
                for (text, _), logits in zip(some, self._ground.logits([block for _, block in some]), strict=True):
                    self._hand(text, logits)

    def _hand(self, text: Text, logits: Tensor) -> None:
        try:
            for row in torch.unbind(logits):
                if text.over:
                    return
                before = len(text.tokens)
                text.take(row)
                self.counts.written += len(text.tokens) - before
        except Exception as error:
            self._lose(text, error)

    def _lose(self, text: Text, error: Exception) -> None:
        text.over = True
        if text in self._texts:
            self._texts.remove(text)
            self._served.pop(id(text), None)
        self._drop(text)
        self._fail(text, error)

    def _leave(self, text: Text) -> None:
        self._texts.remove(text)
        self._served.pop(id(text), None)
        if not self._prefixes.keep(text):
            self._drop(text)

    def _drop(self, text: Text) -> None:
        self._prefixes.remove(text)
        if text.place is not None:
            self._ground.give_back(text.place)
            text.place = None

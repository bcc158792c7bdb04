"""Text that is put together from pieces of a file, with where each came from."""

from collections.abc import Iterable
from itertools import islice

from puna.library.limits import Limits
from puna.library.readers.refused import Refused
from puna.library.types import Block, Box, Document, Kind, Mark


def bounded(blocks: Iterable[Block], limits: Limits) -> tuple[Block, ...]:
    """Give blocks, if there are not too many; raise Refused else, before all of them take memory."""
    found = tuple(islice(blocks, limits.pieces + 1))
    if len(found) > limits.pieces:
        raise Refused("E-DOCUMENT-PIECES", limit=limits.pieces)
    return found


class Extract:
    """Takes pieces of text in order, and which of them belong together.

    `marks`: whether to note where pieces stand in the file; `part`: in which file of an archive.
    """

    def __init__(self, limits: Limits, *, marks: bool = False) -> None:
        self.limits = limits
        self.part = ""
        self.title = ""
        self.length = 0
        self.blocks: list[Block] = []
        self.boxes: list[Box] = []
        self.pages: list[int] = []
        self._pieces: list[str] = []
        self._marks: list[Mark] = []
        self._with_marks = marks
        self._next: tuple[str, int | None] = ("", -1)  # where the next character stands if it follows the last one
        self._start: int | None = None  # of the open block

    def add(self, text: str, original: int | None = None, width: int | None = None) -> None:
        """Add a piece. `original`: where it stands in the file; None for what does not.

        width: of what stands there, where that is not the piece itself, such as a reference to a character.
        """
        if not text:
            return
        if self._with_marks:
            if width is None:
                self._mark(self.length, original)
                self._next = (self.part, None if original is None else original + len(text))
            else:
                for n in range(len(text)):
                    self._next = ("", -1)
                    self._mark(self.length + n, original, width)
                self._next = ("", -1)
        self._pieces.append(text)
        self.length += len(text)
        if self.length > self.limits.characters:
            raise Refused("E-DOCUMENT-LONG", limit=self.limits.characters)

    def open(self) -> None:
        """Begin a block here, unless one is open."""
        if self._start is None:
            self._start = self.length

    def close(self, kind: Kind = "text", level: int = 0) -> None:
        """End the open block here, if there is one."""
        start, self._start = self._start, None
        if start is not None and start < self.length:
            self.blocks.append(Block(start, self.length, kind, level))
            if len(self.blocks) > self.limits.pieces:
                raise Refused("E-DOCUMENT-PIECES", limit=self.limits.pieces)

    def document(self) -> Document:
        """Give what was taken."""
        return Document(
            "".join(self._pieces),
            self.title,
            tuple(self.blocks),
            tuple(self.pages),
            tuple(self.boxes),
            tuple(self._marks),
        )

    def _mark(self, start: int, original: int | None, width: int = 1) -> None:
        if (self.part, original) == self._next or (original is None is self._next[1]):
            return
        self._marks.append(Mark(start, original, self.part if original is not None else "", width))
        if len(self._marks) > self.limits.pieces:
            raise Refused("E-DOCUMENT-PIECES", limit=self.limits.pieces)

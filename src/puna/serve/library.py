"""A library as the service and its tools know it: documents go in by name and are told by an id.

What is uploaded is kept under `upload:` and its name, which is no path: `puna index` never takes it out, and nothing is
opened by it. Where a document is shown, that beginning is left out; indexed files are shown by their paths.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from puna.errors import LibraryError, ServeError
from puna.library.ask import Found, search
from puna.library.cite import page_of
from puna.library.indexing import keep
from puna.library.library import Library
from puna.library.parse import Parser
from puna.library.store import SCHEMES, open_store
from puna.library.types import Document, Entry, Store
from puna.tokens.sentences import line_of

UPLOAD = "upload:"
WINDOW = 1_000_000  # characters of a text that are given at once
_LONGEST_ID = 18  # digits; more are no id of any database


class Documents:
    """The documents of one library. Threads may use it together, and other processes change the library meanwhile.

    `folder`: where it lives; None on a server.
    """

    def __init__(self, where: str | Path, *, create: bool) -> None:
        """Open a library; `create` makes it where there is none. Raises LibraryError."""
        self.where = where
        self.folder = None if isinstance(where, str) and where.startswith(SCHEMES) else Path(where)
        # Who writes holds a connection up; whoever reads has another.
        self._writes: Store | None = open_store(where, create=True) if create else None
        self._reads = open_store(where, create=False)
        self._library = Library(where, self._reads)
        self._loading = threading.Lock()
        self._parsers: list[Parser] = []
        self._idle: list[Parser] = []
        self._turn = threading.Lock()
        self._embedding()  # what it needs and is not installed is said at the start

    def put(self, name: str, content: bytes, wanted: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        """Add a document, or replace the one of that name, and say what `list` says of it.

        What is wanted no more is not kept. Raises DocumentError for what cannot be read, which changes nothing.
        """
        path, digest = UPLOAD + name, sha256(content).hexdigest()
        with _told():
            store = self._writes
            if store is None:
                raise ServeError("E-SERVE-LIBRARY")
            held = store.entry(path)
            if held is None or held.digest != digest:
                with self._parser() as parser:
                    document = parser.parse(Path(name), content)
                if not wanted():
                    raise ServeError("E-SERVE-STOPPED")
                keep(store, path, digest, len(content), document, self._embedding())
                held = store.entry(path)
            if held is None:  # somebody has taken it out again
                raise ServeError("E-SERVE-DOCUMENT")
            return _about(held)

    def list(self, offset: int = 0, limit: int = 1000, name: str | None = None) -> dict[str, Any]:
        """Give documents by their paths, `limit` from number `offset` on, and if there are more; or one by its name."""
        with _told():
            if name is not None:
                named = self.named(name)
                return {"data": [_about(named)] if named else [], "has_more": False}
            entries = list(islice(self._reads.entries(), offset, offset + limit + 1))
            return {"data": [_about(each) for each in entries[:limit]], "has_more": len(entries) > limit}

    def read(self, document: str, start: int = 0, end: int | None = None) -> dict[str, Any]:
        """Give what `list` says of a document, and its text from code point `start` to `end`, at most WINDOW of it.

        utf16, line: of the place where that begins. page: on which that is; None where it has no pages. pages: where
        each page of the whole text begins. Raises ServeError where there is no such document.
        """
        with _told():
            entry = self._held(document)
            held = self._reads.document(entry.id)
        length = len(held.text)
        start = min(start, length)
        end = max(start, min(length if end is None else end, start + WINDOW, length))
        return {
            **_about(entry),
            "start": start,
            "end": end,
            "utf16": len(held.text[:start].encode("utf-16-le")) // 2,
            "line": line_of(held.text, start),
            "page": page_of(held, start),
            "pages": list(held.pages),
            "text": held.text[start:end],
        }

    def remove(self, document: str) -> None:
        """Remove a document. Raises ServeError where there is none of that id."""
        with _told():
            store = self._writes
            if store is None:
                raise ServeError("E-SERVE-LIBRARY")
            if not store.remove([self._held(document).path]):
                raise ServeError("E-SERVE-DOCUMENT")

    def find(self, question: str) -> Found:
        """Find what to read for a question, under the names that are shown. Raises InputError for an empty one."""
        with _told():
            found = search(self._reads, question, embedder=self._embedding())
        return replace(
            found,
            passages=[replace(each, source=shown_name(each.source)) for each in found.passages],
            documents={shown_name(path): document for path, document in found.documents.items()},
        )

    def named(self, name: str) -> Entry | None:
        """Give the entry of the document that is shown by this name."""
        return self._reads.entry(UPLOAD + name) or self._reads.entry(name)

    def document(self, entry: Entry) -> Document:
        """Give a document. Raises LibraryError where it is there no longer."""
        return self._reads.document(entry.id)

    def names(self, most: int) -> Sequence[str]:
        """Give the names of the first documents."""
        return [shown_name(entry.path) for entry in islice(self._reads.entries(), most)]

    def close(self) -> None:
        """Let go of the library, and end the processes that read documents."""
        with self._turn:
            parsers, self._parsers = self._parsers, []
        for parser in parsers:
            parser.stop()
        for store in (self._writes, self._reads):
            if store is not None:
                store.close()

    def _held(self, document: str) -> Entry:
        if not (document.isascii() and document.isdecimal() and len(document) <= _LONGEST_ID):
            raise ServeError("E-SERVE-DOCUMENT")
        return self._reads.held(int(document))

    def _embedding(self) -> Any:
        with self._loading:
            return self._library.embedding(self._reads)

    @contextmanager
    def _parser(self) -> Iterator[Parser]:
        """A process that reads documents, one of those that stand idle."""
        with self._turn:
            parser = self._idle.pop() if self._idle else Parser()
            if parser not in self._parsers:
                self._parsers.append(parser)
        try:
            yield parser
        finally:
            with self._turn:
                self._idle.append(parser)


def shown_name(path: str) -> str:
    """Give the name by which a document is shown."""
    return path.removeprefix(UPLOAD)


def _about(entry: Entry) -> dict[str, Any]:
    return {
        "id": str(entry.id),
        "name": shown_name(entry.path),
        "title": entry.title,
        "size": entry.size,
        "characters": entry.characters,
        "passages": entry.passages,
    }


@contextmanager
def _told() -> Iterator[None]:
    """Say what goes wrong with the library in the words of the service, which tell no path."""
    try:
        yield
    except LibraryError as error:
        if error.code == "E-LIBRARY-NO-DOCUMENT":
            raise ServeError("E-SERVE-DOCUMENT") from error
        if error.code == "E-LIBRARY-FILE":
            raise ServeError("E-SERVE-STORE", reason=error.parameters["reason"]) from error
        if error.code == "E-LIBRARY-BUSY":
            raise ServeError("E-SERVE-STORE-BUSY") from error
        raise

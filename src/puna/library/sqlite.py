"""A library in one SQLite file: `library.sqlite` in a folder (WAL, synchronous=FULL, FTS5).

What is committed stays, through kill -9 and a loss of power; a document is there whole or not at all.
https://www.sqlite.org/wal.html, https://www.sqlite.org/fts5.html
"""

import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puna.errors import InputError, LibraryError
from puna.library.codec import (
    SYNONYMS,
    entry_of,
    headings_bytes,
    name_bytes,
    name_of,
    pack,
    sound,
    synonyms_of,
    unpack,
    unpack_text,
    wanted,
    words_of,
)
from puna.library.nearest import nearest, row_of, rows_of
from puna.library.sqlite_check import findings
from puna.library.sqlite_errors import told
from puna.library.sqlite_file import bodies, body, held_synonyms, opened, transaction
from puna.library.synonyms import Synonyms
from puna.library.types import Document, Entry, Hit, Passage

if TYPE_CHECKING:
    from puna.library.types import Vector, Vectors

NAME = "library.sqlite"
_PAGE = 1000  # entries read at once
_WIDTH = "dimensions"  # of the vectors, a setting
_ENTRY = "SELECT id, path, digest, size, title, characters, passages FROM documents"


class SqliteStore:
    """A Store in a folder. Several threads may use one object; one at a time gets in."""

    def __init__(self, folder: Path, create: bool, synonyms: str | None = None) -> None:
        self.path = folder / NAME
        self._lock = threading.RLock()
        self._base = opened(self.path, create, synonyms)

    def entries(self) -> Iterator[Entry]:
        """See Store. Read in pieces, so that nobody who writes has to wait for who reads this."""
        last = b""
        while rows := self._rows(f"{_ENTRY} WHERE path > ? ORDER BY path LIMIT ?", last, _PAGE):
            for row in rows:
                yield self._entry(row)
            last = rows[-1][1]

    def entry(self, path: str) -> Entry | None:
        """See Store."""
        rows = self._rows(f"{_ENTRY} WHERE path = ?", name_bytes(path))
        return self._entry(rows[0]) if rows else None

    def held(self, document: int) -> Entry:
        """See Store."""
        rows = self._rows(f"{_ENTRY} WHERE id = ?", document)
        if not rows:
            raise LibraryError("E-LIBRARY-NO-DOCUMENT", where=self.path.parent, document=document)
        return self._entry(rows[0])

    def put(
        self,
        path: str,
        digest: str,
        size: int,
        document: Document,
        passages: Sequence[Passage],
        vectors: "Vectors | None" = None,
    ) -> None:
        """See Store. Raises InputError for vectors that do not fit."""
        packed = pack(document)
        synonyms = synonyms_of(self.setting(SYNONYMS))
        indexed = self._indexed(document, passages, synonyms)
        data = None if vectors is None else rows_of(vectors, len(passages))
        with self._writing() as base:
            if held_synonyms(base) is not synonyms:  # another process has changed them meanwhile
                indexed = self._indexed(document, passages, held_synonyms(base))
            self._drop(base, path)
            facts = (name_bytes(path), digest, size, name_bytes(document.title), len(document.text), len(passages))
            new = base.execute("INSERT INTO documents VALUES (NULL, ?, ?, ?, ?, ?, ?)", facts).lastrowid
            base.execute("INSERT INTO texts VALUES (?, ?, ?)", (new, *packed))
            rows = []
            for passage, words in zip(passages, indexed, strict=True):
                place = (new, passage.start, passage.end, headings_bytes(passage.headings))
                rows.append(base.execute("INSERT INTO passages VALUES (NULL, ?, ?, ?, ?)", place).lastrowid)
                base.execute("INSERT INTO words (rowid, body) VALUES (?, ?)", (rows[-1], words))
            if data is not None and rows:
                self._keep_width(base, data.shape[1])
                raw = data.tobytes()
                values = (new, rows[0], len(rows), raw, zlib.crc32(raw))
                base.execute("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", values)

    def remove(self, paths: Iterable[str]) -> int:
        """See Store: each document is a change of its own."""
        count = 0
        for path in paths:
            with self._writing() as base:
                count += self._drop(base, path)
        return count

    def document(self, document: int) -> Document:
        """See Store."""
        sql = "SELECT text, structure, title FROM texts JOIN documents ON id = document WHERE id = ?"
        rows = self._rows(sql, document)
        if not rows:
            raise LibraryError("E-LIBRARY-NO-DOCUMENT", where=self.path.parent, document=document)
        (text, structure, title), *_ = rows
        with sound(self.path):
            return unpack(text, structure, name_of(title))

    def search(self, terms: Sequence[str], limit: int) -> list[Hit]:
        """See Store: BM25 (k1 = 1.2, b = 0.75) as FTS5 computes it; equals by passage."""
        query = " OR ".join(f'"{body([term])}"' for term in wanted(terms))
        if not query or limit < 1:
            return []
        sql = """SELECT p.id, p.document, p.start, p.stop, -score FROM (SELECT rowid AS row, bm25(words) AS score
            FROM words WHERE words MATCH ? ORDER BY score, rowid LIMIT ?) JOIN passages AS p ON p.id = row
            ORDER BY score, p.id"""
        return [Hit(*row) for row in self._rows(sql, query, limit)]

    def near(self, vector: "Vector", limit: int) -> list[Hit]:
        """See Store: every vector is looked at. Raises InputError for one that is not as long as those."""
        query = row_of(vector)
        width = self.setting(_WIDTH)
        if width is None or limit < 1:
            return []
        if str(len(query)) != width:
            raise InputError("E-LIBRARY-VECTORS")
        with self._reading() as base, sound(self.path):
            stored = base.execute("SELECT first, rows, data FROM vectors ORDER BY document")
            best = nearest(((range(first, first + rows), data) for first, rows, data in stored), query, limit)
            sql = "SELECT id, document, start, stop FROM passages WHERE id = ?"
            found = [(base.execute(sql, (passage,)).fetchone(), score) for passage, score in best]
            return [Hit(number, document, start, end, score) for (number, document, start, end), score in found]

    def setting(self, key: str) -> str | None:
        """See Store."""
        rows = self._rows("SELECT value FROM settings WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def set(self, key: str, value: str) -> None:
        """See Store."""
        with self._writing() as base:
            base.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

    def check(self) -> list[str]:
        """See Store: SQLite's own checks, every text unpacked, the index compared with the words of all passages."""
        with self._reading() as base:
            return list(findings(base))

    def close(self) -> None:
        """See Store. The last one who closes puts the write-ahead log into the file."""
        with self._lock, told(self.path):
            self._base.close()

    @staticmethod
    def _indexed(document: Document, passages: Sequence[Passage], synonyms: Synonyms | None) -> list[str]:
        return [body(words_of(document.text, p.start, p.end, p.headings, synonyms)) for p in passages]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        with sound(self.path):
            return entry_of(row)

    def _drop(self, base: sqlite3.Connection, path: str) -> int:
        """Take a document out; the words of its passages are made anew to be taken out of the index."""
        sql = "SELECT id, text FROM documents JOIN texts ON document = id WHERE path = ?"
        rows = base.execute(sql, (name_bytes(path),)).fetchall()
        for document, packed in rows:
            with sound(self.path):
                gone = list(bodies(base, document, unpack_text(packed)))
            base.executemany("INSERT INTO words (words, rowid, body) VALUES ('delete', ?, ?)", gone)
            base.execute("DELETE FROM documents WHERE id = ?", (document,))
        return len(rows)

    def _keep_width(self, base: sqlite3.Connection, width: int) -> None:
        base.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (_WIDTH, str(width)))
        if self.setting(_WIDTH) != str(width):
            raise InputError("E-LIBRARY-VECTORS")

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, told(self.path):
            return self._base.execute(sql, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the library for all that is read inside."""
        with self._lock, told(self.path), transaction(self._base, "BEGIN"):
            yield self._base

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One change: on the disk when this ends, undone where it ends by an error."""
        with self._lock, told(self.path), transaction(self._base, "BEGIN IMMEDIATE"):
            yield self._base

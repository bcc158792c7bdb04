"""A library on PostgreSQL, for many machines at once: the schema `puna` of one database.

A passage's terms stand in a tsvector under a GIN index; its scores are those of a library in a file, BM25 computed from
counts that each change keeps. https://www.postgresql.org/docs/current/textsearch.html
"""

import math
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
    wanted,
    words_of,
)
from puna.library.nearest import nearest, row_of, rows_of
from puna.library.postgres_check import findings
from puna.library.postgres_tables import address, connected, held_synonyms, literal, quoted, told
from puna.library.synonyms import Synonyms
from puna.library.types import Document, Entry, Hit, Passage

if TYPE_CHECKING:
    import psycopg

    from puna.library.types import Vector, Vectors

_PAGE = 1000  # entries read at once
_WIDTH = "dimensions"  # of the vectors, a setting
_PATHS = 0x50554E42  # the kind of advisory lock that a path takes while its document is changed
_ENTRY = "SELECT id, path, digest, size, title, characters, passages FROM puna.documents"
_ORDER = "ORDER BY substring(path, 1, 500), path"  # which has an index; a path may be longer than that takes
# Robertson's idf, at least 1e-6; k1 = 1.2, b = 0.75. Summed in the order of the terms, whatever order rows come in.
_SEARCH = """
SELECT p.id, p.document, p.start, p.stop, s.score FROM puna.passages AS p CROSS JOIN LATERAL (
    SELECT sum(q.idf * (w.positions[1] * 2.2::float8)
        / (w.positions[1] + 1.2::float8 * (0.25 + 0.75 * p.length / %(mean)s::float8)) ORDER BY q.place) AS score
    FROM unnest(p.words) AS w JOIN unnest(%(terms)s::text[], %(idf)s::float8[]) WITH ORDINALITY AS q (term, idf, place)
        ON q.term = w.lexeme) AS s
WHERE p.words @@ %(query)s::tsquery ORDER BY s.score DESC, p.id LIMIT %(limit)s"""
_TERMS = """INSERT INTO puna.terms AS t SELECT * FROM unnest(%s::text[], %s::bigint[])
    ON CONFLICT (term) DO UPDATE SET passages = t.passages + excluded.passages"""


class PostgresStore:
    """A Store at an address, postgresql://…. Several threads may use one object; one at a time gets in."""

    def __init__(self, where: str, create: bool, synonyms: str | None = None) -> None:
        self.where = address(where)
        self._address = where
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = connected(where, create, synonyms)

    def entries(self) -> Iterator[Entry]:
        """See Store. Read in pieces."""
        last = b""
        order = "(substring(path, 1, 500), path)"
        sql = f"{_ENTRY} WHERE {order} > (substring(%s::bytea, 1, 500), %s) ORDER BY {order} LIMIT %s"
        while rows := self._rows(sql.replace(f"BY {order}", f"BY {order[1:-1]}"), last, last, _PAGE):
            for row in rows:
                yield self._entry(row)
            last = rows[-1][1]

    def entry(self, path: str) -> Entry | None:
        """See Store."""
        rows = self._rows(f"{_ENTRY} WHERE sha256(path) = sha256(%s)", name_bytes(path))
        return self._entry(rows[0]) if rows else None

    def held(self, document: int) -> Entry:
        """See Store."""
        rows = self._rows(f"{_ENTRY} WHERE id = %s", document)
        if not rows:
            raise LibraryError("E-LIBRARY-NO-DOCUMENT", where=self.where, document=document)
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
        words = self._words(document, passages, synonyms)
        data = None if vectors is None else rows_of(vectors, len(passages))
        with self._changing(path) as base:
            # Who changes the synonyms waits for this, and this for them.
            base.execute("LOCK TABLE puna.documents IN ROW EXCLUSIVE MODE")
            if held_synonyms(base) is not synonyms:
                words = self._words(document, passages, held_synonyms(base))
            change = _Change()
            change.drop(base, path)
            facts = (name_bytes(path), digest, size, name_bytes(document.title), len(document.text), len(passages))
            sql = """INSERT INTO puna.documents (path, digest, size, title, characters, passages)
                VALUES (%s, %s, %s, %s, %s, %s) RETURNING id"""
            ((new,),) = base.execute(sql, facts).fetchall()
            base.execute("INSERT INTO puna.texts VALUES (%s, %s, %s)", (new, *packed))
            sql = """INSERT INTO puna.passages (document, start, stop, headings, length, words)
                SELECT %s, start, stop, headings, length, words::tsvector FROM
                unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::bigint[], %s::text[]) WITH ORDINALITY
                AS v (start, stop, headings, length, words, place) ORDER BY place RETURNING id"""
            columns = (
                [p.start for p in passages],
                [p.end for p in passages],
                [headings_bytes(p.headings) for p in passages],
                [len(each) for each in words],
                [literal(each) for each in words],
            )
            rows = sorted(row for (row,) in base.execute(sql, (new, *columns)))
            if data is not None and rows:
                self._keep_width(base, data.shape[1])
                raw = data.tobytes()
                base.execute("INSERT INTO puna.vectors VALUES (%s, %s, %s, %s)", (new, rows, raw, zlib.crc32(raw)))
            change.add(words)
            change.count(base)

    def remove(self, paths: Iterable[str]) -> int:
        """See Store: each document is a change of its own."""
        count = 0
        for path in paths:
            with self._changing(path) as base:
                change = _Change()
                count += change.drop(base, path)
                change.count(base)
        return count

    def document(self, document: int) -> Document:
        """See Store."""
        sql = "SELECT text, structure, title FROM puna.texts JOIN puna.documents ON id = document WHERE id = %s"
        rows = self._rows(sql, document)
        if not rows:
            raise LibraryError("E-LIBRARY-NO-DOCUMENT", where=self.where, document=document)
        (text, structure, title), *_ = rows
        with sound(self.where):
            return unpack(text, structure, name_of(title))

    def search(self, terms: Sequence[str], limit: int) -> list[Hit]:
        """See Store: BM25 with the constants of FTS5; equals by passage."""
        if limit < 1:
            return []
        with self._reading() as base:
            ((count, total),) = base.execute("SELECT passages::bigint, words::bigint FROM puna.totals").fetchall()
            sql = "SELECT term, passages FROM puna.terms WHERE term = ANY(%s) AND passages > 0 ORDER BY term"
            known = base.execute(sql, (wanted(terms),)).fetchall()
            if not known:
                return []
            weights = [math.log((count - having + 0.5) / (having + 0.5)) for _, having in known]
            values = {
                "mean": total / count,
                "terms": [term for term, _ in known],
                "idf": [weight if weight > 0 else 1e-6 for weight in weights],
                "query": " | ".join(quoted(term) for term, _ in known),
                "limit": limit,
            }
            return [Hit(*row) for row in base.execute(_SEARCH, values)]

    def near(self, vector: "Vector", limit: int) -> list[Hit]:
        """See Store: every vector is sent and looked at. Raises InputError for one that is not as long as those."""
        query = row_of(vector)
        width = self.setting(_WIDTH)
        if width is None or limit < 1:
            return []
        if str(len(query)) != width:
            raise InputError("E-LIBRARY-VECTORS")
        with self._reading() as base, sound(self.where), base.cursor("vectors") as stored:
            stored.itersize = 100
            stored.execute("SELECT passages, data FROM puna.vectors ORDER BY document")
            best = dict(nearest(((ids, data) for ids, data in stored), query, limit))
            sql = "SELECT id, document, start, stop FROM puna.passages WHERE id = ANY(%s)"
            places = {row[0]: row for row in base.execute(sql, (list(best),))}
            return [Hit(*(*places[passage], score)) for passage, score in best.items()]

    def setting(self, key: str) -> str | None:
        """See Store."""
        rows = self._rows("SELECT value FROM puna.settings WHERE key = %s", key)
        return str(rows[0][0]) if rows else None

    def set(self, key: str, value: str) -> None:
        """See Store."""
        sql = "INSERT INTO puna.settings VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        with self._using() as base:
            base.execute(sql, (key, value))

    def check(self) -> list[str]:
        """See Store: every text unpacked, the index and its counts compared with the words of all passages."""
        with self._reading() as base:
            return list(findings(base))

    def close(self) -> None:
        """See Store."""
        with self._lock, told(self._address):
            if self._connection is not None:
                self._connection.close()

    @staticmethod
    def _words(document: Document, passages: Sequence[Passage], synonyms: Synonyms | None) -> list[list[str]]:
        return [words_of(document.text, p.start, p.end, p.headings, synonyms) for p in passages]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        with sound(self.where):
            return entry_of(row)

    def _keep_width(self, base: "psycopg.Connection[tuple[Any, ...]]", width: int) -> None:
        sql = "INSERT INTO puna.settings VALUES (%s, %s) ON CONFLICT DO NOTHING"
        base.execute(sql, (_WIDTH, str(width)))
        if self.setting(_WIDTH) != str(width):
            raise InputError("E-LIBRARY-VECTORS")

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._using() as base:
            return base.execute(sql, values).fetchall()

    @contextmanager
    def _using(self) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
        """The connection; a new one where the server has ended the last."""
        with self._lock, told(self._address):
            if self._connection is None or self._connection.broken:
                self._connection = connected(self._address, create=False)
            yield self._connection

    @contextmanager
    def _reading(self) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
        """One state of the library for all that is read inside."""
        with self._using() as base, base.transaction():
            base.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield base

    @contextmanager
    def _changing(self, path: str) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
        """One change of what is held of a path; others who change the same wait."""
        with self._using() as base, base.transaction():
            # Whoever is told that it is done must find it after a loss of power, whatever the server's default.
            base.execute("SET LOCAL synchronous_commit = on")
            number = zlib.crc32(name_bytes(path)) - (1 << 31)
            base.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_PATHS, number))
            yield base


class _Change:
    """What a change does to the counts. They are written last, terms in their order: so nobody waits in a circle."""

    def __init__(self) -> None:
        self._terms: dict[str, int] = {}
        self._passages = self._words = 0

    def drop(self, base: "psycopg.Connection[tuple[Any, ...]]", path: str) -> int:
        """Take a document out, and give how many there were."""
        rows = base.execute(
            "SELECT id FROM puna.documents WHERE sha256(path) = sha256(%s)", (name_bytes(path),)
        ).fetchall()
        for (document,) in rows:
            sql = "SELECT lexeme, count(*) FROM puna.passages, unnest(words) WHERE document = %s GROUP BY lexeme"
            self._terms = {term: -count for term, count in base.execute(sql, (document,))}
            sql = "SELECT count(*), coalesce(sum(length), 0)::bigint FROM puna.passages WHERE document = %s"
            ((passages, words),) = base.execute(sql, (document,)).fetchall()
            self._passages, self._words = -passages, -words
            base.execute("DELETE FROM puna.documents WHERE id = %s", (document,))
        return len(rows)

    def add(self, passages: Sequence[Sequence[str]]) -> None:
        """Count passages, each given as its words."""
        for words in passages:
            self._passages += 1
            self._words += len(words)
            for term in set(words):
                self._terms[term] = self._terms.get(term, 0) + 1

    def count(self, base: "psycopg.Connection[tuple[Any, ...]]") -> None:
        """Write it."""
        changed = sorted((term, count) for term, count in self._terms.items() if count)
        base.execute(_TERMS, ([term for term, _ in changed], [count for _, count in changed]))
        fewer = [term for term, count in changed if count < 0]
        base.execute("DELETE FROM puna.terms WHERE term = ANY(%s) AND passages = 0", (fewer,))
        if self._passages or self._words:
            sql = "UPDATE puna.totals SET passages = passages + %s, words = words + %s"
            base.execute(sql, (self._passages, self._words))

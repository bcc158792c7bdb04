"""A library's tables on PostgreSQL: made, found, told from others'; the connection to them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from puna.errors import LibraryError, shown
from puna.library.codec import (
    SYNONYMS,
    headings_of,
    segmentation,
    sound,
    synonyms_of,
    unpack_text,
    words_of,
)
from puna.library.synonyms import Synonyms

if TYPE_CHECKING:
    import psycopg

VERSION = 1  # of the tables below
_LOCK = 0x50554E41  # "PUNA": who makes or changes tables
_SEGMENTATION = "segmentation"  # the setting that says how the index was cut
_MOST = (1 << 14) - 1  # the greatest position that a tsvector holds
_TABLES = """
CREATE SCHEMA puna;
CREATE TABLE puna.settings (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE puna.documents (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, path bytea NOT NULL,
    digest text NOT NULL, size bigint NOT NULL, title bytea NOT NULL,
    characters bigint NOT NULL, passages bigint NOT NULL);
-- A path may be longer than what an index takes.
CREATE UNIQUE INDEX ON puna.documents (sha256(path));
CREATE INDEX ON puna.documents (substring(path, 1, 500));
CREATE TABLE puna.texts (document bigint PRIMARY KEY REFERENCES puna.documents ON DELETE CASCADE,
    text bytea NOT NULL, structure bytea NOT NULL);
ALTER TABLE puna.texts ALTER text SET STORAGE EXTERNAL, ALTER structure SET STORAGE EXTERNAL;
-- words: each term with how often it stands there in the place of a position.
CREATE TABLE puna.passages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document bigint NOT NULL REFERENCES puna.documents ON DELETE CASCADE,
    start bigint NOT NULL, stop bigint NOT NULL, headings bytea NOT NULL, length bigint NOT NULL,
    words tsvector NOT NULL);
CREATE INDEX ON puna.passages (document);
CREATE INDEX ON puna.passages USING gin (words);
CREATE TABLE puna.vectors (document bigint PRIMARY KEY REFERENCES puna.documents ON DELETE CASCADE,
    passages bigint[] NOT NULL, data bytea NOT NULL, checksum bigint NOT NULL);
ALTER TABLE puna.vectors ALTER data SET STORAGE EXTERNAL;
-- What BM25 needs to know of all passages: how many hold a term, how many there are, how many words they have.
CREATE TABLE puna.terms (term text COLLATE "C" PRIMARY KEY, passages bigint NOT NULL);
CREATE TABLE puna.totals (passages numeric NOT NULL, words numeric NOT NULL);
INSERT INTO puna.totals VALUES (0, 0);
"""
_COUNTED = """
TRUNCATE puna.terms, puna.totals;
INSERT INTO puna.terms SELECT lexeme, count(*) FROM puna.passages, unnest(words) GROUP BY lexeme;
INSERT INTO puna.totals SELECT count(*), coalesce(sum(length), 0) FROM puna.passages;
"""


def address(where: str) -> str:
    """Give an address without its password."""
    head, mark, options = where.partition("?")
    scheme, _, rest = head.partition("://")
    user, at, host = rest.rpartition("@")
    shared = "&".join(each for each in options.split("&") if "pass" not in each.partition("=")[0].lower())
    return shown(f"{scheme}://{user.partition(':')[0]}{at}{host}{mark}{shared}", 200)


@contextmanager
def told(where: str) -> Iterator[None]:
    """Say what PostgreSQL says against the library at an address."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise LibraryError("E-LIBRARY-SERVER", where=address(where), reason=shown(reason, 200)) from error


def connected(where: str, create: bool, synonyms: str | None = None) -> "psycopg.Connection[tuple[Any, ...]]":
    """Connect to the library at an address, and make its tables where there are none and `create` says so.

    synonyms: see `open_store`. Raises LibraryError.
    """
    if find_spec("psycopg") is None:
        raise LibraryError("E-LIBRARY-POSTGRES")
    import psycopg

    with told(where):
        base = psycopg.connect(where, autocommit=True, client_encoding="utf8", application_name="puna")
        try:
            encoding = base.execute("SHOW server_encoding").fetchone()
            if encoding != ("UTF8",):
                reason = f"the database is in {encoding and encoding[0]}, not in UTF8"
                raise LibraryError("E-LIBRARY-SERVER", where=address(where), reason=reason)
            if not _is_there(base, where):
                if not create:
                    raise LibraryError("E-LIBRARY-MISSING", where=address(where))
                _make(base, where)
            _check_segmentation(base, where, create, synonyms)
        except BaseException:
            base.close()
            raise
    return base


def literal(words: Iterable[str]) -> str:
    """Give terms as a tsvector is written."""
    counts = Counter(words)
    return " ".join(f"{quoted(term)}:{min(count, _MOST)}" for term, count in counts.items())


def quoted(term: str) -> str:
    """Give a term as a tsvector or tsquery has it, whatever is in it."""
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def _is_there(base: "psycopg.Connection[tuple[Any, ...]]", where: str) -> bool:
    sql = "SELECT to_regnamespace('puna') IS NOT NULL, to_regclass('puna.settings') IS NOT NULL"
    schema, settings = base.execute(sql).fetchone() or (False, False)
    if not schema:
        return False
    row = base.execute("SELECT value FROM puna.settings WHERE key = 'version'").fetchone() if settings else None
    if row is None:
        raise LibraryError("E-LIBRARY-FOREIGN", path=address(where))
    with sound(address(where)):
        version = int(row[0])
    if version > VERSION:
        raise LibraryError("E-LIBRARY-NEWER", where=address(where), version=version, known=VERSION)
    return True


def _make(base: "psycopg.Connection[tuple[Any, ...]]", where: str) -> None:
    with base.transaction():
        base.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if not _is_there(base, where):
            base.execute(_TABLES)
            sql = "INSERT INTO puna.settings VALUES ('version', %s), (%s, %s)"
            base.execute(sql, (str(VERSION), _SEGMENTATION, segmentation(None)))


def _check_segmentation(
    base: "psycopg.Connection[tuple[Any, ...]]", where: str, create: bool, synonyms: str | None
) -> None:
    """Make the index anew where its words were made in another way; who only asks is told."""
    wanted = segmentation(_setting(base, SYNONYMS) if synonyms is None else synonyms)
    if _setting(base, _SEGMENTATION) == wanted:
        return
    if not create:
        raise LibraryError("E-LIBRARY-SEGMENTATION", where=address(where))
    with base.transaction():
        base.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        base.execute("LOCK TABLE puna.documents IN EXCLUSIVE MODE")
        if synonyms is not None:
            sql = "INSERT INTO puna.settings VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            base.execute(sql, (SYNONYMS, synonyms))
        for (document,) in base.execute("SELECT id FROM puna.documents").fetchall():
            with sound(address(where)):
                rows = list(indexed(base, document))
            sql = """UPDATE puna.passages AS p SET words = v.words::tsvector, length = v.length
                FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS v (id, words, length) WHERE p.id = v.id"""
            base.execute(sql, [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []])
        base.execute(_COUNTED)
        now = segmentation(_setting(base, SYNONYMS))
        base.execute("UPDATE puna.settings SET value = %s WHERE key = %s", (now, _SEGMENTATION))


def indexed(base: "psycopg.Connection[tuple[Any, ...]]", document: int) -> Iterator[tuple[int, str, int]]:
    """Give (passage, its words as a tsvector, how many) of a document. Raises ValueError or zlib.error for damage."""
    found = base.execute("SELECT text FROM puna.texts WHERE document = %s", (document,)).fetchone()
    text = unpack_text(found[0]) if found else ""
    sql = "SELECT id, start, stop, headings FROM puna.passages WHERE document = %s ORDER BY id"
    synonyms = held_synonyms(base)
    for row, start, stop, headings in base.execute(sql, (document,)).fetchall():
        words = words_of(text, start, stop, headings_of(headings), synonyms)
        yield row, literal(words), len(words)


def held_synonyms(base: "psycopg.Connection[tuple[Any, ...]]") -> Synonyms | None:
    """Give the library's synonyms."""
    return synonyms_of(_setting(base, SYNONYMS))


def _setting(base: "psycopg.Connection[tuple[Any, ...]]", key: str) -> str | None:
    row = base.execute("SELECT value FROM puna.settings WHERE key = %s", (key,)).fetchone()
    return None if row is None else str(row[0])

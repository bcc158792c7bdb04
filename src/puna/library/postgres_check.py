"""What is wrong with a library on PostgreSQL."""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from puna.errors import shown
from puna.library.codec import name_of, unpack
from puna.library.postgres_tables import indexed

if TYPE_CHECKING:
    import psycopg

_COUNTS = """SELECT (SELECT count(*) FROM puna.terms AS t FULL JOIN
    (SELECT lexeme COLLATE "C" AS term, count(*) AS held FROM puna.passages, unnest(words) GROUP BY 1) AS w USING (term)
    WHERE t.passages IS DISTINCT FROM w.held),
    EXISTS (SELECT FROM puna.totals AS t JOIN (SELECT count(*) AS held, coalesce(sum(length), 0) AS length
    FROM puna.passages) AS p ON (t.passages, t.words) = (p.held, p.length))"""
_DOCUMENTS = """SELECT id, path, title, characters, passages, text, structure
    FROM puna.documents LEFT JOIN puna.texts ON document = id WHERE id = %s"""
_WORDS = """SELECT p.id FROM puna.passages AS p LEFT JOIN unnest(%s::bigint[], %s::text[], %s::bigint[])
    AS v (id, words, length) USING (id) WHERE document = %s
    AND (p.words, p.length) IS DISTINCT FROM (v.words::tsvector, v.length)"""


def findings(base: "psycopg.Connection[tuple[Any, ...]]") -> Iterator[str]:
    """Say what does not fit together: every text unpacked, every passage's words and all counts made anew."""
    for (document,) in base.execute("SELECT id FROM puna.documents ORDER BY id").fetchall():
        ((_, path, title, characters, passages, *packed),) = base.execute(_DOCUMENTS, (document,)).fetchall()
        name = shown(name_of(path))
        try:
            text = unpack(packed[0], packed[1], name_of(title)).text
            rows = list(indexed(base, document))
        except (ValueError, TypeError, LookupError, RecursionError, zlib.error) as error:
            yield f"{name}: its text cannot be read: {shown(str(error))}"
            continue
        if len(text) != characters or len(rows) != passages:
            yield f"{name}: {len(text)} characters, {len(rows)} passages; {characters} and {passages} were written"
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []]
        for (row,) in base.execute(_WORDS, (*columns, document)).fetchall():
            yield f"{name}: the index does not hold the words of passage {row}"
        sql = "SELECT passages, data, checksum FROM puna.vectors WHERE document = %s"
        for held, data, checksum in base.execute(sql, (document,)).fetchall():
            if held != columns[0] or zlib.crc32(data) != checksum:
                yield f"{name}: its vectors are not those that were written"
    ((wrong, equal),) = base.execute(_COUNTS).fetchall()
    if wrong or not equal:
        yield "the counts of terms are not those of the passages"

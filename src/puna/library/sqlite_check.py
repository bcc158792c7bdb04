"""What is wrong with a library's file, beyond what any use of it would notice."""

import sqlite3
import zlib
from collections.abc import Iterator

from puna.errors import shown
from puna.library.codec import headings_of, name_of, unpack, words_of
from puna.library.sqlite_file import body, held_synonyms

_MANY = 20  # complaints of a kind are enough
_ALL = (1 << 64) - 1


def findings(base: sqlite3.Connection) -> Iterator[str]:
    """Say what does not fit together: SQLite's own checks, every text unpacked, the index against all passages' words."""
    for (said,) in base.execute(f"PRAGMA integrity_check({_MANY})"):
        if said != "ok":
            yield shown(said, 200)
    for table, row, *_ in base.execute("PRAGMA foreign_key_check").fetchmany(_MANY):
        yield f"{table}: row {row} belongs to no document"
    wanted, synonyms = 0, held_synonyms(base)
    sql = """SELECT id, path, title, characters, passages, text, structure
        FROM documents LEFT JOIN texts ON document = id ORDER BY id"""
    for document, path, title, characters, passages, packed, structure in base.execute(sql):
        name = shown(name_of(path))
        try:
            text = unpack(packed, structure, name_of(title)).text
        except (ValueError, TypeError, LookupError, RecursionError, zlib.error) as error:
            yield f"{name}: its text cannot be read: {shown(str(error))}"
            continue
        rows = base.execute(
            "SELECT id, start, stop, headings FROM passages WHERE document = ? ORDER BY id", (document,)
        )
        found = rows.fetchall()
        if len(text) != characters or len(found) != passages:
            yield f"{name}: {len(text)} characters, {len(found)} passages; {characters} and {passages} were written"
        for row, start, stop, headings in found:
            if not 0 <= start <= stop <= len(text):
                yield f"{name}: passage {row} stands outside its text"
                continue
            for place, word in enumerate(words_of(text, start, stop, headings_of(headings), synonyms)):
                wanted += hash((body([word]), row, place))
        yield from _vectors(base, document, name, [row for row, *_ in found])
    base.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.places USING fts5vocab(main, words, instance)")
    held = sum(hash(place) for place in base.execute('SELECT term, doc, "offset" FROM temp.places'))
    if (wanted - held) & _ALL:
        yield "the index does not hold the words of the texts"


def _vectors(base: sqlite3.Connection, document: int, name: str, rows: list[int]) -> Iterator[str]:
    sql = "SELECT first, rows, data, checksum FROM vectors WHERE document = ?"
    for first, count, data, checksum in base.execute(sql, (document,)):
        if rows != list(range(first, first + count)) or zlib.crc32(data) != checksum:
            yield f"{name}: its vectors are not those that were written"

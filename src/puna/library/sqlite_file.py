"""A library's file: made, opened, told from other files; its tables and its index."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from puna.errors import LibraryError
from puna.library.codec import (
    SYNONYMS,
    headings_of,
    segmentation,
    sound,
    synonyms_of,
    unpack_text,
    words_of,
)
from puna.library.sqlite_errors import code_of, told
from puna.library.synonyms import Synonyms
from puna.weights.store import sync

APPLICATION = 0x50554E41  # "PUNA", in the file's header
VERSION = 1  # of the tables below
_WAIT = 60.0  # seconds for another process to end its change; a change is one document
_AGAIN = 0.02  # seconds between tries where SQLite does not wait itself
_UNWRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_SEGMENTATION = "segmentation"  # the setting that says how the index was cut
_TABLES = (
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # AUTOINCREMENT: an id that was given away stands for nothing else later.
    """CREATE TABLE documents (id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, digest TEXT NOT NULL,
    size INTEGER NOT NULL, title BLOB NOT NULL, characters INTEGER NOT NULL, passages INTEGER NOT NULL)""",
    """CREATE TABLE texts (document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, text BLOB NOT NULL,
    structure BLOB NOT NULL)""",
    """CREATE TABLE passages (id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    start INTEGER NOT NULL, stop INTEGER NOT NULL, headings BLOB NOT NULL)""",
    "CREATE INDEX passages_document ON passages (document)",
    """CREATE TABLE vectors (document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE, first INTEGER NOT NULL,
    rows INTEGER NOT NULL, data BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    # Words are made anew from the text where they have to be taken out: they are not stored a second time.
    "CREATE VIRTUAL TABLE words USING fts5(body, content='', tokenize='ascii')",
)
# FTS5's own cutter ends a word at each of these and makes capitals small: they get names that it leaves alone.
_APART = {c: 0xE000 + c for c in range(128) if not (chr(c).isdigit() or chr(c).islower())}


def opened(path: Path, create: bool, synonyms: str | None = None) -> sqlite3.Connection:
    """Open the library in a file, and make it where there is none and `create` says so. synonyms: see `open_store`.

    Raises LibraryError, also for a file that is another program's or of a later version; that file is left as it is.
    """
    with told(path):
        if path.parent.exists() and not path.parent.is_dir():
            raise LibraryError("E-LIBRARY-NO-FOLDER", where=path.parent)
        if create:
            _make_folder(path.parent)
        elif not path.is_file():
            raise LibraryError("E-LIBRARY-MISSING", where=path.parent)
        base = _connected(path, "mode=rwc") if create else _readable(path)
        try:
            if _is_new(base, path) and not create:
                raise LibraryError("E-LIBRARY-MISSING", where=path.parent)
            if create:
                _wal(base)
                with transaction(base, "BEGIN IMMEDIATE"):
                    if _is_new(base, path):
                        _make(base)
            _check_segmentation(base, path, create, synonyms)
        except BaseException:
            base.close()
            raise
    return base


@contextmanager
def transaction(base: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Commit at the end, and undo all where it ends by an error."""
    base.execute(begin)
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:  # where the disk is full SQLite has undone it itself
            with suppress(sqlite3.Error):
                base.execute("ROLLBACK")
        raise


def body(terms: Iterable[str]) -> str:
    """Give terms as the index takes them: FTS5 cuts the string into just these."""
    return " ".join(term.translate(_APART) for term in terms)


def bodies(base: sqlite3.Connection, document: int, text: str) -> Iterator[tuple[int, str]]:
    """Give (passage, what the index holds of it) of a document. Raises ValueError for damaged headings."""
    rows = base.execute("SELECT id, start, stop, headings FROM passages WHERE document = ?", (document,))
    synonyms = held_synonyms(base)
    for row, start, stop, headings in rows:
        yield row, body(words_of(text, start, stop, headings_of(headings), synonyms))


def held_synonyms(base: sqlite3.Connection) -> Synonyms | None:
    """Give the library's synonyms."""
    return synonyms_of(_setting(base, SYNONYMS))


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def _readable(path: Path) -> sqlite3.Connection:
    """Connect for reading, and for writing where that is allowed.

    SQLite keeps two files beside a library in use. Where this user may not make them, and no log is there, nobody is
    writing now: the file is read as one that does not change. Who starts to write meanwhile is not noticed.
    """
    try:
        return _connected(path, "mode=rw")
    except sqlite3.OperationalError as error:
        log = path.with_name(path.name + "-wal")
        if code_of(error) not in _UNWRITABLE or (log.exists() and log.stat().st_size):
            raise
    return _connected(path, "immutable=1")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    base = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=_WAIT,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for setting in ("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
            base.execute(f"PRAGMA {setting}")
        base.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the first look at the file itself
    except BaseException:
        base.close()
        raise
    return base


def _is_new(base: sqlite3.Connection, path: Path) -> bool:
    """Tell whether nothing was written yet. Raises LibraryError for what is no library that this version reads."""
    (application,), (version,) = (
        base.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    if not application and not version and not base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return True
    if application != APPLICATION:
        raise LibraryError("E-LIBRARY-FOREIGN", path=path)
    if version > VERSION:
        raise LibraryError("E-LIBRARY-NEWER", where=path, version=version, known=VERSION)
    if version < 1:
        raise LibraryError("E-LIBRARY-DAMAGED", path=path, reason=f"version {version}")
    return False


def _wal(base: sqlite3.Connection) -> None:
    """Write ahead from now on. SQLite does not wait for others here, so this does."""
    end = time.monotonic() + _WAIT
    while True:
        try:
            base.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_AGAIN)


def _make(base: sqlite3.Connection) -> None:
    for sql in _TABLES:
        base.execute(sql)
    base.execute("INSERT INTO settings VALUES (?, ?)", (_SEGMENTATION, segmentation(None)))
    base.execute(f"PRAGMA application_id = {APPLICATION}")
    base.execute(f"PRAGMA user_version = {VERSION}")


def _check_segmentation(base: sqlite3.Connection, path: Path, create: bool, synonyms: str | None) -> None:
    """Make the index anew where its words were made in another way; who only asks is told."""
    if _is_cut_alike(base, synonyms):
        return
    if not create:
        raise LibraryError("E-LIBRARY-SEGMENTATION", where=path.parent)
    with transaction(base, "BEGIN IMMEDIATE"):
        if _is_cut_alike(base, synonyms):
            return
        if synonyms is not None:
            base.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (SYNONYMS, synonyms))
        base.execute("INSERT INTO words (words) VALUES ('delete-all')")
        for document, packed in base.execute("SELECT document, text FROM texts ORDER BY document"):
            with sound(path):
                indexed = list(bodies(base, document, unpack_text(packed)))
            base.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", indexed)
        now = segmentation(_setting(base, SYNONYMS))
        base.execute("UPDATE settings SET value = ? WHERE key = ?", (now, _SEGMENTATION))


def _is_cut_alike(base: sqlite3.Connection, synonyms: str | None) -> bool:
    wanted = segmentation(_setting(base, SYNONYMS) if synonyms is None else synonyms)
    return _setting(base, _SEGMENTATION) == wanted


def _setting(base: sqlite3.Connection, key: str) -> str | None:
    row = base.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])

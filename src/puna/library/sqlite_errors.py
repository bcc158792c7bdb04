"""What SQLite and the system say against a library's file, as LibraryError."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from puna.errors import LibraryError, shown

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
_DAMAGED |= {sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_SCHEMA}
_WAITED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say what goes wrong with the file at `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _library_error(path, error) from error
    except UnicodeDecodeError as error:  # SQLite's own message may repeat what is damaged
        raise LibraryError("E-LIBRARY-DAMAGED", path=path, reason=shown(str(error))) from error
    except OSError as error:
        reason = str(error.strerror or error).lower()
        raise LibraryError("E-LIBRARY-FILE", path=path, reason=reason) from error


def code_of(error: sqlite3.Error) -> int:
    """Give the primary result code; 0 where Python itself raised the error."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _library_error(path: Path, error: sqlite3.Error) -> LibraryError:
    code, reason = code_of(error), shown(str(error))
    if "fts5" in reason and "no such module" in reason:
        return LibraryError("E-LIBRARY-FTS5")
    if code in _WAITED:
        return LibraryError("E-LIBRARY-BUSY", path=path)
    if code in _DAMAGED or isinstance(error, sqlite3.DataError):
        return LibraryError("E-LIBRARY-DAMAGED", path=path, reason=reason)
    return LibraryError("E-LIBRARY-FILE", path=path, reason=reason)

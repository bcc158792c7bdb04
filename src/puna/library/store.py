"""Where a library is: a folder, or a PostgreSQL server."""

from pathlib import Path

from puna.library.synonyms import Synonyms
from puna.library.types import Store

SCHEMES = ("postgresql://", "postgres://")


def open_store(where: str | Path, create: bool, synonyms: Synonyms | None = None) -> Store:
    """Open the library at `where`, a folder or postgresql://…; `create` makes it where there is none.

    synonyms: the library's from now on, with `create`; its index is made anew where they are others. None leaves those it
    has. Raises LibraryError.
    """
    said = None if synonyms is None else synonyms.text
    if isinstance(where, str) and where.startswith(SCHEMES):
        from puna.library.postgres import PostgresStore

        return PostgresStore(where, create, said)
    from puna.library.sqlite import SqliteStore

    return SqliteStore(Path(where), create, said)

"""Where a library is: a folder, or a PostgreSQL server."""

from pathlib import Path

from puna.library.types import Store

SCHEMES = ("postgresql://", "postgres://")


def open_store(where: str | Path, create: bool) -> Store:
    """Open the library at `where`, a folder or postgresql://…; `create` makes it where there is none.

    Raises LibraryError.
    """
    if isinstance(where, str) and where.startswith(SCHEMES):
        from puna.library.postgres import PostgresStore

        return PostgresStore(where, create)
    from puna.library.sqlite import SqliteStore

    return SqliteStore(Path(where), create)

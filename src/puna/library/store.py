"""Where a library is: a folder, or a PostgreSQL server."""

from pathlib import Path

from puna.library.types import Store


def open_store(where: str | Path, create: bool) -> Store:
    """Open the library at `where`, a folder or postgresql://…; `create` makes it where there is none.

    Raises LibraryError.
    """
    from puna.library.sqlite import SqliteStore

    return SqliteStore(Path(where), create)

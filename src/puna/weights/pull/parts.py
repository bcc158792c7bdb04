"""What a place that models come from must be able to do."""

from pathlib import Path
from typing import NamedTuple, Protocol

from puna.weights.digest import Progress


class Fetched(NamedTuple):
    """A model that lies in the staging folder: where, from where it came, and in which revision."""

    path: Path
    origin: str
    revision: str | None = None


class Source(Protocol):
    """One model in one place."""

    @property
    def source(self) -> str:
        """What the user calls it; the manifest keeps it, so that the same pull is known again."""

    @property
    def name(self) -> str:
        """The name it gets in the store unless the user gives another."""

    def look(self) -> tuple[int | None, str | None]:
        """Give size and sha256 without fetching, as far as the place tells."""

    def fetch(self, staging: Path, progress: Progress | None) -> Fetched:
        """Bring it into `staging`, every file checked against what the place tells of it."""

"""What a place that models come from must be able to do, and the copying that some of them share."""

from pathlib import Path
from typing import IO, NamedTuple, Protocol

from puna.weights.digest import BLOCK, Progress, Step
from puna.weights.store import disk_errors, need_space


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


def copy(source: IO[bytes], target: Path, size: int, progress: Progress | None) -> None:
    """Copy at most `size` bytes to where there is room for them."""
    need_space(target.parent, size)
    done = 0
    with disk_errors(target), target.open("wb") as file:
        while data := source.read(min(BLOCK, size - done)):
            done += file.write(data)
            if progress:
                progress(Step("copy", target.name, done, size))

"""What a study is: independent pieces of work, a summary of what they gave, and a picture of that.

A study is written as a subclass of `Study`, entered in `puna.lab.studies`, and run by `puna.lab.runner`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puna.errors import InputError
from puna.weights.digest import hash_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Piece = Mapping[str, Any]  # plain JSON values; with the study and its setting they decide what comes out
Watch = Callable[[int, int], None]  # called now and then with how much of a piece is done, of how much
Table = tuple[list[str], list[list[str]]]  # heads, rows

SIZES = ("small", "large")  # minutes on two cores of a CPU; hours, or a GPU


@dataclass(frozen=True, slots=True)
class Setting:
    """How a study is run.

    `size` is one of SIZES, or "tiny" for tests of the code. `data`: the folder of data sets, None for PUNA_DATA.
    `model`: a path or a name, None for the study's own default. `folder`: where a study may keep files that
    several of its pieces need; the runner names it.
    """

    seeds: int
    size: str = "small"
    device: str = "cpu"
    data: Path | None = None
    model: str | None = None
    folder: Path = Path()

    def file(self, name: str) -> Path:
        """Give a file of the data folder, such as "tatoeba_en_zh/dev.jsonl.gz". Raises InputError if it is not there."""
        folder = self.data or Path(os.environ.get("PUNA_DATA", ""))
        if not folder.parts:
            raise InputError("E-LAB-DATA", name=name)
        if not (folder / name).is_file():
            raise InputError("E-LAB-FILE", name=name, folder=folder)
        return folder / name

    def digest(self, *names: str) -> dict[str, str]:
        """Give the sha256 of each of these files of the data folder, for `Study.decides`."""
        return {name: hash_file(self.file(name)) for name in names}


@dataclass(frozen=True, slots=True)
class Done:
    """A finished piece: what `run` gave for it (after a way through JSON) and the seconds that it took."""

    piece: Piece
    found: dict[str, Any]
    seconds: float


class Study(ABC):
    """One question, answered by many small runs."""

    seeds = 3  # runs of each kind, unless the user wants another number
    revision = 1  # raise it when the same piece would come out otherwise: kept pieces are then run anew
    takes_model = False  # whether `Setting.model` means anything

    @abstractmethod
    def pieces(self, setting: Setting) -> list[Piece]:
        """Give all pieces of the study, each of them different, in the order in which they are run."""

    def further(self, setting: Setting, done: Sequence[Done]) -> list[Piece]:
        """Give the pieces that only the results of `pieces` decide, such as runs with the best of several rates."""
        return []

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give plain values that decide results beside size, device and piece: digests of data files, of a model."""
        return {}

    @abstractmethod
    def run(self, piece: Piece, setting: Setting, watch: Watch) -> dict[str, Any]:
        """Do one piece, the same however often and after whatever else; give plain JSON values without NaN."""

    @abstractmethod
    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give the study's answer as plain JSON values, from all its pieces in order."""

    @abstractmethod
    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give the summary as a small table in "en" or "zh"."""

    @abstractmethod
    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw the summary on an empty Matplotlib figure, whose size may be set."""


def label(piece: Piece) -> str:
    """Name a piece in a few words for a progress line."""
    return " ".join(f"{key}={value}" for key, value in piece.items())

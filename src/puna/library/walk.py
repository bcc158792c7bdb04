"""The files of a library: what of the given files and folders is read, and what is not, and why."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from puna.errors import DocumentError, InputError, shown
from puna.library.kinds import KINDS

_SHOWN = 4096


@dataclass(frozen=True, slots=True)
class Walk:
    """What was found: `files` in order, each once, under absolute paths, and what is left out.

    `hidden`: files and folders whose names begin with a dot; `unknown`: how many files there are of each suffix that is
    not read, pipes, sockets and devices under ""; `refused`: links that lead out of the given folders, broken links,
    folders that cannot be opened, names that are no text.
    """

    files: tuple[Path, ...]
    hidden: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    refused: tuple[DocumentError, ...] = ()


def walk(paths: Sequence[Path]) -> Walk:
    """Find the files under the given paths. Raises InputError for a path that does not exist.

    A given path is taken whatever its name is, and followed if it is a link. Below it, a link is followed only to what
    lies in one of the given folders, and nothing is taken twice, so no loop of links is endless.
    """
    found = _Search([Path(os.path.abspath(path)) for path in paths])  # noqa: PTH100  links stay what they are
    return Walk(tuple(sorted(found.files)), found.hidden, found.unknown, tuple(found.refused))


class _Search:
    def __init__(self, given: Sequence[Path]) -> None:
        self.files: list[Path] = []
        self.hidden = 0
        self.unknown: Counter[str] = Counter()
        self.refused: list[DocumentError] = []
        self._roots: list[Path] = []
        self._seen: set[Path] = set()  # what it is without links
        self._links: list[Path] = []
        for path in given:
            try:
                self._roots.append(path.resolve(strict=True))
            except FileNotFoundError:
                raise InputError("E-FILE-MISSING", path=shown(str(path), _SHOWN), cwd=Path.cwd()) from None
            except (OSError, RuntimeError, ValueError) as error:  # a loop of links, no permission, a NUL
                raise InputError("E-FILE-READ", path=shown(str(path), _SHOWN), reason=_reason(error)) from None
        for path, real in zip(given, self._roots, strict=True):
            self._take(path, real, given=True)
        # What is there under its own name is taken under it; links come after.
        while self._links:
            self._links.sort(reverse=True)
            self._follow(self._links.pop())

    def _take(self, path: Path, real: Path, *, given: bool = False) -> None:
        """Take a file, or all that is in a folder."""
        top = path
        left = [(path, real)]
        while left:
            path, real = left.pop()
            if real in self._seen:
                continue
            try:
                mode = real.stat().st_mode
                if stat.S_ISDIR(mode):
                    self._seen.add(real)
                    left += reversed([(path / name, real / name) for name in self._names(path, real)])
                    continue
            except OSError as error:
                self._refuse("E-FILE-READ", path, reason=_reason(error))
                continue
            if not stat.S_ISREG(mode):
                self.unknown[""] += 1
            elif not (given and path is top) and path.suffix.lower() not in KINDS:
                self.unknown[path.suffix.lower()] += 1
            elif not _is_text(path):
                self._refuse("E-DOCUMENT-NAME", path)
            else:
                self._seen.add(real)
                self.files.append(path)

    def _names(self, path: Path, real: Path) -> Iterator[str]:
        """Give the names in a folder that are to be looked at, and put its links aside."""
        with os.scandir(real) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    self.hidden += 1
                elif entry.is_symlink():
                    self._links.append(path / entry.name)
                else:
                    yield entry.name

    def _follow(self, link: Path) -> None:
        try:
            real = link.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            self._refuse("E-FILE-READ", link, reason=_reason(error))
            return
        if any(real == root or root in real.parents for root in self._roots):
            self._take(link, real)
        else:
            self._refuse("E-DOCUMENT-OUTSIDE", link, target=shown(str(real), _SHOWN))

    def _refuse(self, code: str, path: Path, **parameters: object) -> None:
        self.refused.append(DocumentError(code, path=shown(str(path), _SHOWN), **parameters))


def _is_text(path: Path) -> bool:
    """Tell whether a path can be written down: names may be any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()

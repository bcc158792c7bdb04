"""Files go into a library: new and changed ones are read, unchanged ones left alone, deleted ones taken out."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from puna.errors import DocumentError, LibraryError, shown
from puna.library.embedding import Embedder
from puna.library.parse import Parser, contents
from puna.library.passages import passages
from puna.library.types import Document, Passage, Store
from puna.library.walk import Walk, walk

MODEL = "vectors"  # the setting that names the model of a library's vectors
What = Literal["added", "replaced", "unchanged", "removed", "skipped"]


class Step(NamedTuple):
    """What was done with a file, as a reader of the library sees it from now on; `error`: why it was skipped.

    done, total: files looked at so far, and in all.
    """

    path: str
    what: What
    done: int
    total: int
    error: DocumentError | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What indexing did. `skipped`: files that could not be read, by name; `hidden`, `unknown`: see Walk.

    stopped: it was asked to stop before the end; the next call goes on from there.
    """

    files: int
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: tuple[DocumentError, ...] = ()
    hidden: int = 0
    unknown: tuple[tuple[str, int], ...] = ()
    stopped: bool = False


def index(
    paths: Sequence[str | Path],
    store: Store,
    report: Callable[[Step], None] | None = None,
    *,
    embedder: Embedder | None = None,
    stop: Callable[[], bool] | None = None,
) -> Summary:
    """Bring a library up to date with files and all files in folders.

    A file is known again by the SHA-256 of its bytes; names and times tell nothing. Each document is one change, on the
    disk before `report` hears of it. What the library holds of a given path, or of files under it, and is no longer
    there is taken out; so is the old text of a file that has changed and cannot be read any more. A folder or file that
    cannot be opened keeps what is held of it.

    Raises InputError for a path that neither exists nor is held, LibraryError where the library cannot be written; what
    was reported stays.
    """
    _agree(store, embedder)
    given = [os.path.abspath(path) for path in paths]  # noqa: PTH100  links stay what they are
    # Before the walk: what another process adds meanwhile is none of ours to take out.
    before = {entry.path: entry.id for entry in store.entries() if _under(entry.path, given)}
    there = [
        Path(path) for path in given if os.path.lexists(path) or not any(_under(held, [path]) for held in before)
    ]
    found = walk(there) if there else Walk(())
    gone = _gone(before, found)
    counts: dict[What, int] = dict.fromkeys(("added", "replaced", "unchanged", "removed", "skipped"), 0)
    skipped: list[DocumentError] = []
    total, done = len(found.files) + len(gone) + len(found.refused), 0

    def tell(path: str, what: What, error: DocumentError | None = None) -> None:
        nonlocal done
        done += 1
        counts[what] += 1
        if error is not None:
            skipped.append(error)
        if report is not None:
            report(Step(path, what, done, total, error))

    def summary(stopped: bool) -> Summary:
        numbers = {what: count for what, count in counts.items() if what != "skipped"}
        unknown = tuple(sorted(found.unknown.items()))
        return Summary(
            len(found.files),
            **numbers,
            skipped=tuple(skipped),
            hidden=found.hidden,
            unknown=unknown,
            stopped=stopped,
        )

    for error in found.refused:
        tell(str(error.parameters["path"]), "skipped", error)
    with Parser() as parser:
        for path in found.files:
            if stop is not None and stop():
                return summary(True)
            try:
                what = _bring_in(path, store, parser, embedder)
            except DocumentError as error:
                tell(str(path), "skipped", error)
            else:
                tell(str(path), what)
    for name in gone:
        if stop is not None and stop():
            return summary(True)
        held = store.entry(name)
        if held is not None and held.id == before[name]:
            store.remove([name])
            tell(name, "removed")
    return summary(False)


def keep(
    store: Store, path: str, digest: str, size: int, document: Document, embedder: Embedder | None = None
) -> None:
    """Cut a document into passages and put it under `path`, with their vectors where the library has some.

    digest: SHA-256 of the file's bytes; size: how many they are. Durable when this returns. Raises LibraryError.
    """
    pieces = passages(document)
    vectors = embedder.encode([passage_text(piece) for piece in pieces]) if embedder and pieces else None
    store.put(path, digest, size, document, pieces, vectors)


def passage_text(passage: Passage) -> str:
    """Give a passage as an embedder reads it: under its headings."""
    return "\n".join((*passage.headings, passage.text))


def _bring_in(path: Path, store: Store, parser: Parser, embedder: Embedder | None) -> What:
    raw = contents(path, parser.limits)
    digest, held = sha256(raw).hexdigest(), store.entry(str(path))
    if held is not None and held.digest == digest:
        return "unchanged"
    try:
        document = parser.parse(path, raw)
    except DocumentError:
        if held is not None:  # its text is no longer that of the file
            store.remove([held.path])
        raise
    keep(store, str(path), digest, len(raw), document, embedder)
    return "added" if held is None else "replaced"


def _agree(store: Store, embedder: Embedder | None) -> None:
    """Keep the name of the model of the vectors with the first document. Raises LibraryError for another one."""
    model, name = store.setting(MODEL), embedder.name if embedder else None
    if model is None and name is not None and next(iter(store.entries()), None) is None:
        store.set(MODEL, name)
        model = store.setting(MODEL)
    if model != name:
        raise LibraryError("E-LIBRARY-MODEL", model=shown(model or "-"), given=shown(name or "-"))


def _under(path: str, given: Sequence[str]) -> bool:
    return any(path == each or path.startswith(each.rstrip(os.sep) + os.sep) for each in given)


def _gone(before: dict[str, int], found: Walk) -> list[str]:
    """Give what was held and was not found. What cannot be looked into may still be there."""
    files = {str(path) for path in found.files}
    closed = [str(error.parameters["path"]) for error in found.refused]
    return [path for path in before if path not in files and not _under(shown(path, 4096), closed)]

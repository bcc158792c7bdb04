"""kill -9 in the middle, and several processes at once."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from puna.library.store import open_store
from tests.library.crash import EARLY, ROOT, WORKER, campaign

KILLS = 12


def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert campaign(tmp_path, KILLS) > 0


def test_killed_at_random_moments_on_postgresql(tmp_path: Path, database: str) -> None:
    assert campaign(tmp_path, KILLS // 2, where=database) > 0


def test_a_report_that_comes_too_early_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="was reported done and is not there"):
        campaign(tmp_path, KILLS, bug=EARLY)


# Reads all the time: whatever is there is whole.
READER = """
import sys
from puna.library.store import open_store
from puna.errors import LibraryError
store, seen = open_store(sys.argv[1], create=True), 0
print("ready", flush=True)
while seen < int(sys.argv[2]):
    hits = store.search(["river"], 100)
    for hit in hits[:3]:
        try:
            document, entry = store.document(hit.document), store.held(hit.document)
        except LibraryError as error:
            assert error.code == "E-LIBRARY-NO-DOCUMENT", error
            continue
        assert len(document.text) == entry.characters
        assert "river" in document.text[hit.start:hit.end]
    seen = sum(1 for entry in store.entries())
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_index_and_one_reads(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    where = str(tmp_path / "library") if kind == "sqlite" else request.getfixturevalue("database")
    shared, other = tmp_path / "shared", tmp_path / "other"
    for folder in (shared, other):
        folder.mkdir()
        for n in range(15):
            (folder / f"{n}.txt").write_text("\n\n".join(f"The river {i} of {folder.name} {n}." for i in range(50)))
    commands = [
        [sys.executable, "-c", READER, where, "30"],
        *([sys.executable, "-c", WORKER, where, str(folder)] for folder in (shared, shared, other)),
    ]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        for process in running[1:]:
            out, err = process.communicate()
            assert (process.returncode, err) == (0, "")
            assert out.endswith("end\n")
        _, err = running[0].communicate()
        assert (running[0].returncode, err) == (0, "")
    finally:
        for process in running:
            process.kill()
    store = open_store(where, create=False)
    held = {entry.path: entry.digest for entry in store.entries()}
    files = [*shared.iterdir(), *other.iterdir()]
    assert held == {str(path): sha256(path.read_bytes()).hexdigest() for path in files}
    assert store.check() == []
    store.close()

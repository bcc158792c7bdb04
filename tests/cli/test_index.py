"""`puna index` from the outside."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from puna.library.store import open_store
from tests.cli.run import puna


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "walk.txt").write_text("Ann led the walk.\n\nBob followed.", "utf-8")
    (folder / "山.md").write_text("# 山峰\n\n珠穆朗玛峰是最高的山峰。\n", "utf-8")
    return folder


def test_made_brought_up_to_date_listed_and_checked(files: Path, tmp_path: Path) -> None:
    library = str(tmp_path / "library")
    done = puna("index", "files", "--library", library, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "2 added, 0 replaced, 0 unchanged, 0 removed, 0 skipped\n",
        "",
    )
    (files / "山.md").unlink()
    (files / "walk.txt").write_text("Bob led the walk.", "utf-8")
    (files / "new.csv").write_text("a,b\n1,2\n", "utf-8")
    (files / "table.xlsx").write_text("x", "utf-8")
    (files / ".hidden").write_text("x", "utf-8")
    done = puna("index", "files", "--library", library, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "library": library,
        "files": 2,
        "added": 1,
        "replaced": 1,
        "unchanged": 0,
        "removed": 1,
        "hidden": 1,
        "stopped": False,
        "skipped": [],
        "unknown": {".xlsx": 1},
    }
    listed = json.loads(puna("index", "--list", "--library", library, "--json").stdout)["documents"]
    assert [each["path"] for each in listed] == [str(files / "new.csv"), str(files / "walk.txt")]
    assert set(listed[0]) == {"id", "path", "digest", "size", "title", "characters", "passages"}
    assert str(files / "walk.txt") in puna("index", "--list", "--library", library).stdout
    done = puna("index", "--check", "--library", library)
    assert (done.returncode, done.stdout) == (0, "nothing is wrong with it\n")
    assert json.loads(puna("index", "--check", "--library", library, "--json").stdout)["findings"] == []


@pytest.mark.parametrize(("language", "says"), [("en", "skipped: "), ("zh", "已跳过：")])
def test_what_is_skipped_is_named(files: Path, tmp_path: Path, language: str, says: str) -> None:
    (files / "bad\x1b[2J.pdf").write_bytes(b"%PDF-1.7")
    done = puna("index", str(files), "--library", str(tmp_path / "library"), PUNA_LANG=language)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(says)
    assert "bad" in line
    assert line.endswith("[E-DOCUMENT-DAMAGED]")
    assert "\x1b" not in done.stderr
    found = json.loads(puna("index", str(files), "--library", str(tmp_path / "library"), "--json").stdout)
    assert [each["code"] for each in found["skipped"]] == ["E-DOCUMENT-DAMAGED"]
    assert found["unchanged"] == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--library", "L"), "E-USAGE"),
        (("files", "--list", "--library", "L"), "E-USAGE"),
        (("--list", "--check", "--library", "L"), "E-USAGE"),
        (("--list", "--library", "L"), "E-LIBRARY-MISSING"),
        (("files",), "E-USAGE"),
        (("absent", "--library", "L"), "E-FILE-MISSING"),
        (("files", "--library", "files/walk.txt"), "E-LIBRARY-NO-FOLDER"),
        (("files", "--library", "postgresql://127.0.0.1:1/x"), "E-LIBRARY-SERVER"),
    ],
)
def test_bad_input(files: Path, tmp_path: Path, arguments: tuple[str, ...], code: str) -> None:
    done = puna("index", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.splitlines()[0].endswith(f"[{code}]")


def test_ctrl_c_ends_after_the_document(tmp_path: Path) -> None:
    folder, library = tmp_path / "files", str(tmp_path / "library")
    folder.mkdir()
    for n in range(150):
        (folder / f"{n:03}.txt").write_text(f"text {n} " * 200)
    command = [sys.executable, "-m", "puna.cli.main", "index", str(folder), "--library", library]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PUNA_LANG": "en"}
    )
    while _held(library) < 3:
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130
    assert err.startswith("stopped after ")
    done = int(err.split()[2])
    assert 3 <= done < 150
    assert f"{done} added" in out
    found = json.loads(puna("index", str(folder), "--library", library, "--json").stdout)
    assert (found["unchanged"], found["added"]) == (done, 150 - done)


def _held(library: str) -> int:
    from puna.errors import LibraryError
    from puna.library.store import open_store

    try:
        store = open_store(library, create=False)
    except LibraryError:
        return 0
    count = sum(1 for _ in store.entries())
    store.close()
    return count


def test_vectors_are_kept_and_their_model_remembered(files: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from tests.library.sentences import write_model

    model, library = str(write_model(tmp_path / "model")), str(tmp_path / "library")
    done = puna("index", str(files / "walk.txt"), "--library", library, "--vectors", model)
    assert (done.returncode, done.stderr) == (0, "")
    assert puna("index", str(files), "--library", library).stdout.startswith("1 added, 0 replaced, 1 unchanged")
    other = str(write_model(tmp_path / "other"))
    done = puna("index", str(files), "--library", library, "--vectors", other)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("[E-LIBRARY-MODEL]")
    done = puna("index", str(files), "--library", library, "--vectors", str(tmp_path / "absent"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("[E-LIBRARY-EMBEDDER]")


def test_synonyms_are_kept_and_bad_ones_refused(files: Path, tmp_path: Path) -> None:
    library, words = tmp_path / "library", tmp_path / "synonyms.txt"
    words.write_text("lonely\n", "utf-8")
    done = puna("index", files, "--library", library, "--synonyms", words)
    assert done.returncode == 2
    assert "line 1" in done.stderr
    assert not library.exists()
    words.write_text("珠穆朗玛峰, 珠峰\n", "utf-8")
    done = puna("index", files, "--library", library, "--synonyms", words)
    assert done.returncode == 0, done.stderr
    store = open_store(library, create=False)
    assert [store.held(hit.document).path for hit in store.search(["珠峰"], 5)] == [str(files / "山.md")]
    store.close()
    assert puna("index", "--list", "--library", library, "--synonyms", words).returncode == 2

"""What indexing does with files, held against the files themselves."""

import os
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import puna.library.indexing as indexing
from puna.errors import InputError, LibraryError
from puna.library.indexing import Step, index
from puna.library.segment import terms
from puna.library.store import open_store
from puna.library.types import Document, Passage, Store

WORDS = "river hill 山峰 walk map stone water 最高的山 road the of".split()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    sqlite = request.param == "sqlite"
    opened = open_store(str(tmp_path / "library") if sqlite else request.getfixturevalue("database"), create=True)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return str(path)


def held(store: Store) -> dict[str, str]:
    return {entry.path: entry.digest for entry in store.entries()}


def on_disk(folder: Path) -> dict[str, str]:
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.txt")}


def test_the_library_follows_the_files(store: Store, folder: Path, tmp_path: Path) -> None:
    draw = random.Random(1)
    before: dict[str, str] = {}
    for _ in range(8):
        for _ in range(6):
            path = folder / draw.choice("abc") / f"{draw.randrange(4)}.txt"
            if draw.random() < 0.3:
                path.unlink(missing_ok=True)
            else:
                write(path, " ".join(draw.choices(WORDS, k=draw.randrange(1, 400))))
        steps: list[Step] = []
        found = index([folder], store, steps.append)
        now = on_disk(folder)
        assert held(store) == now
        assert found.added == len(now.keys() - before.keys())
        assert found.removed == len(before.keys() - now.keys())
        assert found.replaced == sum(now[path] != before[path] for path in now.keys() & before.keys())
        assert found.added + found.replaced + found.unchanged == found.files == len(now)
        assert [step.done for step in steps] == list(range(1, len(steps) + 1))
        assert {step.total for step in steps} <= {len(steps)}
        before = now
    for entry in store.entries():
        assert store.document(entry.id).text == Path(entry.path).read_text("utf-8")
        assert entry.size == Path(entry.path).stat().st_size
    anew = open_store(tmp_path / "anew", create=True)
    index([folder], anew)
    for word in ("river", "the"):
        got, want = (
            [
                (each.held(hit.document).path, hit.start, hit.end, hit.score)
                for hit in each.search(terms(word), 1000)
            ]
            for each in (store, anew)
        )
        assert sorted(row[:3] for row in got) == sorted(row[:3] for row in want)
        assert [row[3] for row in got] == pytest.approx([row[3] for row in want])
        assert got
    anew.close()
    assert store.check() == []


def test_content_counts_and_nothing_else(store: Store, folder: Path) -> None:
    path = folder / "a.txt"
    write(path, "one")
    os.utime(path, (1, 1))
    index([folder], store)
    path.touch()
    assert index([folder], store).unchanged == 1
    write(path, "two")
    os.utime(path, (1, 1))  # of the same size and time as the first
    assert index([folder], store).replaced == 1
    assert len(store.search(terms("two"), 5)) == 1


def test_a_document_is_there_when_it_is_reported(store: Store, folder: Path) -> None:
    for n in range(5):
        write(folder / f"{n}.txt", f"text {n}")
    seen = []

    def report(step: Step) -> None:
        entry = store.entry(step.path)
        assert entry
        seen.append(store.document(entry.id).text)

    index([folder], store, report)
    assert seen == [f"text {n}" for n in range(5)]


def test_only_what_stood_under_the_given_paths_is_removed(store: Store, folder: Path) -> None:
    one, like, other = (write(folder / name, name) for name in ("in/a.txt", "inner/b.txt", "c.txt"))
    index([folder], store)
    for path in (one, like, other):
        Path(path).unlink()
    assert index([folder / "in"], store).removed == 1
    assert held(store).keys() == {like, other}
    assert index([other], store).removed == 1
    (folder / "inner").rmdir()
    assert index([folder / "inner"], store).removed == 1
    with pytest.raises(InputError) as caught:
        index([folder / "inner"], store)
    assert caught.value.code == "E-FILE-MISSING"


def test_a_wrong_path_changes_nothing(store: Store, folder: Path) -> None:
    gone = write(folder / "a.txt", "word")
    index([folder], store)
    Path(gone).unlink()
    with pytest.raises(InputError):
        index([folder, folder / "absent"], store)
    assert held(store).keys() == {gone}


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(store: Store, folder: Path) -> None:
    for n in range(3):
        write(folder / f"{n}.txt", "good")
    (folder / "1.pdf").write_bytes(b"%PDF-1.7 and no more")
    (folder / "2.docx").write_bytes(b"PK\x03\x04")
    write(folder / "x.xlsx", "of another kind")
    steps: list[Step] = []
    found = index([folder], store, steps.append)
    assert found.added == 3
    names = [str(folder / name) for name in ("1.pdf", "2.docx")]
    assert [error.parameters["path"] for error in found.skipped] == names
    assert [step.path for step in steps if step.what == "skipped"] == names
    assert found.unknown == ((".xlsx", 1),)
    assert index([folder], store).unchanged == 3


def test_old_text_of_a_file_that_is_damaged_now_is_out(store: Store, folder: Path) -> None:
    path = folder / "a.jsonl"
    write(path, '{"text": "some words"}\n')
    assert index([folder], store).added == 1
    path.write_bytes(b"\xff\xfe\x00\xd8\x00")
    (error,) = index([folder], store).skipped
    assert error.parameters["path"] == str(path)
    assert held(store) == {}


def test_a_folder_that_cannot_be_opened_keeps_its_documents(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = write(folder / "closed" / "a.txt", "word"), write(folder / "b.txt", "word")
    index([folder], store)
    Path(gone).unlink()
    scan = os.scandir

    def scandir(path: Path) -> "os._ScandirIterator[str]":
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = index([folder], store)
    assert held(store).keys() == {kept}
    assert (found.removed, len(found.skipped)) == (1, 1)


def test_what_another_adds_meanwhile_stays(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "a.txt", "word")
    walk = indexing.walk

    def walking(paths: list[Path]) -> indexing.Walk:
        found = walk(paths)
        store.put(str(folder / "new.txt"), "0" * 64, 3, Document("new"), [Passage(0, 3, "new")])
        return found

    monkeypatch.setattr(indexing, "walk", walking)
    assert index([folder], store).removed == 0
    assert held(store).keys() == {str(folder / "a.txt"), str(folder / "new.txt")}


def test_stopped_and_gone_on(store: Store, folder: Path) -> None:
    for n in range(6):
        write(folder / f"{n}.txt", f"text {n}")
    steps: list[Step] = []
    found = index([folder], store, steps.append, stop=lambda: len(steps) >= 2)
    assert (found.stopped, found.added, found.files) == (True, 2, 6)
    assert len(held(store)) == 2
    found = index([folder], store)
    assert (found.stopped, found.added, found.unchanged) == (False, 4, 2)


class Letters:
    """Counts letters: an embedder without a model."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[text.count(c) for c in "abcdefgh"] for text in texts], np.float32)

    def query(self, question: str) -> np.ndarray:
        return self.encode([question])[0]


def test_vectors(store: Store, folder: Path) -> None:
    for name in ("aaaa", "bbbb", "abab"):
        write(folder / f"{name}.txt", name)
    one = Letters("one")
    index([folder], store, embedder=one)
    (first, *_) = store.near(one.query("bb"), 3)
    assert store.held(first.document).path.endswith("bbbb.txt")
    assert first.score == 8.0
    before = held(store)
    write(folder / "new.txt", "new")
    for other in (Letters("other"), None):
        with pytest.raises(LibraryError) as caught:
            index([folder], store, embedder=other)
        assert caught.value.code == "E-LIBRARY-MODEL"
    assert held(store) == before
    assert index([folder], store, embedder=Letters("one")).added == 1


def test_a_library_without_vectors_stays_without(store: Store, folder: Path) -> None:
    write(folder / "a.txt", "word")
    index([folder], store)
    with pytest.raises(LibraryError) as caught:
        index([folder], store, embedder=Letters("one"))
    assert caught.value.code == "E-LIBRARY-MODEL"

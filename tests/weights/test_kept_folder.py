"""The folder of what was read, and the digests of models that it remembers."""

import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from puna.weights import identity
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder, kept_dir


def put(folder: Path, number: int, size: int, used: int, model: str = "a" * 16) -> str:
    name = f"{model}-{number:048x}.safetensors"
    (folder / name).write_bytes(b"x" * size)
    os.utime(folder / name, (used, used))
    return name


def test_it_stands_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path))
    assert kept_dir() == tmp_path / "kept"
    assert KeptFolder(kept_dir()).files() == []
    assert not kept_dir().exists()


def test_room_is_made_by_the_least_recently_used(tmp_path: Path) -> None:
    """Random sizes, times and files to spare, against what sorting says."""
    rng = random.Random(8)
    for round_ in range(60):
        folder = tmp_path / str(round_)
        folder.mkdir()
        sizes, used = {}, {}
        for number in range(rng.randint(0, 8)):
            name = put(folder, number, size := rng.randint(1, 100), when := rng.randrange(10**6))
            sizes[name], used[name] = size, when
        spared = {name for name in sizes if rng.random() < 0.3}
        limit, new = rng.randint(50, 400), rng.randint(1, 150)
        left = dict(sizes)
        for name in sorted(sizes, key=lambda name: used[name]):
            if sum(left.values()) + new > limit and name not in spared:
                del left[name]
        fits = sum(left.values()) + new <= limit
        assert KeptFolder(folder, limit=limit).make_room(new, spared) == fits
        assert {path.name for path in folder.iterdir()} == set(left if fits else sizes)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("model.safetensors", "notes.txt", "a" * 16 + "-b.safetensors"):
        (tmp_path / name).write_bytes(b"x" * 100)
    put(tmp_path, 1, 10, 5)
    folder = KeptFolder(tmp_path, limit=50)
    assert folder.make_room(45, set())
    put(tmp_path, 2, 10, 5)
    assert len(folder.clear()) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_what_killed_processes_left_goes(tmp_path: Path) -> None:
    folder = KeptFolder(tmp_path)
    for name, when in ((".puna-kept-old", 5), (".puna-kept-new", None)):
        (tmp_path / name).write_bytes(b"half")
        if when:
            os.utime(tmp_path / name, (when, when))
    assert folder.make_room(1, set())
    assert [path.name for path in tmp_path.iterdir()] == [".puna-kept-new"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    folder = KeptFolder(tmp_path / "new")
    with folder.writing("name") as path:
        path.write_text("first")
    with pytest.raises(ZeroDivisionError), folder.writing("name") as path:
        path.write_text(str(1 // 0))
    assert [path.read_text() for path in (tmp_path / "new").iterdir()] == ["first"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF one")
    return path


def settle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the last change be long ago."""
    monkeypatch.setattr(identity, "_SETTLED", -(10**18))


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    paths: list[Path] = []
    real = identity.hash_file
    monkeypatch.setattr(identity, "hash_file", lambda path: paths.append(path) or real(path))
    return paths


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def test_a_model_is_hashed_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(model, monkeypatch)
    paths, folder = hashed(monkeypatch), KeptFolder(tmp_path / "kept")
    for _ in range(3):
        assert model_digest(model, folder) == (sha(b"GGUF one"), None)
    assert paths == [model]


def test_a_changed_model_is_another(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of the same size and time of change: the inode, or the time of its change, is another."""
    settle(model, monkeypatch)
    folder = KeptFolder(tmp_path / "kept")
    first, _ = model_digest(model, folder)
    before = model.stat()
    other = tmp_path / "other"
    other.write_bytes(b"GGUF two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(model)
    assert model_digest(model, folder) == (sha(b"GGUF two"), first)
    assert model_digest(model, folder) == (sha(b"GGUF two"), None)


def test_a_digest_that_another_place_has_is_not_over(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(model, monkeypatch)
    folder, copy = KeptFolder(tmp_path / "kept"), tmp_path / "copy.gguf"
    copy.write_bytes(model.read_bytes())
    assert model_digest(model, folder) == model_digest(copy, folder)
    model.write_bytes(b"GGUF three")
    assert model_digest(model, folder) == (sha(b"GGUF three"), None)


def test_what_has_just_changed_is_not_remembered(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change in the same moment of the clock would pass unseen."""
    monkeypatch.setattr(identity, "_SETTLED", 10**18)
    paths, folder = hashed(monkeypatch), KeptFolder(tmp_path / "kept")
    for _ in range(3):
        model_digest(model, folder)
    assert paths == [model] * 3


@pytest.mark.parametrize(
    "junk", ["", "{", "[]", "1", "null", '{"PLACE": 1}', '{"PLACE": [[], "../../x"]}', '{"PLACE": [null, null]}']
)
def test_a_damaged_memory_is_none(junk: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(model, monkeypatch)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "models.json").write_text(junk.replace("PLACE", str(model)))
    folder = KeptFolder(tmp_path / "kept")
    assert model_digest(model, folder) == (sha(b"GGUF one"), None)
    assert list(json.loads((tmp_path / "kept" / "models.json").read_text())) == [str(model)]


def test_a_folder_is_its_weights_and_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, home = KeptFolder(tmp_path / "kept"), tmp_path / "model"
    home.mkdir()
    for name in ("config.json", "a.safetensors", "b.safetensors", "README.md"):
        (home / name).write_text(name)
    found = {model_digest(home, folder)[0]}
    for name in ("config.json", "a.safetensors", "b.safetensors"):
        (home / name).write_text("other")
        found.add(model_digest(home, folder)[0])
    assert len(found) == 4
    (home / "README.md").write_text("other")
    assert model_digest(home, folder)[0] in found
    alone = {model_digest(home / "a.safetensors", folder)[0]}
    (home / "config.json").write_text("a third")
    alone.add(model_digest(home / "a.safetensors", folder)[0])
    assert len(alone) == 2


def test_a_folder_that_cannot_be_written_remembers_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(model, monkeypatch)
    (tmp_path / "file").write_text("no folder")
    assert model_digest(model, KeptFolder(tmp_path / "file")) == (sha(b"GGUF one"), None)

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from puna.errors import ModelFileError, PullError
from puna.messages import MESSAGES
from puna.weights import store
from puna.weights.digest import digest_of, hash_file
from tests.weights.pull_server import sha


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    folder = store.models_dir()
    folder.mkdir(parents=True)
    return folder


def test_models_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path))
    assert store.models_dir() == tmp_path / "models"
    monkeypatch.setenv("PUNA_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert store.models_dir().name == "models"
    assert "puna" in str(store.models_dir())


@given(st.text(max_size=300))
@example("../x")
@example("/etc/passwd")
@example("a\\b")
@example("C:x")
@example("x\0")
@example("x\n")
@example("NUL")
@example("com1.gguf")
@example(".pull")
@example("x.json")
@example("x.part")
@example("-rf")
@example("x.")
@example("a\u202egguf")
@example("\ud800")
@example("n" * 201)
@example("模" * 67)
def test_names_that_pass_are_single_harmless_file_names(name):
    refused = None
    try:
        assert store.check_name(name) == name
    except PullError as error:
        refused = error
    if refused:
        assert refused.code == "E-MODEL-NAME"
        assert refused.describe("zh")[0].isprintable()
        return
    joined = Path(os.path.normpath(f"/models/{name}"))
    assert joined.parent == Path("/models")
    assert joined.name == name
    assert len(os.fsencode(name)) <= 200
    assert name[0] not in ".-~ "
    assert not set(name) & set('/\\:*?"<>|\0\r\n')


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "../x", "a/b", "x\0", "AUX", "lpt9.gguf", "x" * 256, "m.json", "x "]
)
def test_bad_names(bad):
    with pytest.raises(PullError):
        store.check_name(bad)


@pytest.mark.parametrize("good", ["m.gguf", "Qwen--Qwen2.5-0.5B", "我的模型.gguf", "a b", "x" * 200])
def test_good_names(good):
    assert store.check_name(good) == good


def test_cache_names():
    assert store.cache_name("Qwen/Qwen2.5-0.5B") == "Qwen--Qwen2.5-0.5B"
    assert store.cache_name("o/n:q4/m.gguf") == "o--n--q4--m.gguf"
    for other in ("o/n/m", "../n", "o/..", "o--a/n", "/n", "o/", "o/n:m.bin", "plain"):
        assert store.cache_name(other) == other


def test_resolve(models, tmp_path, monkeypatch):
    with pytest.raises(PullError) as caught:
        store.resolve(None)
    assert caught.value.code == "E-MODEL-NOT-PULLED"
    assert "puna pull" in caught.value.describe()[1]
    default = models / store.DEFAULT_MODEL.name
    default.touch()
    (models / "o--n").mkdir()
    (models / "o--one.gguf").touch()
    (models / "o--n--m.gguf").touch()
    assert store.resolve(None) == store.resolve("default") == default
    assert store.resolve("o/n") == store.resolve("o--n") == models / "o--n"
    assert (
        store.resolve("o/one") == store.resolve("o--one") == store.resolve("o--one.gguf") == models / "o--one.gguf"
    )
    assert store.resolve("o/n:m.gguf") == models / "o--n--m.gguf"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o--n").mkdir()
    assert str(store.resolve("o--n")) == "o--n"  # a path that exists comes first
    assert store.resolve(str(default)) == default


@pytest.mark.parametrize("model", ["", "nothing", "o/nothing", "../models", "x\0y", "z" * 5000, "/no/such"])
def test_resolve_unknown(models, model):
    with pytest.raises(ModelFileError) as caught:
        store.resolve(model)
    assert caught.value.code == "E-MODEL-UNKNOWN"
    assert "puna pull" in caught.value.describe("zh")[1]


def test_manifest(models):
    path = models / "m.gguf"
    path.write_bytes(b"GGUF")
    assert store.read_manifest(path) is None
    written = store.Manifest("m.gguf", "s", "o", None, None, "now", store.measure(path))
    store.write_manifest(path, written)
    assert store.read_manifest(path) == written
    assert written.sha256 == sha(b"GGUF") == hash_file(path)
    assert written.size == 4
    assert sorted(p.name for p in models.iterdir()) == ["m.gguf", "m.gguf.json"]
    for junk in ("", "{", "[]", "1", '{"files": {"a": 1}}', '{"files": {}}', '{"files": {"a": ["x", 1]}}'):
        store.manifest_path(path).write_text(junk)
        assert store.read_manifest(path) is None
    whole = json.loads(json.dumps(asdict(written)))
    for name in ("../m.gguf", "/etc/hostname", "a/../../b", "", "\ud800", "a\0b"):
        store.manifest_path(path).write_text(json.dumps({**whole, "files": {name: [1, "0" * 64]}}))
        assert store.read_manifest(path) is None
    for raw in (
        '{"files": {"a": [Infinity, "x"]}}',
        "[" * 100_000,
        '{"a": 1, "a": 2}',
        json.dumps({**whole, "files": {"a": [1, "\udc80"]}}),
    ):
        store.manifest_path(path).write_text(raw)
        assert store.read_manifest(path) is None
    store.manifest_path(path).unlink()
    os.mkfifo(store.manifest_path(path))  # opening it would wait for ever
    assert store.read_manifest(path) is None


def test_a_folder_has_the_sha256_of_its_listing(tmp_path):
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    found = {name: digest for name, (_, digest) in store.measure(tmp_path).items()}
    assert list(found) == ["a", "b"]
    assert digest_of(found) == sha(f"{sha(b'1')}  a\n{sha(b'2')}  b\n".encode())


def test_place_replaces_files_and_folders(tmp_path):
    for old_is_folder in (False, True):
        for new_is_folder in (False, True):
            home = tmp_path / f"{old_is_folder}{new_is_folder}"
            home.mkdir()
            for name, folder in (("old", old_is_folder), ("new", new_is_folder)):
                (home / name).mkdir() if folder else None
                (home / name / "x" if folder else home / name).write_text(name)
            store.place(home / "new", home / "old", home / "aside")
            assert (home / "old" / "x" if new_is_folder else home / "old").read_text() == "new"


def test_every_message_has_the_same_parameters_in_both_languages():
    import string

    for code, entry in MESSAGES.items():
        fields = [
            {name for text in pair for _, name, _, _ in string.Formatter().parse(text) if name} for pair in entry
        ]
        assert fields[0] == fields[1], code
        if code.startswith(("E-PULL", "E-MODEL-N", "E-MODEL-U")):
            assert all(entry.en), code
            assert all(entry.zh), code

"""Libraries that are damaged, another program's, or of another version: one clear error, or what is still right."""

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import puna.library.codec as codec
import puna.library.postgres_tables as postgres_tables
import puna.library.sqlite_file as sqlite_file
from puna.errors import LibraryError
from puna.library.passages import passages
from puna.library.segment import terms
from puna.library.sqlite import NAME
from puna.library.store import open_store
from puna.library.types import Document, Store

ROOT = Path(__file__).parents[2]
TEXT = "\n\n".join(f"Paragraph {n} of the river and 山峰 {n * n}." for n in range(40))


def fill(store: Store, documents: int = 4) -> None:
    for n in range(documents):
        document = Document(f"{TEXT} {n}", f"Title {n}")
        pieces = passages(document)
        vectors = [[float(n), float(i), 1.0] for i in range(len(pieces))]
        store.put(f"path {n}", "0" * 64, 10, document, pieces, vectors)


def use(folder: Path) -> list[str]:
    """Use all that a library has; give what `check` finds, or the code of the error."""
    try:
        store = open_store(folder, create=False)
        try:
            for entry in store.entries():
                store.document(entry.id)
            store.search(terms("river 山峰"), 50)
            store.near([1.0, 2.0, 3.0], 5)
            return store.check()
        finally:
            store.close()
    except LibraryError as error:
        return [error.code]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sound")
    store = open_store(folder, create=True)
    fill(store)
    store.close()
    assert use(folder) == []
    return (folder / NAME).read_bytes()


def test_cut_off(sound: bytes, tmp_path: Path) -> None:
    for size in (0, 1, 15, 16, 99, 100, 101, 4095, *range(4096, len(sound), 4096 * 3), len(sound) - 1):
        (tmp_path / NAME).write_bytes(sound[:size])
        (finding, *_) = use(tmp_path)
        assert finding in ("E-LIBRARY-DAMAGED", "E-LIBRARY-MISSING", "E-LIBRARY-FILE") or size > 4096
        if size:
            assert (tmp_path / NAME).read_bytes()[:1] == sound[:1]


def test_bits_flipped(sound: bytes, tmp_path: Path) -> None:
    draw, found = random.Random(1), 0
    for _ in range(150):
        broken = bytearray(sound)
        for _ in range(draw.choice((1, 8))):
            broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        (tmp_path / NAME).write_bytes(broken)
        for rest in ("-wal", "-shm"):
            (tmp_path / (NAME + rest)).unlink(missing_ok=True)
        found += bool(use(tmp_path))
    assert found > 30  # much of a small file is empty


def _sqlite(folder: Path, *statements: str) -> None:
    base = sqlite3.connect(folder / NAME)
    for sql in statements:
        base.execute(sql)
    base.commit()
    base.close()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("statements", "code"),
    [
        (("CREATE TABLE mine (x)",), "E-LIBRARY-FOREIGN"),
        (("PRAGMA application_id = 7",), "E-LIBRARY-FOREIGN"),
        ((f"PRAGMA application_id = {sqlite_file.APPLICATION}", "PRAGMA user_version = 99"), "E-LIBRARY-NEWER"),
        ((f"PRAGMA application_id = {sqlite_file.APPLICATION}", "PRAGMA user_version = -1"), "E-LIBRARY-DAMAGED"),
    ],
)
def test_what_is_not_ours_is_left_alone(
    tmp_path: Path, statements: tuple[str, ...], code: str, create: bool
) -> None:
    _sqlite(tmp_path, *statements)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(LibraryError) as caught:
        open_store(tmp_path, create=create)
    assert caught.value.code == code
    assert (tmp_path / NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("create", [False, True])
def test_no_database_at_all(tmp_path: Path, create: bool) -> None:
    (tmp_path / NAME).write_text("just some words, and enough of them to be no header of anything\n" * 50)
    (tmp_path / "file").write_text("")
    for folder, code in ((tmp_path, "E-LIBRARY-DAMAGED"), (tmp_path / "file", "E-LIBRARY-NO-FOLDER")):
        with pytest.raises(LibraryError) as caught:
            open_store(folder, create=create)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO words (words) VALUES ('delete-all')",
        "INSERT INTO words (rowid, body) VALUES (1, 'more')",
        "UPDATE passages SET start = start + 9 WHERE id = 2",
        "UPDATE passages SET stop = 10000000 WHERE id = 2",
        "UPDATE texts SET text = zeroblob(10)",
        "UPDATE texts SET structure = text",
        "UPDATE texts SET text = (SELECT text FROM texts WHERE document = 1)",
        "UPDATE documents SET characters = characters + 1",
        "DELETE FROM passages WHERE id = 3",
        "DELETE FROM documents WHERE id = 1",
        "UPDATE vectors SET data = zeroblob(length(data))",
        "UPDATE vectors SET first = first + 1",
    ],
)
def test_check_finds_what_was_changed(sound: bytes, tmp_path: Path, sql: str) -> None:
    (tmp_path / NAME).write_bytes(sound)
    assert use(tmp_path) == []
    _sqlite(tmp_path, sql)
    store = open_store(tmp_path, create=False)
    assert store.check() != []
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE puna.terms SET passages = passages + 1 WHERE term = 'river'",
        "DELETE FROM puna.terms WHERE term = 'river'",
        "INSERT INTO puna.terms VALUES ('more', 1)",
        "UPDATE puna.totals SET words = words + 1",
        "UPDATE puna.totals SET passages = passages - 1",
        "UPDATE puna.passages SET words = 'other:1'",
        "UPDATE puna.passages SET length = length + 1",
        "UPDATE puna.passages SET start = start + 9",
        "UPDATE puna.texts SET text = ''",
        "UPDATE puna.documents SET characters = 1",
        "DELETE FROM puna.passages WHERE id = (SELECT max(id) FROM puna.passages)",
        "UPDATE puna.vectors SET checksum = 1",
    ],
)
def test_check_finds_what_was_changed_on_postgresql(database: str, sql: str) -> None:
    import psycopg

    store = open_store(database, create=True)
    fill(store)
    assert store.check() == []
    with psycopg.connect(database) as base:
        base.execute(sql)
    assert store.check() != []
    store.close()


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        ("CREATE SCHEMA puna", "E-LIBRARY-FOREIGN"),
        ("CREATE SCHEMA puna; CREATE TABLE puna.settings (key text, value text)", "E-LIBRARY-FOREIGN"),
        (
            """CREATE SCHEMA puna; CREATE TABLE puna.settings (key text, value text);
            INSERT INTO puna.settings VALUES ('version', '99')""",
            "E-LIBRARY-NEWER",
        ),
    ],
)
def test_a_schema_that_is_not_ours(database: str, statements: str, code: str) -> None:
    import psycopg

    with psycopg.connect(database) as base:
        base.execute(statements)
    for create in (False, True):
        with pytest.raises(LibraryError) as caught:
            open_store(database, create=create)
        assert caught.value.code == code


@pytest.mark.parametrize("where", ["postgresql://ann:secret@127.0.0.1:1/x?password=secret", "postgresql://%%%"])
def test_a_server_that_is_not_there(where: str) -> None:
    with pytest.raises(LibraryError) as caught:
        open_store(where, create=True)
    assert caught.value.code == "E-LIBRARY-SERVER"
    assert "secret" not in str(caught.value)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "library") if request.param == "sqlite" else request.getfixturevalue("database")


def test_another_way_of_cutting_words_makes_the_index_anew(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(where, create=True)
    fill(store)
    old = store.search(terms("river"), 100)
    store.close()
    other = "otherwise"
    monkeypatch.setattr(codec, "terms", lambda text: [other + term for term in terms(text)])
    for module in (sqlite_file, postgres_tables):
        monkeypatch.setattr(module, "segmentation", lambda synonyms: "another")
    with pytest.raises(LibraryError) as caught:
        open_store(where, create=False)
    assert caught.value.code == "E-LIBRARY-SEGMENTATION"
    store = open_store(where, create=True)
    assert store.check() == []
    assert store.search(terms("river"), 100) == []
    assert store.search([other + term for term in terms("river")], 100) == old
    store.close()
    open_store(where, create=False).close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter: pytest's own are for one alone."""
    with tempfile.TemporaryDirectory(prefix="puna-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _as_nobody(folder: Path, told: int) -> None:
    """What another user can do with a library, written to `told`; in a process of its own."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    for create in (False, True):
        try:
            store = open_store(folder, create=create)
            os.write(told, f"{len(store.search(terms('river'), 3))} {store.check()}\n".encode())
            store.remove(["path 1"])
            os.write(told, b"written\n")
        except LibraryError as error:
            os.write(told, f"{error.code}\n".encode())


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_may_not_write_may_read(sound: bytes, open_folder: Path) -> None:
    folder = open_folder / "library"
    folder.mkdir()
    (folder / NAME).write_bytes(sound)
    answers, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            _as_nobody(folder, told)
        except BaseException as error:
            os.write(told, repr(error).encode())
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    with os.fdopen(answers) as lines:
        assert lines.read().splitlines() == ["3 []", "E-LIBRARY-FILE", "E-LIBRARY-FILE"]
    assert (folder / NAME).read_bytes() == sound
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_a_disk_that_is_full_keeps_what_was_done(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    draw = random.Random(1)
    for n in range(20):
        (files / f"{n:02}.txt").write_text(" ".join(f"w{draw.randrange(10**9)}" for _ in range(2000)))
    library = tmp_path / "library"
    command = [sys.executable, "-m", "puna.cli.main", "index", str(files), "--library", str(library)]
    limit = 400_000  # bytes of a file, as if the disk had no more

    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PUNA_LANG": "en"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=narrow, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].endswith("[E-LIBRARY-FILE]")
    assert len(done.stderr.splitlines()) == 2
    store = open_store(library, create=False)
    kept = sum(1 for _ in store.entries())
    assert 0 < kept < 20
    assert store.check() == []
    store.close()
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f'"added": {20 - kept}' in done.stdout
    shutil.rmtree(library)

"""Files under given folders: which are taken, and what is said of the others."""

import os
from pathlib import Path

import pytest

from puna.errors import InputError
from puna.library.walk import Walk, walk


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text")


def names(found: Walk, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found.files]


def codes(found: Walk, root: Path) -> list[tuple[str, str]]:
    return sorted((error.code, os.path.relpath(str(error.parameters["path"]), root)) for error in found.refused)


def test_files_in_order_with_counts_of_the_rest(tmp_path: Path) -> None:
    make(
        tmp_path,
        "b.txt",
        "a/z.PDF",
        "a/b/文.md",
        ".git/x.txt",
        "a/.hidden.txt",
        "c.exe",
        "d.exe",
        "README",
        "e.jsonl",
    )
    found = walk([tmp_path])
    assert names(found, tmp_path) == ["a/b/文.md", "a/z.PDF", "b.txt", "e.jsonl"]
    assert found.hidden == 2
    assert found.unknown == {".exe": 2, "": 1}
    assert found.refused == ()


def test_what_is_given_is_taken_whatever_its_name_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, ".secret/one.txt", "two.dat", "three.txt")
    monkeypatch.chdir(tmp_path)
    found = walk([Path(".secret"), Path("two.dat"), Path("three.txt"), tmp_path, Path("./three.txt")])
    assert names(found, tmp_path) == [".secret/one.txt", "three.txt", "two.dat"]
    assert all(path.is_absolute() for path in found.files)


def test_links_that_lead_out_are_told_and_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "in/a.txt", "out/b.txt", "out/deep/c.txt")
    (tmp_path / "in/file.txt").symlink_to(tmp_path / "out/b.txt")
    (tmp_path / "in/folder").symlink_to(tmp_path / "out")
    (tmp_path / "in/up").symlink_to("../..")
    (tmp_path / "in/nowhere.txt").symlink_to(tmp_path / "none.txt")
    found = walk([tmp_path / "in"])
    assert names(found, tmp_path) == ["in/a.txt"]
    assert codes(found, tmp_path) == [
        ("E-DOCUMENT-OUTSIDE", "in/file.txt"),
        ("E-DOCUMENT-OUTSIDE", "in/folder"),
        ("E-DOCUMENT-OUTSIDE", "in/up"),
        ("E-FILE-READ", "in/nowhere.txt"),
    ]


def test_a_folder_beside_one_whose_name_it_begins_with_is_outside(tmp_path: Path) -> None:
    make(tmp_path, "in/a.txt", "inside/b.txt")
    (tmp_path / "in/link.txt").symlink_to(tmp_path / "inside/b.txt")
    assert codes(walk([tmp_path / "in"]), tmp_path) == [("E-DOCUMENT-OUTSIDE", "in/link.txt")]


def test_links_within_what_is_given_name_nothing_twice(tmp_path: Path) -> None:
    make(tmp_path, "one/a.txt", "two/b.txt", "one/.store/c.txt")
    (tmp_path / "one/0.txt").symlink_to("a.txt")
    (tmp_path / "one/other").symlink_to("../two")
    (tmp_path / "one/shown.txt").symlink_to(".store/c.txt")
    found = walk([tmp_path / "one", tmp_path / "two"])
    assert names(found, tmp_path) == ["one/a.txt", "one/shown.txt", "two/b.txt"]
    assert found.refused == ()


def test_loops_of_links_end(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c.txt")
    (tmp_path / "a/b/self").symlink_to(".")
    (tmp_path / "a/b/up").symlink_to("../..")
    (tmp_path / "a/ring1").symlink_to("ring2")
    (tmp_path / "a/ring2").symlink_to("ring1")
    (tmp_path / "l").symlink_to("a")
    found = walk([tmp_path])
    assert names(found, tmp_path) == ["a/b/c.txt"]
    assert codes(found, tmp_path) == [("E-FILE-READ", "a/ring1"), ("E-FILE-READ", "a/ring2")]


def test_a_given_link_is_followed(tmp_path: Path) -> None:
    make(tmp_path, "real/a.txt")
    (tmp_path / "link").symlink_to("real")
    assert names(walk([tmp_path / "link"]), tmp_path) == ["link/a.txt"]


def test_pipes_and_the_like_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    found = walk([tmp_path])
    assert found.files == ()
    assert found.unknown == {"": 1}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.txt")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    make(tmp_path, "new\nline.txt")
    found = walk([tmp_path])
    assert names(found, tmp_path) == ["new\nline.txt"]
    assert [error.code for error in found.refused] == ["E-DOCUMENT-NAME"]
    str(found.refused[0]).encode()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may open everything")
def test_a_folder_that_may_not_be_opened_is_told(tmp_path: Path) -> None:
    make(tmp_path, "a/x.txt", "b.txt")
    (tmp_path / "a").chmod(0)
    try:
        found = walk([tmp_path])
    finally:
        (tmp_path / "a").chmod(0o700)
    assert names(found, tmp_path) == ["b.txt"]
    assert codes(found, tmp_path) == [("E-FILE-READ", "a")]


def test_deep_folders(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 500)
    make(tmp_path, f"{deep}/x.txt")
    assert names(walk([tmp_path]), tmp_path) == [f"{deep}/x.txt"]


@pytest.mark.parametrize("name", ["none", "a\0b", "none/x.txt"])
def test_what_does_not_exist(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        walk([tmp_path / name])
    assert refused.value.code in ("E-FILE-MISSING", "E-FILE-READ")

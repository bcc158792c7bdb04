"""`puna ask --keep` and `puna kept` from the outside."""

import json
from pathlib import Path

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny


@pytest.fixture
def ask(tmp_path: Path) -> tuple[str, ...]:
    model = write_tiny(tmp_path / "tiny.gguf")
    return ("ask", "Who came?", "--text", "Ann came. Bob saw her.", "--model", str(model), "--json")


def answers(stdout: str) -> dict:
    found = json.loads(stdout)
    del found["elapsed_ms"]
    return found


def test_what_is_kept_is_shown_used_and_cleared(ask: tuple[str, ...], tmp_path: Path) -> None:
    cache = {"PUNA_CACHE": str(tmp_path / "cache")}
    want = answers(puna(*ask, **cache).stdout)
    assert json.loads(puna("kept", "--json", **cache).stdout)["files"] == 0
    for _ in range(2):
        done = puna(*ask, "--keep", **cache)
        assert (answers(done.stdout), done.stderr) == (want, "")
        shown = json.loads(puna("kept", "--json", **cache).stdout)
        assert set(shown) == {"folder", "files", "bytes", "limit", "cleared"}
        assert shown["files"] == 2
        assert shown["bytes"] == sum(path.stat().st_size for path in tmp_path.glob("cache/kept/*.safetensors"))
    assert puna("kept", **cache).stdout.startswith("2 files, ")
    assert json.loads(puna("kept", "--clear", "--json", **cache).stdout)["files"] == 2
    assert puna("kept", "--clear", **cache).stdout == "removed 0 files, 0.0 MB\n"
    assert list(tmp_path.glob("cache/kept/*.safetensors")) == []


@pytest.mark.parametrize(("language", "says"), [("en", "warning: what was kept"), ("zh", "warning: 已保存")])
def test_damage_is_one_line_and_no_error(ask: tuple[str, ...], tmp_path: Path, language: str, says: str) -> None:
    cache = {"PUNA_CACHE": str(tmp_path / "cache"), "PUNA_LANG": language}
    want = puna(*ask, "--keep", **cache)
    for path in tmp_path.glob("cache/kept/*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    done = puna(*ask, "--keep", **cache)
    assert answers(done.stdout) == answers(want.stdout)
    assert done.returncode == want.returncode
    (line,) = done.stderr.splitlines()
    assert line.startswith(says)
    assert line.endswith("[E-KEPT-DAMAGED]")
    assert puna(*ask, "--keep", **cache).stderr == ""


def test_a_cache_that_cannot_be_written_is_one_line(ask: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, where the folder should be")
    done = puna(*ask, "--keep", PUNA_CACHE=str(tmp_path / "cache"))
    assert answers(done.stdout) == answers(puna(*ask).stdout)
    assert done.stderr.splitlines()[-1].endswith("[E-KEPT-WRITE]")
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines())

"""The command: what it refuses before a model is loaded."""

import socket

from tests.cli.run import puna


def refused(*arguments: str) -> str:
    done = puna("serve", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_another_address_needs_keys() -> None:
    assert "[E-SERVE-KEYS]" in refused("--host", "0.0.0.0")


def test_a_file_without_keys(tmp_path) -> None:
    (tmp_path / "keys").write_text("# none\n")
    assert "[E-SERVE-KEY-FILE]" in refused("--api-key-file", str(tmp_path / "keys"))


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "[E-SERVE-ADDRESS]" in refused("--port", str(taken.getsockname()[1]))


def test_an_address_of_another_machine(tmp_path) -> None:
    (tmp_path / "keys").write_text("a-key-that-is-long-enough\n")
    assert "[E-SERVE-ADDRESS]" in refused("--host", "192.0.2.1", "--api-key-file", str(tmp_path / "keys"))


def test_a_library_that_is_none(tmp_path) -> None:
    """Said before a model is loaded, and nothing is made."""
    import sqlite3

    (tmp_path / "file").write_text("x")
    assert "[E-LIBRARY-NO-FOLDER]" in refused("--library", str(tmp_path / "file"))
    (tmp_path / "foreign").mkdir()
    with sqlite3.connect(tmp_path / "foreign" / "library.sqlite") as base:
        base.execute("CREATE TABLE a (b)")
    base.close()
    before = (tmp_path / "foreign" / "library.sqlite").read_bytes()
    assert "[E-LIBRARY-FOREIGN]" in refused("--library", str(tmp_path / "foreign"))
    assert (tmp_path / "foreign" / "library.sqlite").read_bytes() == before

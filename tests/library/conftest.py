"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket there, gone at the end."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


def program(name: str) -> str | None:
    """Debian keeps a version's programs in a folder of their own."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


def missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; .ci/run installs it")
    pytest.skip(f"{reason}; on Debian: apt install postgresql")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The folder of a running server's socket."""
    initdb, postgres = program("initdb"), program("postgres")
    if not initdb or not postgres:
        missing("PostgreSQL is not installed")
    owner: dict = {}
    if os.geteuid() == 0:  # whom PostgreSQL refuses
        names = {each.pw_name: each for each in pwd.getpwall()}
        user = names.get("postgres") or names["nobody"]
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # A socket's path is at most 107 bytes long, and pytest's folders are root's alone.
    with tempfile.TemporaryDirectory(prefix="puna-") as folder:
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        data = f"{folder}/data"
        command = [initdb, "-D", data, "-U", "puna", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **owner)
        if done.returncode:
            missing(f"initdb says: {done.stderr}")
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off", "max_connections=50"]
        command = [postgres, "-D", data, *(part for setting in settings for part in ("-c", setting))]
        running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, **owner)
        try:
            assert running.stderr
            for line in running.stderr:
                if "ready to accept connections" in line:
                    break
            else:
                pytest.fail("PostgreSQL did not start")
            running.stderr.close()  # the server goes on without
            yield folder
        finally:
            running.terminate()
            running.wait()


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """The address of an empty database."""
    psycopg = pytest.importorskip("psycopg")
    name = f"d{uuid.uuid4().hex}"
    with psycopg.connect(f"postgresql:///postgres?host={server}&user=puna", autocommit=True) as base:
        base.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield f"postgresql:///{name}?host={server}&user=puna"
        base.execute(f"DROP DATABASE {name} WITH (FORCE)")

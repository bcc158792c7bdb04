"""The same questions on a Ray cluster of this machine: the same bytes, whoever dies; closed to others; nothing left."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from puna.errors import ModelFileError
from puna.library.library import Library
from puna.tasks.ask_many import Run, ask_here
from puna.tasks.many_rows import ManyRows, Waiting
from tests.cli.tiny_file import write_tiny
from tests.tasks.many import BAD, good_rows, how, write_lines

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="without Ray"),
    pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads what Linux tells of processes"),
]

# Read by every Python that starts: whoever asks the first question says so and waits to be allowed on, whoever asks the
# second one dies of it.
KILLER = """
import os, sys, time, importlib.abc, importlib.util
from pathlib import Path

FOLDER = Path({folder!r})

def said(what):
    with (FOLDER / what).open("a") as file:
        file.write(f"{{os.getpid()}}\\n")

class Deadly(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "puna.tasks.ask_row":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def changed(module):
            execute(module)
            ask = module.Asker.ask
            def deadly(self, number, raw):
                if b"Who waits?" in raw:
                    said("waiting")
                    while not (FOLDER / "go").exists():
                        time.sleep(0.01)
                if b"Who kills?" in raw:
                    said("killed")
                    os.kill(os.getpid(), 9)
                return ask(self, number, raw)
            module.Asker.ask = deadly
        spec.loader.exec_module = changed
        return spec

sys.meta_path.insert(0, Deadly())
"""


# A cluster that is there until its standard input ends; what others need to know to connect.
HELD = """
import os, sys
from puna.tasks.ray_cluster import cluster
with cluster(None, 2):
    import ray
    print(ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"], file=sys.__stdout__, flush=True)
    sys.stdin.read()
"""


# Ray's native code now and then ends a driver while it connects to a cluster, by _exit(1) and without a word; nothing was
# asked then. Puna itself is never silent with that code. So often the command is given before that is a failure.
SILENT = 4


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A folder whose name leaves room for those of sockets."""
    path = Path(tempfile.mkdtemp(prefix="p"))
    yield path
    left = [each.name for each in path.iterdir()]
    shutil.rmtree(path)
    assert left == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows, of which one kills who asks it and another makes him wait, and what a process gives that minds neither."""
    path = tmp_path_factory.mktemp("ray")
    write_tiny(path / "tiny.gguf")
    rows = good_rows(60)
    # Too far apart for one block.
    rows.insert(20, {"question": "Who kills?", "text": "Ann won."})
    rows.insert(0, {"question": "Who waits?", "text": "Bob won."})
    write_lines(path / "rows.jsonl", [*rows, *BAD])
    run, asked = begin(path, "here.jsonl")
    list(ask_here(run, asked.asker()))
    run.finish()
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the Pythons of `two_workers` start from, and write into what becomes of them."""
    path = tmp_path_factory.mktemp("site")
    (path / "sitecustomize.py").write_text(KILLER.format(folder=str(path)))
    return path


@pytest.fixture(scope="module")
def two_workers(short: Path, site: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """A cluster for two workers: the process that holds it, and the environment that finds it."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**quiet(short), "PYTHONPATH": os.pathsep.join(paths)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # Its folder is not that of any command: what is named there is found by whole paths alone.
    with subprocess.Popen([sys.executable, "-c", HELD], env=environment, text=True, cwd=site, **pipes) as holder:
        assert holder.stdout
        address, token = holder.stdout.readline().split()
        known = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        # As the cluster itself: this machine's address is that of the loopback interface.
        yield holder.pid, {**quiet(short), **known, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        assert holder.stdin
        pids = children_of(holder.pid)
        holder.stdin.close()
    assert holder.returncode == 0
    wait_for_the_end_of(pids)


def quiet(short: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(short), "PUNA_LANG": "en", "OMP_NUM_THREADS": "1"}


def begin(folder: Path, output: str) -> tuple[Run, Any]:
    rows = folder / "rows.jsonl"
    asked = how(rows, folder / "tiny.gguf")
    return Run(ManyRows(rows, folder), folder / output, asked.asker().identity), asked


def command(folder: Path, output: str, *more: str) -> list[str]:
    arguments = [
        "ask-many",
        str(folder / "rows.jsonl"),
        "-o",
        output,
        "--model",
        "tiny.gguf",
        "--adapter",
        "none",
        "--top",
        "3",
    ]
    return [sys.executable, "-m", "puna.cli.main", *arguments, "--device", "cpu", "--engine", "ray", *more]


def processes() -> dict[int, int]:
    """Every process's parent; those that have ended and wait to be asked for are left out."""
    every = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if words:
            every[int(path.name)] = parent
    return every


def children_of(pid: int) -> list[int]:
    """The processes below one."""
    every = processes()
    below = {pid}
    while more := {child for child, parent in every.items() if parent in below} - below:
        below |= more
    return sorted(below & every.keys() - {pid})


def wait_for_the_end_of(pids: list[int]) -> None:
    while processes().keys() & set(pids):
        time.sleep(0.05)


def rows_kept(part: Path) -> int:
    return part.read_bytes().count(b"\n") - 1 if part.exists() else 0


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def pids_in(file: Path) -> list[int]:
    """The processes that have said so, each as often as it did; of a line that is half written none."""
    raw = file.read_text() if file.exists() else ""
    return [int(line) for line in raw.splitlines(keepends=True) if line.endswith("\n")]


def test_whoever_dies_every_row_is_there_once(
    folder: Path, site: Path, two_workers: tuple[int, dict[str, str]]
) -> None:
    """A worker is killed from outside in the middle of a block, and a question kills each worker that asks it."""
    holder, environment = two_workers
    address = environment["RAY_ADDRESS"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = command(folder, "ray.jsonl", "--address", address, "--json")
    for _ in range(SILENT):
        with subprocess.Popen(words, cwd=folder, env=environment, text=True, **pipes) as driver:
            while driver.poll() is None and not pids_in(site / "waiting"):
                time.sleep(0.01)
            killed = pids_in(site / "waiting")
            for pid in killed:
                assert pid in children_of(holder)
                os.kill(pid, signal.SIGKILL)
            if killed:
                (site / "go").touch()
            stdout, stderr = driver.communicate()
        if killed or driver.returncode != 1 or stdout or stderr:
            break
    assert driver.returncode == 1, stderr
    assert len(killed) == 1, stdout + stderr
    again = pids_in(site / "waiting")
    assert len(again) == 2
    assert again[0] != again[1]
    # In a block, which is begun twice, and alone as often.
    assert len(set(pids_in(site / "killed"))) == 4
    told = json.loads(stdout)  # and nothing else is printed there
    expected_codes = [*BAD.values(), "E-ROW-WORKER"]
    assert told["errors"] == {code: expected_codes.count(code) for code in expected_codes}
    assert stderr.splitlines()[0].startswith(f"{len(expected_codes)} row(s) have an error")
    assert len(stderr.splitlines()) == 2
    expected, found = lines_of(folder / "here.jsonl"), lines_of(folder / "ray.jsonl")
    (deadly,) = (n for n, line in enumerate(expected) if line.get("question") == "Who kills?")
    assert found[deadly].pop("error")["code"] == "E-ROW-WORKER"
    expected[deadly] = {"row": expected[deadly]["row"]}
    assert found == expected


def test_a_library_beside_the_command_is_asked(
    folder: Path, site: Path, two_workers: tuple[int, dict[str, str]]
) -> None:
    """Relative paths, of the model and the library, are those of the command, wherever the workers run."""
    _, environment = two_workers
    (folder / "files").mkdir()
    (folder / "files" / "walk.txt").write_text("Ann led the walk. It rained.")
    with Library.open(folder / "a.library") as library:
        library.add(folder / "files")
    write_lines(folder / "asked.jsonl", [{"question": f"Who led the walk {n}?"} for n in range(3)])
    shared = [sys.executable, "-m", "puna.cli.main", "ask-many", "asked.jsonl", "--library", "a.library"]
    shared += ["--model", "tiny.gguf", "--adapter", "none", "--device", "cpu"]
    for more in (
        ["-o", "asked-here.jsonl"],
        ["-o", "asked-ray.jsonl", "--engine", "ray", "--address", environment["RAY_ADDRESS"]],
    ):
        for _ in range(SILENT):
            done = subprocess.run(
                [*shared, *more], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 1 or done.stdout or done.stderr:
                break
        assert done.returncode == 0, done.stderr
    found = lines_of(folder / "asked-ray.jsonl")
    assert [row["answers"][0]["evidence"][0]["source"] for row in found] == [str(folder / "files" / "walk.txt")] * 3
    assert (folder / "asked-ray.jsonl").read_bytes() == (folder / "asked-here.jsonl").read_bytes()


def test_nobody_else_can_reach_it(two_workers: tuple[int, dict[str, str]]) -> None:
    """Every process of the cluster listens on the loopback interface alone."""
    holder, _ = two_workers
    pids = [holder, *children_of(holder)]
    assert len(pids) >= 4
    sockets = {str(link.readlink()) for pid in pids for link in descriptors(pid)}
    addresses = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in sockets and (fields[3] == "0A" or table.startswith("udp")):
                addresses.append(fields[1].rpartition(":")[0])
    assert len(addresses) >= 3
    # 127.0.0.1 as it stands there, alone or as an IPv6 address, or ::1
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert set(addresses) <= loopback


def descriptors(pid: int) -> list[Path]:
    try:
        return [link for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    except OSError:  # it has ended
        return []


def test_the_driver_killed_leaves_no_process_and_the_rest_is_asked_here(folder: Path, short: Path) -> None:
    driver = subprocess.Popen(command(folder, "parted.jsonl", "--workers", "2"), cwd=folder, env=quiet(short))
    part = folder / "parted.jsonl.part"
    while driver.poll() is None and rows_kept(part) < 5:
        time.sleep(0.01)
    pids = children_of(driver.pid)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    assert len(pids) >= 4
    wait_for_the_end_of(pids)
    for left in short.glob("puna-ray-*"):
        shutil.rmtree(left)
    kept = rows_kept(part)
    run, asked = begin(folder, "parted.jsonl")
    assert run.done == kept >= 5
    assert len(list(ask_here(run, asked.asker()))) == 62 + len(BAD) - kept
    run.finish()
    ours, theirs = (folder / name for name in ("parted.jsonl", "here.jsonl"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_worker_without_the_model_says_so(tmp_path: Path) -> None:
    from puna.tasks.ask_ray import Worker, _error, _table

    rows = write_lines(tmp_path / "rows.jsonl", good_rows(2))
    block = Worker(how(rows, tmp_path / "none.gguf"), None)(_table([1, 2], rows.read_bytes().splitlines()))
    assert block.column("number").to_pylist() == [0]
    error = _error(block.column("line").to_pylist()[0])
    assert isinstance(error, ModelFileError)
    assert error.code == "E-MODEL-UNKNOWN"
    assert "none.gguf" in str(error)


def test_an_address_without_a_cluster_is_told(folder: Path, short: Path) -> None:
    done = subprocess.run(
        command(folder, "x.jsonl", "--address", "127.0.0.1:1"),
        cwd=folder,
        env={**quiet(short), "RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_gcs_rpc_server_connect_timeout_s": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: the Ray cluster failed: ")
    assert "[E-RAY-FAILED]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seed", range(20))
def test_blocks_part_the_rows(seed: int) -> None:
    from puna.tasks.ask_ray import _blocks

    draw = random.Random(seed)
    size = draw.randrange(1, 6)
    keys = [key for key in range(30) for _ in range(draw.choice((1, 1, 2, 3, 30)))]
    rows = [Waiting(n, b"x" * draw.choice((1, 1, 1, 3 << 20)), key) for n, key in enumerate(keys)]
    blocks = list(_blocks(rows, size))
    assert [row for block in blocks for row in block] == rows
    for block, following in zip(blocks, [*blocks[1:], [Waiting(-1, b"", -1)]], strict=True):
        length = sum(len(row.raw) for row in block)
        assert len(block) == 1 or length <= 4 << 20
        assert len(block) <= 4 * size
        full = length + len(following[0].raw) > 4 << 20 or following[0].number < 0
        # A text is parted only where it has many rows.
        assert full or len(block) >= size
        assert full or block[-1].key != following[0].key or len(block) == 4 * size

"""The same questions on a Ray cluster of this machine: the same bytes, whoever dies; closed to others; nothing left."""

import json
import os
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

from puna.errors import PunaError
from puna.tasks.ask_many import Run, ask_here
from puna.tasks.ask_ray import ask_on_ray
from puna.tasks.many_rows import ManyRows
from puna.tasks.ray_cluster import cluster
from tests.cli.tiny_file import write_tiny
from tests.tasks.many import BAD, good_rows, how, write_lines

pytestmark = [  # not imported here: it must not be before it is told to be closed
    pytest.mark.skipif(find_spec("ray") is None, reason="without Ray"),
    pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads what Linux tells of processes"),
]

# Read by every Python that starts: one question kills the process that asks it.
KILLER = """
import os, sys, importlib.abc, importlib.util

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
                if b"Who kills?" in raw:
                    os.kill(os.getpid(), 9)
                return ask(self, number, raw)
            module.Asker.ask = deadly
        spec.loader.exec_module = changed
        return spec

sys.meta_path.insert(0, Deadly())
"""


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
    path = tmp_path_factory.mktemp("ray")
    write_tiny(path / "tiny.gguf")
    rows = good_rows(60)
    rows.insert(20, {"question": "Who kills?", "text": rows[0].get("text", "Ann won.")})
    write_lines(path / "rows.jsonl", [*rows, *BAD])
    asker = how(path / "rows.jsonl", path / "tiny.gguf").asker()
    run = Run(ManyRows(path / "rows.jsonl", path), path / "here.jsonl", asker.identity)
    list(ask_here(run, asker))
    run.finish()
    return path


@pytest.fixture(scope="module")
def two_workers(short: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster, and its address."""
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(KILLER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(short))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("OMP_NUM_THREADS", "1")
        with cluster(None, 2):
            import ray

            yield ray.get_runtime_context().gcs_address
    assert children_of(os.getpid(), "ray") == []


def begin(folder: Path, output: str, **options: Any) -> tuple[Run, Any]:
    rows = folder / "rows.jsonl"
    asked = how(rows, folder / "tiny.gguf", **options)
    return Run(ManyRows(rows, folder), folder / output, asked.asker().identity), asked


def expected(folder: Path) -> list[dict[str, Any]]:
    """What one process gave, but for the row that kills who asks it."""
    lines = [json.loads(line) for line in (folder / "here.jsonl").read_bytes().splitlines()]
    (deadly,) = (n for n, line in enumerate(lines) if line.get("question") == "Who kills?")
    lines[deadly] = {"row": lines[deadly]["row"]}
    return lines


def found(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in lines:
        if line.get("error", {}).get("code") == "E-ROW-WORKER":
            del line["error"]
    return lines


def processes() -> dict[int, tuple[int, str]]:
    """Every process's parent and command."""
    every = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            every[int(path.name)] = parent, (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
    return every


def children_of(pid: int, name: str = "") -> list[int]:
    """The processes below one whose command has a name in it, the defunct ones, which have none, left out."""
    every = processes()
    below = {pid}
    while more := {child for child, (parent, _) in every.items() if parent in below} - below:
        below |= more
    return sorted(child for child in below - {pid} if every[child][1] and name in every[child][1])


def test_whoever_dies_every_row_is_there_once(folder: Path, two_workers: str) -> None:
    """A worker is killed from outside, and a question kills each worker that asks it."""
    run, asked = begin(folder, "ray.jsonl")
    numbers, killed = [], 0
    for number in ask_on_ray(run, asked, 2):
        numbers.append(number)
        if not killed and len(numbers) >= 10:
            killed = children_of(os.getpid(), "ray::MapWorker")[0]
            os.kill(killed, signal.SIGKILL)
    assert killed
    assert sorted(numbers) == list(range(1, 61 + len(BAD) + 1))
    summary = run.finish()
    assert summary.errors.pop("E-ROW-WORKER") == 1
    assert summary.errors == {code: [*BAD.values()].count(code) for code in BAD.values()}
    assert found(folder / "ray.jsonl") == expected(folder)


def test_nobody_else_can_reach_it(two_workers: str) -> None:
    """Every process of the cluster listens on the loopback interface alone, and none has a dashboard's pages."""
    pids = children_of(os.getpid())
    assert len(pids) >= 3
    inodes = {str(link.readlink()) for pid in [*pids, os.getpid()] for link in descriptors(pid)}
    addresses = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes and (fields[3] == "0A" or table.startswith("udp")):
                addresses.append(fields[1].rpartition(":")[0])
    assert len(addresses) >= 3
    # 127.0.0.1 as it stands there, alone or as an IPv6 address, or ::1
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert set(addresses) <= loopback
    assert os.environ["RAY_AUTH_MODE"] == "token"


def descriptors(pid: int) -> list[Path]:
    try:
        return [link for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    except OSError:  # it has ended
        return []


def test_a_worker_without_the_model_says_so(folder: Path, two_workers: str) -> None:
    run, _ = begin(folder, "none.jsonl", top=2)
    with pytest.raises(PunaError) as caught:
        list(ask_on_ray(run, how(folder / "rows.jsonl", folder / "none.gguf"), 2))
    assert caught.value.code == "E-MODEL-MISSING"
    assert run.done == 0


def command(folder: Path, output: str, *more: str) -> list[str]:
    arguments = ["ask-many", "rows.jsonl", "-o", output, "--model", "tiny.gguf", "--adapter", "none", "--top", "3"]
    return [sys.executable, "-m", "puna.cli.main", *arguments, "--device", "cpu", *more]


def test_the_command_uses_a_cluster_that_runs(folder: Path, two_workers: str) -> None:
    lines = (folder / "here.jsonl").read_bytes().splitlines(keepends=True)
    some = folder / "some"
    some.mkdir()
    rows = (folder / "rows.jsonl").read_text().splitlines()
    write_lines(some / "rows.jsonl", rows[:9])
    shutil.copy(folder / "tiny.gguf", some)
    done = subprocess.run(
        command(some, "out.jsonl", "--engine", "ray", "--address", two_workers, "--json"),
        cwd=some,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 9  # and nothing else of Ray's
    assert done.stderr.splitlines()[1:] == []
    assert (some / "out.jsonl").read_bytes() == b"".join(lines[:9])


def test_the_driver_killed_leaves_no_process_and_the_rest_is_asked_here(folder: Path, short: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(short), "PUNA_LANG": "en", "OMP_NUM_THREADS": "1"}
    driver = subprocess.Popen(
        command(folder, "parted.jsonl", "--engine", "ray", "--workers", "2"), cwd=folder, env=environment
    )
    part = folder / "parted.jsonl.part"
    while driver.poll() is None and not (part.exists() and part.read_bytes().count(b"\n") > 5):
        time.sleep(0.05)
    pids = children_of(driver.pid)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    assert pids
    while any(pid in pids and command for pid, (_, command) in processes().items()):
        time.sleep(0.05)
    for left in short.glob("puna-ray-*"):
        shutil.rmtree(left)
    kept = part.read_bytes().count(b"\n") - 1
    run, asked = begin(folder, "parted.jsonl")
    assert run.done == kept > 4
    assert len(list(ask_here(run, asked.asker()))) == 61 + len(BAD) - kept
    run.finish()
    ours, theirs = (folder / name for name in ("parted.jsonl", "here.jsonl"))
    assert ours.read_bytes() == theirs.read_bytes()

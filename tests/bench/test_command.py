"""`puna bench` from the outside."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.test_worker import is_running
from tests.cli.run import puna


def test_a_peer_that_does_not_exist() -> None:
    done = puna("bench", "--peers", "llama.cpp,gpt")
    assert done.returncode == 2
    assert "[E-BENCH-PEER]" in done.stderr
    assert "openvino-genai" in done.stderr


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "taken").write_text("")
    done = puna("bench", "-o", str(tmp_path / "taken" / "below"), "--peers", "none")
    assert done.returncode == 2
    assert "[E-OUTPUT-WRITE]" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are found in Linux's /proc")
def test_ctrl_c_leaves_no_child(default_path) -> None:
    command = [
        sys.executable,
        "-m",
        "puna.cli.main",
        "bench",
        "--quick",
        "--peers",
        "none",
        "--model",
        default_path,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (children := started_by(process.pid)) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    assert children
    assert (process.returncode, out) == (130, b""), errors
    assert not any(is_running(child) for child in children)


def started_by(parent: int) -> list[int]:
    """List the processes that a process has started and not yet waited for."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(folder.name))
    return found

"""A worker that crashes, hangs, hangs up or talks nonsense is an error with its name for it, and leaves no process."""

import os
import time
from pathlib import Path

import pytest

from puna.bench.worker import Worker
from puna.errors import PeerError
from tests.bench.fakes import (
    BUSY,
    CRASHES,
    FAILS,
    GOOD,
    HANGS,
    HANGS_UP,
    NO_OBJECT,
    PARENT,
    RUBBISH,
    worker,
)

JOB = {"job": "start"}


def test_jobs_and_answers(tmp_path) -> None:
    with worker(tmp_path, GOOD) as good:
        assert good.ask(JOB, 60) == {"about": "good 1.0"}
        assert good.ask({"job": "memory"}, 60)["values"] == {"peak_memory": 7.0}


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        (CRASHES, "E-PEER-ENDED", ["start", "status 3", "the last straw"]),
        (HANGS_UP, "E-PEER-ENDED", ["start", "said nothing"]),
        (RUBBISH, "E-PEER-RUBBISH", ["Loading\\x1b[31m model"]),
        (NO_OBJECT, "E-PEER-RUBBISH", ["[1]"]),
        (FAILS, "E-PEER-FAILED", ["ValueError: odd"]),
    ],
)
def test_what_goes_wrong_is_said(tmp_path, source: str, code: str, words: list[str]) -> None:
    with worker(tmp_path, source) as bad, pytest.raises(PeerError) as caught:
        bad.ask(JOB, 60)
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)


def test_one_that_hangs_is_waited_for_only_so_long(tmp_path) -> None:
    with worker(tmp_path, HANGS) as bad, pytest.raises(PeerError) as caught:
        bad.ask(JOB, 0.2)
    assert caught.value.code == "E-PEER-SILENT"


def test_one_that_has_ended_stays_so(tmp_path) -> None:
    with worker(tmp_path, CRASHES) as bad:
        for _ in range(2):
            with pytest.raises(PeerError):
                bad.ask(JOB, 60)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see it in")
def test_one_without_a_job_stands_still(tmp_path) -> None:
    """So that its idle threads take nothing from another; asked again, it goes on."""
    with worker(tmp_path, BUSY) as busy:
        first = busy.ask(JOB, 60)["values"]["count"]
        spent = cpu_time(busy)
        time.sleep(0.3)
        assert cpu_time(busy) - spent <= 1  # in hundredths of a second; turning takes thirty
        assert busy.ask(JOB, 60)["values"]["count"] >= first


def cpu_time(of: Worker) -> int:
    return int(Path(f"/proc/{of._process.pid}/stat").read_text("ascii").rpartition(")")[2].split()[11])


def test_children_of_a_worker_end_with_it(tmp_path) -> None:
    with worker(tmp_path, PARENT) as parent:
        child = int(parent.ask(JOB, 60)["values"]["pid"])
        assert is_running(child)
    while is_running(child):
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Tell a running process from one that ended, waited for or not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""Every failing call and every moment of a power cut gives one clean error and a sound library; see faults.py, shim.c."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def failures(mode: str, shim: Path, folder: Path, bug: str = "") -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.library.faults", mode, shim, folder, bug],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["points"], found["failures"]


def test_a_call_that_fails(shim: Path, tmp_path: Path) -> None:
    points, found = failures("calls", shim, tmp_path)
    assert found == []
    assert points > 500  # the shim is there, and was asked


def test_an_error_that_nobody_hears_is_found(shim: Path, tmp_path: Path) -> None:
    assert failures("calls", shim, tmp_path, "deaf")[1]


def test_a_power_cut(shim: Path, tmp_path: Path) -> None:
    points, found = failures("power", shim, tmp_path)
    assert found == []
    assert points > 300


@pytest.mark.parametrize("bug", ["OFF", "NORMAL"])
def test_what_is_not_synced_is_found_lost(shim: Path, tmp_path: Path, bug: str) -> None:
    assert failures("power", shim, tmp_path, bug)[1]

"""Every failing call of what `ask-many` and `--keep` write gives one error and whole files; see faults.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def failures(mode: str, shim: Path, folder: Path, bug: str = "") -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.faults", mode, shim, folder, bug],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["points"], found["failures"]


@pytest.mark.parametrize(("mode", "least"), [("many", 90), ("kept", 20)])
def test_a_call_that_fails(mode: str, least: int, shim: Path, tmp_path: Path) -> None:
    points, found = failures(mode, shim, tmp_path)
    assert found == []
    assert points > least  # the shim is there, and was asked


def test_an_output_that_is_not_written_aside_is_found(shim: Path, tmp_path: Path) -> None:
    assert any("not whole" in each for each in failures("many", shim, tmp_path, "in place")[1])

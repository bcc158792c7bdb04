"""Every failing call and every moment of a power cut gives one clean error and a sound library; see faults.py, shim.c."""

from functools import partial
from pathlib import Path

import pytest

from tests import shim

failures = partial(shim.failures, "tests.library.faults")


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

"""Every failing call of what `ask-many` and `--keep` write gives one error and whole files; see faults.py."""

from functools import partial
from pathlib import Path

import pytest

from tests import shim

failures = partial(shim.failures, "tests.tasks.faults")


@pytest.mark.parametrize(("mode", "least"), [("many", 90), ("kept", 20)])
def test_a_call_that_fails(mode: str, least: int, shim: Path, tmp_path: Path) -> None:
    points, found = failures(mode, shim, tmp_path)
    assert found == []
    assert points > least  # the shim is there, and was asked


def test_an_output_that_is_not_written_aside_is_found(shim: Path, tmp_path: Path) -> None:
    assert any("not whole" in each for each in failures("many", shim, tmp_path, "in place")[1])

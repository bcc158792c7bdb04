"""lm-evaluation-harness asks the service, and is as accurate as with Transformers on the same file and rows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = 200


@pytest.mark.skipif(not os.environ.get("PUNA_DATA"), reason="PUNA_DATA does not name the folder of the data sets")
def test_accuracy_is_that_of_transformers(default_path: Path, tmp_path: Path) -> None:
    """A row where another candidate wins must be a tie; so accuracies differ by ties alone."""
    pytest.importorskip("lm_eval")
    out = tmp_path / "found.json"
    command = [sys.executable, "bench/serve_vs_lm_eval.py", "--sets", "HellaSwag", "ARC easy", "--limit", str(ROWS)]
    done = subprocess.run([*command, "--json", out], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text("utf-8"))
    assert set(found) == {"HellaSwag", "ARC easy"}
    for name, one in found.items():
        assert one["rows"] == ROWS
        assert one["other_winner_and_no_tie"] == 0, (name, one)
        assert abs(one["service_accuracy"] - one["transformers_accuracy"]) * ROWS <= one["other_winner"] + 1e-9
        assert one["service_accuracy"] > 0.3, "no better than chance"

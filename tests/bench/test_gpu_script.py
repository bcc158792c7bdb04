"""The rehearsal of `bench/gpu.py`: all of it runs, and both programs compute the same model."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bench" / "gpu.py"


def test_the_rehearsal_runs_and_goes_on(tmp_path: Path) -> None:
    rows, page = tmp_path / "rows.json", tmp_path / "page.md"
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--tiny", "--repeats", "1"]
    command += ["--json", str(rows), "--markdown", str(page)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    found = json.loads(rows.read_text("utf-8"))
    jobs = [(row["job"], row["size"]) for row in found["rows"]]
    assert jobs == [("reading", 8), ("reading", 16), ("writing", 0), ("writing", 20), ("ranking", 20)]
    assert all(row["puna"] > 0 and row["failed"] == {} for row in found["rows"])
    assert found["apart"]["tiny"] < 1e-4
    assert found["rows"][-1]["apart"] < 1e-3
    text = page.read_text("utf-8")
    assert found["date"] in text
    assert found["card"] in text
    assert text.count("\n| tiny |") == 5
    found["rows"][0]["puna"] = 12345.0
    rows.write_text(json.dumps(found), "utf-8")
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)  # the tiny model is known already
    assert "1.23e+04" in page.read_text("utf-8")
    assert {each.name for each in tmp_path.iterdir()} == {"rows.json", "page.md"}

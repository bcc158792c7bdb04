"""The worked examples run on a few rows of the real data, and say what is missing without it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/run.py"))
OPTIONS = {
    "customer-support": ["--limit", "4"],
    "medicine": ["--limit", "1", "--abstracts", "2"],
    "teaching": ["--limit", "4"],
}
SAID = {
    "customer-support": "the right one is among the first 5: ",
    "medicine": "COVID-QA, 1 questions",
    "teaching": "of 4 questions right; drawing lots: ",
}


def run(name: str, *options: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name / "run.py"), *options],
        check=False,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        encoding="utf-8",
    )


def test_every_example_is_here() -> None:
    assert list(OPTIONS) == NAMES == list(SAID)
    assert [name for name in NAMES if not (EXAMPLES / name / "README.md").is_file()] == []


@pytest.mark.parametrize("name", NAMES)
def test_without_data_it_says_so(name: str, tmp_path: Path) -> None:
    done = run(name, cwd=tmp_path, PUNA_DATA="")
    assert done.returncode == 2
    assert "no folder of data sets is named" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_with_an_empty_folder_it_names_the_file(tmp_path: Path) -> None:
    done = run("teaching", cwd=tmp_path, PUNA_DATA=str(tmp_path))
    assert done.returncode == 2
    assert str(Path("c3", "test.jsonl.gz")) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("default_path")
@pytest.mark.parametrize("name", NAMES)
def test_it_shows_and_measures(name: str, default_path: Path, tmp_path: Path) -> None:
    if not os.environ.get("PUNA_DATA"):
        pytest.skip("PUNA_DATA does not name the folder of the data sets")
    done = run(name, *OPTIONS[name], "--markdown", "measured.md", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown, measured = done.stdout.split("\nMeasured\n")
    assert shown.count(" % ") >= 2
    assert SAID[name] in measured
    page = (tmp_path / "measured.md").read_text("utf-8")
    assert [line for line in measured.splitlines() if line.startswith("- ") and line not in page] == []
    assert {path.name for path in tmp_path.iterdir()} == {"measured.md"}


@pytest.mark.parametrize("word", ["This is no medical advice", "这不是医疗建议"])
def test_medicine_warns(word: str) -> None:
    assert word in (EXAMPLES / "medicine" / "README.md").read_text("utf-8")
    if word.isascii():
        assert word in (EXAMPLES / "medicine" / "run.py").read_text("utf-8")

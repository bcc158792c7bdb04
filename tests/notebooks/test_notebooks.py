"""The notebooks cannot rot: each is executed from first to last cell, and what they hold stays small and clean."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import run_notebooks
from nbclient.exceptions import CellExecutionError

from tests.default_model import default_model_path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(run_notebooks.FOLDER.glob("*.ipynb"))
MOST = 300_000  # bytes of a file

of_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a kernel writes goes below the test's own folder."""
    for name in ("TMPDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))


def put_default_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a cache in which the default model is, and nothing else."""
    from puna.weights.store import DEFAULT_MODEL

    path = default_model_path()
    models = folder / "cache" / "models"
    models.mkdir(parents=True)
    (models / DEFAULT_MODEL.name).symlink_to(path.resolve())
    monkeypatch.setenv("PUNA_CACHE", str(folder / "cache"))


def test_there_are_six() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@of_each
def test_every_cell_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "puna.load(" in path.read_text("utf-8"):
        put_default_model(tmp_path, monkeypatch)
    (tmp_path / "here").mkdir()
    written = run_notebooks.load(path)
    ran = run_notebooks.execute(run_notebooks.load(path), tmp_path / "here")
    assert not list((tmp_path / "here").iterdir())
    assert not list((tmp_path / "tmpdir").glob("tmp*"))

    def kinds(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
        return [(output.output_type, output.get("name", "")) for output in outputs(notebook)]

    assert kinds(ran) == kinds(
        written
    )  # what stands in the file is what comes out, warnings among it there are none


@of_each
def test_what_is_kept_is_small_and_clean(path: Path) -> None:
    raw = path.read_text("utf-8")
    assert len(raw.encode()) < MOST
    notebook = run_notebooks.load(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert outputs(notebook)
    assert {output.output_type for output in outputs(notebook)} <= {"stream", "display_data", "execute_result"}
    assert {output.name for output in outputs(notebook) if output.output_type == "stream"} <= {"stdout"}
    texts = json.dumps([[o.get("text"), (o.get("data") or {}).get("text/plain")] for o in outputs(notebook)])
    assert str(Path.home()) not in texts
    assert not re.search(r"(?<![\w.])/[a-z]+/\w", texts)
    assert "timestamp" not in raw
    assert "iopub" not in raw


@of_each
def test_cleaning_changes_nothing_any_more(path: Path, tmp_path: Path) -> None:
    """Cell ids, metadata and the form of the file are those that the script writes."""
    run_notebooks.save(run_notebooks.clean(run_notebooks.load(path), path.stem), tmp_path / "again.ipynb")
    assert (tmp_path / "again.ipynb").read_text("utf-8") == path.read_text("utf-8")


@of_each
def test_it_is_explained_in_both_languages_and_links_lead_somewhere(path: Path) -> None:
    words = [cell.source for cell in run_notebooks.load(path).cells if cell.cell_type == "markdown"]
    headings = [line for text in words for line in text.splitlines() if line.startswith("#")]
    assert len(headings) > 2
    assert all(re.search(r"[a-z].* · .*[\u4e00-\u9fff]|[\u4e00-\u9fff].* · ", line) for line in headings), headings
    assert sum("> **中文**" in text for text in words) >= 3
    for target in re.findall(r"\]\(([^)#]+)", "\n".join(words)):
        assert target.startswith("https://") or (path.parent / target).exists(), target


@pytest.mark.parametrize(("target", "runs"), [("notebook", b"-m jupyterlab"), ("notebooks", b"run_notebooks.py")])
def test_make_has_targets(target: str, runs: bytes) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert runs in done.stdout


def test_a_cell_that_fails_is_told(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 + 1 == 3")])
    with pytest.raises(CellExecutionError):
        run_notebooks.execute(notebook, tmp_path)


def test_the_kernel_is_this_python(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import sys, os\nprint(sys.executable, os.getcwd())")]
    )
    (found,) = outputs(run_notebooks.execute(notebook, tmp_path))
    assert found.text == f"{sys.executable} {os.path.realpath(tmp_path)}\n"


def test_cleaning_takes_away_what_a_machine_left(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("1", metadata={"execution": {"iopub.execute_input": "2020"}}, id="x")
    cell.outputs = [
        nbformat.v4.new_output("execute_result", {"text/plain": "1"}, metadata={"a": 1}, execution_count=1)
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"kernelspec": {"name": "mine", "display_name": "b"}}
    )
    cleaned = run_notebooks.clean(notebook, "07-more")
    assert cleaned.cells[0].id == "07-01"
    assert cleaned.cells[0].metadata == {}
    assert cleaned.cells[0].outputs[0].metadata == {}
    assert cleaned.metadata == run_notebooks.METADATA

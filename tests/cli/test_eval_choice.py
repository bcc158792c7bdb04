"""`puna eval choice` from the outside: metrics, samples, tables, a stop, and one clear line for bad rows."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

FIELDS = (
    "file model rows seed n failed accuracy accuracy_per_byte accuracy_per_token accuracy_prior_corrected "
    "questions_per_second"
).split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("choice")
    write_tiny(path / "tiny.gguf")
    rows = [
        {
            "id": n,
            "question": f"Who came at {n}?",
            "candidates": [f"walker {n}", "Ann", "no"],
            "answer_index": n % 3,
        }
        for n in range(70)
    ]
    (path / "rows.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    whole = [{"candidates": ["Ann came.", "Ann goed."], "answer_index": 0}] * 3
    (path / "whole.jsonl").write_text("\n".join(map(json.dumps, whole)), "utf-8")
    return path


def measured(folder: Path, *arguments: str) -> dict[str, Any]:
    done = puna("eval", "choice", *arguments, "--model", "tiny.gguf", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert list(found) == FIELDS
    return found


def test_fields_and_samples(folder: Path) -> None:
    found = [measured(folder, "rows.jsonl.gz", "--limit", "20", "--seed", seed) for seed in "778"]
    assert [found[0][name] for name in FIELDS[:6]] == ["rows.jsonl.gz", "tiny", 20, 7, 20, 0]
    for one in found:
        assert one.pop("questions_per_second") > 0
        assert all(0 <= one[name] <= 1 for name in FIELDS if name.startswith("accuracy"))
    assert found[0] == found[1]
    assert found[2]["seed"] == 8
    assert measured(folder, "rows.jsonl.gz")["n"] == 70


def test_whole_sentences_have_no_prior(folder: Path) -> None:
    found = measured(folder, "whole.jsonl")
    assert (found["n"], found["accuracy_prior_corrected"]) == (3, None)
    assert found["accuracy"] in (0, 1)


def test_tables(folder: Path) -> None:
    english = puna("eval", "choice", "rows.jsonl.gz", "--limit", "5", "--model", "tiny.gguf", cwd=folder)
    chinese = puna(
        "eval", "choice", "rows.jsonl.gz", "--limit", "5", "--model", "tiny.gguf", cwd=folder, PUNA_LANG="zh"
    )
    assert (english.returncode, chinese.returncode) == (0, 0)
    assert len(english.stdout.splitlines()) == len(chinese.stdout.splitlines()) == 6
    assert "accuracy, per byte" in english.stdout
    assert "准确率" in chinese.stdout
    assert "5 of 70 rows of rows.jsonl.gz, seed 0, tiny" in english.stderr
    assert "70" in chinese.stderr
    shorter = puna("eval", "choice", "whole.jsonl", "--model", "tiny.gguf", cwd=folder)
    assert len(shorter.stdout.splitlines()) == 5


def test_questions_too_long_for_the_model_are_told(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "Who " * 300, "candidates": ["a", "b"], "answer_index": 0}), "utf-8")
    done = puna("eval", "choice", str(path), "--model", str(folder / "tiny.gguf"), "--json")
    assert (json.loads(done.stdout)["failed"], json.loads(done.stdout)["accuracy"]) == (1, 0)
    assert "1 of 1 questions are longer" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process, no pseudo-terminal")
def test_ctrl_c_gives_the_metrics_so_far(folder: Path, tmp_path: Path) -> None:
    """The bar on a pseudo-terminal tells when the first rows are done."""
    import pty

    rows = gzip.decompress((folder / "rows.jsonl.gz").read_bytes()).decode().splitlines() * 200
    (tmp_path / "many.jsonl").write_text("\n".join(rows), "utf-8")
    command = [sys.executable, "-m", "puna.cli.main", "eval", "choice", str(tmp_path / "many.jsonl"), "--json"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*command, "--model", str(folder / "tiny.gguf")],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "PUNA_LANG": "en", "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(theirs)
        shown = b""
        while not any(b"%d/14000" % n in shown for n in range(64, 14000)):
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        found = json.loads(process.communicate()[0])
        with contextlib.suppress(OSError):  # how Linux tells that the other side is closed
            while more := os.read(ours, 4096):
                shown += more
    os.close(ours)
    assert (process.returncode, found["rows"]) == (130, 14000)
    assert 64 <= found["n"] < 14000
    assert found["n"] % 64 == 0
    assert b"choosing" in shown
    assert b"stopped after %d of 14000 questions" % found["n"] in shown


BAD = {
    "missing file": (None, ("none.jsonl",), "E-FILE-MISSING"),
    "not JSON": (b"question,answer\n", (), "E-ROWS-JSON"),
    "no candidates": (b'{"question": "?", "answer_index": 0}', (), "E-ROWS-FIELD"),
    "one candidate": (b'{"question": "?", "candidates": ["a"], "answer_index": 0}', (), "E-CHOICE-FEW"),
    "index": (b'{"question": "?", "candidates": ["a", "b"], "answer_index": 2}', (), "E-CHOICE-INDEX"),
    "no limit": (None, ("rows.jsonl.gz", "--limit", "0"), "E-USAGE"),
    "no model": (None, ("rows.jsonl.gz", "--model", "no-such-model"), "E-MODEL-UNKNOWN"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_line(name: str, folder: Path, tmp_path: Path) -> None:
    content, arguments, code = BAD[name]
    if content is not None:
        arguments = (str(tmp_path / "bad.jsonl"),)
        (tmp_path / "bad.jsonl").write_bytes(content)
    done = puna("eval", "choice", *arguments, cwd=folder, PUNA_CACHE=str(tmp_path / "no-cache"))
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")


def test_bad_rows_are_told_before_torch_is_loaded(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}", "utf-8")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "puna.cli.main", "eval", "choice", str(tmp_path / "bad.jsonl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import")}
    assert "puna.evaluate.choice_rows" in imported
    assert not imported & {"torch", "numpy", "rich"}


def test_the_default_model_knows_some(default_path: Path, tmp_path: Path) -> None:
    rows = [
        {
            "question": "What is the capital of France?",
            "candidates": ["London", "Paris", "Rome"],
            "answer_index": 1,
        },
        {"question": "How many legs has a dog?", "candidates": ["four", "seventeen"], "answer_index": 0},
        {"context": "The sun rises in the", "candidates": ["oven.", "east."], "answer_index": 1},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    done = puna("eval", "choice", str(path), "--model", str(default_path), "--json")
    assert json.loads(done.stdout)["accuracy"] == 1

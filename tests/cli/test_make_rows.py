"""`puna make-rows` from the outside: the file, the counts, one line for what is wrong, nothing half after Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.run import puna
from tests.train.test_make_rows import document


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "walk.txt"
    path.write_text(document(0, 200), "utf-8")
    return path


def test_counts_are_those_of_the_file(text: Path, tmp_path: Path) -> None:
    target = tmp_path / "rows.jsonl"
    done = puna("make-rows", str(text), "-o", str(target), "--json", "--unanswerable", "25%")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert found["rows"] == len(rows) == sum(found["kinds"].values())
    assert found["kinds"] == {kind: sum(row["kind"] == kind for row in rows) for kind in found["kinds"]}
    assert found["passages"] >= len({row["context"] for row in rows})
    told = puna("make-rows", str(text), "-o", str(target), "--limit", "7", PUNA_LANG="zh")
    assert len(target.read_text("utf-8").splitlines()) == 7
    assert "7 行" in told.stderr


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"Too short.", "E-TRAIN-NO-ROWS"), (b"\xff\n", "E-ROWS-UNICODE"), (None, "E-FILE-MISSING")],
)
def test_what_is_wrong_is_one_line_and_leaves_no_file(tmp_path: Path, content: bytes | None, code: str) -> None:
    path, target = tmp_path / "text.txt", tmp_path / "out" / "rows.jsonl"
    target.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    done = puna("make-rows", str(path), "-o", str(target))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(target.parent.iterdir()) == []


def test_the_output(text: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "rows.jsonl", tmp_path, text):
        done = puna("make-rows", str(text), "-o", str(target))
        assert done.returncode == 2
        assert "[E-OUTPUT-WRITE]" in done.stderr
    assert text.read_text("utf-8") == document(0, 200)
    assert list(tmp_path.iterdir()) == [text]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_stopping_leaves_what_was_there(tmp_path: Path) -> None:
    target, text = tmp_path / "rows.jsonl", tmp_path / "long.txt"
    text.write_text("\n\n".join(document(2 * n, 100) for n in range(1000)), "utf-8")
    target.write_text("before", "utf-8")
    command = [sys.executable, "-m", "puna.cli.main", "make-rows", str(text), "-o", str(target)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        while process.poll() is None and len(list(tmp_path.iterdir())) < 3:  # until it writes
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in told
    assert target.read_text("utf-8") == "before"
    assert sorted(tmp_path.iterdir()) == [text, target]

"""`puna ask-many` from the outside: files in, files out, kills, refusals."""

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
from tests.tasks.many import BAD, good_rows, write_lines

MODEL = ("--model", "tiny.gguf", "--adapter", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ask-many")
    write_tiny(path / "tiny.gguf")
    write_lines(path / "rows.jsonl", good_rows(12))
    write_lines(path / "bad.jsonl", [*good_rows(3), *BAD])
    return path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return puna("ask-many", *arguments, *MODEL, cwd=folder, **environment)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_answers_of_a_file(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done = run(folder, "rows.jsonl", "-o", str(output), "--top", "2", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("rows_per_second") > 0
    assert told == {"output": str(output), "model": "tiny", "rows": 12, "failed": 0, "errors": {}}
    found, rows = lines_of(output), lines_of(folder / "rows.jsonl")
    assert [row["question"] for row in found] == [row["question"] for row in rows]
    assert {len(row["answers"]) for row in found} == {2}
    place = next(n for n, row in enumerate(rows) if "text" in row and "candidates" not in row)
    alone = puna(
        "ask", rows[place]["question"], "--text", rows[place]["text"], "--top", "2", *MODEL, "--json", cwd=folder
    )
    expected = json.loads(alone.stdout)
    assert found[place]["no_answer_probability"] == expected["no_answer_probability"]
    for name in ("text", "probability", "log_probability"):
        assert [a[name] for a in found[place]["answers"]] == [a[name] for a in expected["answers"]]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_rows_with_errors_are_told(folder: Path, tmp_path: Path) -> None:
    english = run(folder, "bad.jsonl", "-o", str(tmp_path / "en.jsonl"))
    chinese = run(folder, "bad.jsonl", "-o", str(tmp_path / "zh.jsonl"), PUNA_LANG="zh")
    assert (english.returncode, chinese.returncode) == (1, 1)
    assert english.stdout == chinese.stdout == ""
    assert f"{len(BAD)} row(s) have an error" in english.stderr
    assert f"有 {len(BAD)} 行没有答案而是错误" in chinese.stderr
    assert (tmp_path / "en.jsonl").read_bytes() == (tmp_path / "zh.jsonl").read_bytes()
    assert [row["error"]["code"] for row in lines_of(tmp_path / "en.jsonl")[3:]] == list(BAD.values())


# The command, but that it sends itself a signal when so many rows are kept: no clock decides when that is.
SIGNALLED = """
import os, runpy, sys
from puna.tasks.part_file import PartFile
count, number, append = int(sys.argv.pop(1)), int(sys.argv.pop(1)), PartFile.append
def signalled(part, line):
    global count
    append(part, line)
    count -= 1
    if not count:
        os.kill(os.getpid(), number)
PartFile.append = signalled
runpy.run_module("puna.cli.main", run_name="__main__", alter_sys=True)
"""


def test_killed_and_stopped_it_goes_on(folder: Path, tmp_path: Path) -> None:
    def signalled(count: int, number: int) -> subprocess.CompletedProcess[bytes]:
        command = ["ask-many", "rows.jsonl", "-o", str(tmp_path / "parted.jsonl"), *MODEL]
        return subprocess.run(
            [sys.executable, "-c", SIGNALLED, str(count), str(int(number)), *command],
            cwd=folder,
            env={**os.environ, "PUNA_LANG": "en"},
            capture_output=True,
            check=False,
        )

    assert run(folder, "rows.jsonl", "-o", str(tmp_path / "whole.jsonl")).returncode == 0
    part = tmp_path / "parted.jsonl.part"
    assert signalled(3, signal.SIGKILL).returncode == -signal.SIGKILL
    assert len(part.read_bytes().splitlines()) == 1 + 3
    stopped = signalled(4, signal.SIGINT)
    assert stopped.returncode == 130
    assert b"stopped after 7 of 12 rows; the same command goes on from there" in stopped.stderr
    refused = run(folder, "rows.jsonl", "-o", str(tmp_path / "parted.jsonl"), "--top", "9")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {part} was begun for other rows")
    assert len(refused.stderr.splitlines()) == 2
    done = run(folder, "rows.jsonl", "-o", str(tmp_path / "parted.jsonl"))
    assert done.returncode == 0
    assert (tmp_path / "parted.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not part.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none.jsonl", "-o", "x.jsonl"], "E-FILE-MISSING"),
        (["rows.jsonl", "-o", "nowhere/x.jsonl"], "E-OUTPUT-WRITE"),
        (["rows.jsonl", "-o", "x.jsonl", "--top", "0"], "E-TOP"),
        (["rows.jsonl", "-o", "x.jsonl", "--workers", "2"], "E-WORKERS-ENGINE"),
        (["rows.jsonl", "-o", "x.jsonl", "--address", "auto"], "E-WORKERS-ENGINE"),
        (["rows.jsonl", "-o", "x.jsonl", "--engine", "ray", "--workers", "0"], "E-WORKERS"),
        (["rows.jsonl", "-o", "x.jsonl", "--calibration", "none.json"], "E-FILE-MISSING"),
        (["rows.jsonl"], "E-USAGE"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
def test_bad_input(arguments: list[str], code: str, folder: Path) -> None:
    before = sorted(folder.iterdir())
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


# The command on a machine without Ray.
WITHOUT = """
import importlib.util, runpy
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "ray" else find(name, package)
runpy.run_module("puna.cli.main", run_name="__main__", alter_sys=True)
"""


def test_without_ray_it_says_what_to_install(folder: Path) -> None:
    command = ["ask-many", "rows.jsonl", "-o", "x.jsonl", *MODEL, "--engine", "ray"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *command], cwd=folder, capture_output=True, check=False, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: Ray is not installed, which --engine ray needs [E-RAY-MISSING]",
        "hint: pip install 'puna[scale]'",
    ]

"""`puna train reader` as a user meets it: killed, stopped, on a full disk, with bad rows and folders."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny
from tests.train.rows import walks, write_rows


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    write_tiny(folder / "tiny.gguf", head=32, ffn=96)  # sizes that Puna's kernels train
    write_rows(folder / "rows.jsonl", walks(80))
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


def command(ground: Path, output: Path, *more: str) -> list[str]:
    return [
        *("train", "reader", str(ground / "rows.jsonl"), "-o", str(output), "--model", str(ground / "tiny.gguf")),
        *("--epochs", "6", "--rate", "0.01", "--lora-rank", "4", "--save-every", "3", *more),
    ]


# The command, but that it sends itself a signal once a step is in its log: no clock decides when that is.
SIGNALLED = """
import os, runpy, sys
from puna.train.journal import Journal
step, number, add = int(sys.argv.pop(1)), int(sys.argv.pop(1)), Journal.add
def signalled(journal, record):
    add(journal, record)
    if "norm" in record and record["step"] == step:
        os.kill(os.getpid(), number)
Journal.add = signalled
runpy.run_module("puna.cli.main", run_name="__main__", alter_sys=True)
"""


def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PUNA_LANG": "en", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, env=environment, text=True, check=False, **options
    )


def signalled(step: int, number: int, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return run("-c", SIGNALLED, str(step), str(int(number)), *arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_stopped_faulted_and_killed_it_ends_with_the_same_bytes(ground, tmp_path):
    whole, parted = tmp_path / "a" / "reader", tmp_path / "b" / "reader"
    done = puna(*command(ground, whole))
    assert done.returncode == 0, done.stderr
    steps = Path(f"{whole}.training/log.jsonl").read_text().count('"norm"')
    assert steps > 20

    done = signalled(4, signal.SIGINT, command(ground, parted))
    assert done.returncode == 130, done.stderr
    assert "stopped after step 4 of" in done.stderr
    assert "the same command goes on from there" in done.stderr
    checkpoint = Path(f"{parted}.training/checkpoint.safetensors")
    before = checkpoint.read_bytes()

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, len(before) // 2))

    done = run("-m", "puna.cli.main", *command(ground, parted), preexec_fn=small)
    assert done.returncode == 2
    assert "[E-TRAIN-CHECKPOINT]" in done.stderr
    assert "Traceback" not in done.stderr
    assert checkpoint.read_bytes() == before
    assert not parted.exists()

    done = signalled(11, signal.SIGKILL, command(ground, parted))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert checkpoint.read_bytes() != before
    assert Path(f"{parted}.training/log.jsonl").read_text().count('"norm"') == 11

    done = puna(*command(ground, parted, "--json"))
    assert done.returncode == 0, done.stderr
    assert contents(parted) == contents(whole)
    found = json.loads(done.stdout)
    assert found["steps"] == steps
    logs = [Path(f"{each}.training/log.jsonl").read_text().splitlines() for each in (whole, parted)]
    ours, theirs = ([{**json.loads(line), "seconds": 0} for line in log] for log in logs)
    assert ours == theirs
    # Where TensorBoard is installed, its folder is there as well.
    assert {path.name for path in checkpoint.parent.iterdir()} - {"tensorboard"} == {"curves.png", "log.jsonl"}

    text = ("--text", "Day 99. Cleo walked to Oslo.", "--model", str(ground / "tiny.gguf"))
    asked = puna("ask", "Who walked?", *text, "--adapter", str(parted), "--json")
    assert asked.returncode in (0, 1), asked.stderr
    assert json.loads(asked.stdout)["model"].startswith("tiny+reader-")

    again = puna(*command(ground, parted))
    assert again.returncode == 2
    assert "[E-TRAIN-TARGET]" in again.stderr
    assert contents(parted) == contents(whole)


def test_another_training_does_not_go_on_from_it(ground, tmp_path):
    output = tmp_path / "reader"
    assert signalled(2, signal.SIGINT, command(ground, output)).returncode == 130
    kept = contents(Path(f"{output}.training"))
    other = puna(*command(ground, output, "--clip", "2"))
    assert other.returncode == 2
    assert "clip was 1.0, not 2.0 [E-TRAIN-OTHER]" in other.stderr
    assert contents(Path(f"{output}.training")) == kept


def test_a_number_that_is_none_ends_it(ground, tmp_path):
    done = puna(*command(ground, tmp_path / "reader", "--rate", "1e30"))
    assert done.returncode == 2
    assert "[E-TRAIN-NAN]" in done.stderr
    assert "hint: begin anew with a lower --rate" in done.stderr
    assert not (tmp_path / "reader").exists()


def test_bad_rows_are_named_and_counted_or_refused(ground, tmp_path):
    rows = walks(20)
    rows[3]["answers"] = [{"text": "Zed", "start": 2}]
    rows[7] = {"context": "no question"}
    path = write_rows(tmp_path / "rows.jsonl", rows)
    words = ["train", "reader", str(path), "-o", str(tmp_path / "out"), "--model", str(ground / "tiny.gguf")]
    done = puna(*words, "--epochs", "1", "--lora-rank", "2")
    assert done.returncode == 0, done.stderr
    assert "rows.jsonl, line 4: the answer Zed does not stand at 2 in the context [E-ROWS-START]" in done.stderr
    assert "rows.jsonl, line 8" in done.stderr
    assert "2 row(s) left out" in done.stderr
    strict = puna(*words[:4], str(tmp_path / "other"), *words[5:], "--strict")
    assert strict.returncode == 2
    assert "[E-ROWS-START]" in strict.stderr
    none = puna(*words[:2], str(write_rows(tmp_path / "bad.jsonl", [rows[7]])), *words[3:4], str(tmp_path / "x"))
    assert none.returncode == 2
    assert "[E-TRAIN-USABLE]" in none.stderr
    empty = puna(*words[:2], str(write_rows(tmp_path / "empty.jsonl", [])), *words[3:4], str(tmp_path / "x"))
    assert "[E-ROWS-NONE]" in empty.stderr


def test_folders_and_adapters_of_something_else_are_refused(ground, tmp_path):
    first = puna(*command(ground, tmp_path / "first", "--epochs", "0.5"))
    assert first.returncode == 0, first.stderr
    on = puna(*command(ground, tmp_path / "second", "--epochs", "0.5", "--init", str(tmp_path / "first")))
    assert on.returncode == 0, on.stderr
    (tmp_path / "third.training").mkdir()
    (tmp_path / "third.training" / "thesis.txt").write_text("mine")
    done = puna(*command(ground, tmp_path / "third"))
    assert done.returncode == 2
    assert "thesis.txt" in done.stderr
    assert "[E-TRAIN-FOLDER]" in done.stderr
    write_tiny(tmp_path / "other.gguf", rope="linear")
    other = puna(
        *command(ground, tmp_path / "fourth", "--init", str(tmp_path / "first")),
        *("--model", str(tmp_path / "other.gguf")),
    )
    assert other.returncode == 2
    assert "[E-ADAPTER-MODEL]" in other.stderr

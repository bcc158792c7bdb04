"""Two processes that train together come to what one comes to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from puna.weights.adapter import read_adapter
from puna.weights.checkpoint import open_checkpoint
from tests.cli.test_train_reader import contents
from tests.cli.tiny_file import write_tiny
from tests.train.rows import walks, write_rows


def run(arguments: list[str], processes: int, cache: Path) -> None:
    # Products in fp32, so that what differs is the order of sums alone.
    environment = {**os.environ, "PUNA_LANG": "en", "PUNA_CACHE": str(cache), "ATEN_CPU_CAPABILITY": "avx2"}
    many = (
        [] if processes == 1 else ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    )
    command = [sys.executable, "-m", *many, "puna.cli.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def losses(output: Path) -> list[float]:
    log = output.with_name(f"{output.name}.training") / "log.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        each for record in records for each in (record.get("loss"), record.get("valid", {}).get("loss")) if each
    ]


@pytest.mark.parametrize("kind", ["reader", "full"])
def test_the_curve_is_that_of_one(tmp_path, kind):
    model = write_tiny(tmp_path / "tiny.gguf")
    rows = write_rows(tmp_path / "rows.jsonl", walks(40))
    if kind == "reader":
        words = ["train", "reader", str(rows), "--questions", "8", "--lora-rank", "4", "--epochs", "2"]
    else:
        words = ["train", "lm", str(rows), "--full", "--length", "32", "--batch", "300"]
    words += [
        "--model",
        str(model),
        "--rate",
        "0.003",
        "--save-dtype",
        "fp32",
        "--device",
        "cpu",
        "--save-every",
        "4",
    ]
    for processes in (1, 2):
        run([*words, "-o", str(tmp_path / f"by-{processes}")], processes, tmp_path / "cache")
    one, two = losses(tmp_path / "by-1"), losses(tmp_path / "by-2")
    assert len(one) > 5
    assert two == pytest.approx(one, rel=1e-4)
    if kind == "reader":
        ours, theirs = (read_adapter(tmp_path / f"by-{processes}") for processes in (1, 2))
        for name, (a, b) in ours.matrices.items():
            torch.testing.assert_close(theirs.matrices[name][0], a, atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(theirs.matrices[name][1], b, atol=1e-3, rtol=1e-3)
    else:
        first, second = (open_checkpoint(tmp_path / f"by-{processes}") for processes in (1, 2))
        for name in first.names():
            ours, theirs = (each.tensor(name, torch.float32) for each in (first, second))
            torch.testing.assert_close(theirs, ours, atol=1e-3, rtol=1e-3)
    assert contents(tmp_path / "by-1").keys() == contents(tmp_path / "by-2").keys()

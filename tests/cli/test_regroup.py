"""`puna regroup`: what it prints, and how it fails."""

import json
import math
from pathlib import Path

import pytest

from puna.weights.checkpoint import open_checkpoint
from tests.cli.test_export import Run, run, tiny

__all__ = ["run", "tiny"]


def test_help_shows_an_example(run: Run) -> None:
    code, out, err = run("regroup", "--help")
    assert (code, err) == (0, "")
    assert "puna regroup default --kv-heads 1" in out
    assert "JSON object" in out


def test_two_heads_become_one(tiny: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("regroup", str(tiny), "--kv-heads", "1", "-o", "one", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    kind = found["cache_type"]
    size = {"float32": 4, "bfloat16": 2}[kind] * 2 * 16  # one layer, heads of 16
    checkpoint = open_checkpoint(tiny)
    before = sum(math.prod(checkpoint.shape(name)) for name in checkpoint.names())
    assert found == {
        "output": "one",
        "size_bytes": sum(path.stat().st_size for path in (tmp_path / "one").iterdir()),
        "type": "F32",
        "by": "mean",
        "seed": None,
        "heads": 4,
        "kv_heads": {"before": 2, "after": 1},
        "parameters": {"before": before, "after": before - 2 * 16 * 64},
        "cache_bytes_per_token": {"before": 2 * size, "after": size},
        "cache_type": kind,
    }
    assert open_checkpoint(tmp_path / "one").config["num_key_value_heads"] == 1
    code, out, err = run("generate", "the", "--raw", "--model", "one", "--max-tokens", "2", "--json")
    assert code == 0


def test_what_it_says(tiny: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run("regroup", str(tiny), "--kv-heads", "1", "--by", "random", "--seed", "7", "-o", "b")
    assert code == 0
    assert "2 → 1" in out
    assert "seed 7" in out
    assert "puna train lm TEXT --full --model b" in err
    monkeypatch.setenv("PUNA_LANG", "zh")
    code, out, err = run("regroup", str(tiny), "--kv-heads", "1", "-o", "c", "--type", "bf16")
    assert code == 0
    assert "2 个头的平均" in out
    assert "BF16" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kv-heads", "2"], "E-REGROUP-HEADS"),
        (["--kv-heads", "4"], "E-REGROUP-HEADS"),
        (["--kv-heads", "0"], "E-USAGE"),
        (["--kv-heads", "1", "--by", "median"], "E-USAGE"),
    ],
)
def test_refused(arguments: list[str], said: str, tiny: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("regroup", str(tiny), *arguments, "-o", "b")
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "b").exists()


def test_what_is_there_stays(tiny: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("x")
    code, _, err = run("regroup", str(tiny), "--kv-heads", "1", "-o", "b")
    assert code == 2
    assert "E-EXPORT-TARGET" in err
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["mine"]

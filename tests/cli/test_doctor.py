"""`puna doctor` as a user calls it: what it prints, in which language, and with which code it ends."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.run import puna as run
from tests.doctor.models import write_folder, write_gguf
from tests.test_messages import HAN


def test_a_sound_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    done = run("doctor", str(path))
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 error(s), 0 warning(s)"
    assert all(line.startswith("ok: ") for line in lines[:-1])
    found = json.loads(run("doctor", str(path), "--json").stdout)
    assert set(found) == {"path", "errors", "warnings", "findings"}
    assert (found["path"], found["errors"], found["warnings"]) == (str(path), 0, 0)
    assert len(found["findings"]) == len(lines) - 1
    assert all(set(each) == {"level", "check", "what", "do"} for each in found["findings"])


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_damaged_one(language: str, tmp_path: Path) -> None:
    def spoil(state: dict[str, np.ndarray]) -> None:
        state["model.norm.weight"][3] = np.nan

    path = write_gguf(tmp_path / "model.gguf", keys={"tokenizer.ggml.pre": None}, change=spoil)
    done = run("doctor", str(path), PUNA_LANG=language)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    words = {"en": ("error: ", "warning: "), "zh": ("错误: ", "警告: ")}[language]
    for word in words:
        (at,) = (n for n, line in enumerate(lines) if line.startswith(word))
        assert lines[at + 1].startswith("  → ")
        assert bool(HAN.search(lines[at])) == bool(HAN.search(lines[at + 1])) == (language == "zh")
    found = json.loads(run("doctor", str(path), "--json", PUNA_LANG=language).stdout)
    assert (found["errors"], found["warnings"]) == (1, 1)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    headless = write_folder(tmp_path / "headless", change=lambda state: state.pop("lm_head.weight"))
    for path, code in (
        (tmp_path / "x.gguf", "E-GGUF-TRUNCATED"),
        (tmp_path / "none", "E-MODEL-UNKNOWN"),
        (headless, "E-HEAD-MISSING"),
    ):
        done = run("doctor", str(path))
        assert done.returncode == 2
        assert done.stdout == ""
        error, hint = done.stderr.splitlines()
        assert error.startswith("error: ")
        assert error.endswith(f"[{code}]")
        assert hint.startswith("hint: ")

"""--adapter: which commands read with what, by the names that their JSON tells."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import puna.cli.main
from puna.answer import adapters
from tests.answer.test_adapters import base_of, make
from tests.cli.run import puna as run
from tests.cli.test_calibrate import row
from tests.cli.tiny_file import write_tiny

ASK = ("ask", "Who came?", "--text", "Ann came. Bob saw her.")
READING = ("ask", "eval qa", "calibrate")
KNOWING = ("rank", "generate", "eval choice")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PUNA_LANG", "en")
    rows = "\n".join(json.dumps(row(number)) for number in range(20))
    (tmp_path / "rows.jsonl").write_text(rows, "utf-8")
    chosen = {"question": "Which?", "candidates": ["Ann", "Bob"], "answer_index": 1}
    (tmp_path / "choice.jsonl").write_text(json.dumps(chosen), "utf-8")
    return write_tiny(tmp_path / "tiny.gguf")


@pytest.fixture
def shipped(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(adapters, "READERS", tmp_path / "readers")
    return make(tiny, tmp_path / "readers" / "reader", 3, base=base_of(tiny))


Main = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def main(tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run a command in this process, where a reader can be shipped: exit code, JSON, stderr."""
    monkeypatch.chdir(tiny.parent)

    def call(*arguments: str) -> tuple[int, dict[str, Any], str]:
        with pytest.raises(SystemExit) as left:
            puna.cli.main.main([*arguments, "--model", str(tiny), "--json"])
        said = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return left.value.code, json.loads(said.out or "{}"), said.err

    return call


def arguments(command: str) -> tuple[str, ...]:
    return {
        "ask": ASK,
        "eval qa": ("eval", "qa", "rows.jsonl", "--limit", "1"),
        "rank": ("rank", "Who?", "-c", "Ann"),
        "generate": ("generate", "Who?", "--max-tokens", "2"),
        "eval choice": ("eval", "choice", "choice.jsonl"),
    }[command]


@pytest.mark.parametrize("command", [*READING, *KNOWING])
def test_every_command_with_a_model_has_the_option(command: str) -> None:
    text = run(*command.split(), "--help").stdout
    assert "--adapter FOLDER" in text
    assert "--adapter my-" in text
    assert ("the reader that comes with Puna" in " ".join(text.split())) == (command in READING)


@pytest.mark.parametrize("command", [*READING[:2], *KNOWING])
def test_who_takes_the_shipped_reader(command: str, main: Main, shipped: Path) -> None:
    name = main(*arguments(command))[1]["model"]
    assert name.startswith("tiny+reader-") if command in READING else name == "tiny"
    assert main(*arguments(command), "--adapter", "none")[1]["model"] == "tiny"
    assert main(*arguments(command), "--adapter", str(shipped))[1]["model"].startswith("tiny+reader-")


def test_calibrated_with_its_adapter(main: Main, tiny: Path, shipped: Path) -> None:
    """The calibration beside an adapter is its own: asked with it, and measured, without being named."""
    code, _, said = main(*ASK, "--max-error", "50%")
    assert (code, said.count("\n")) == (2, 2)
    assert "[E-MAX-ERROR-UNCALIBRATED]" in said
    raw = main(*ASK)[1]
    target = shipped / "calibration.json"
    assert main("calibrate", "rows.jsonl", "-o", str(target))[0] == 0
    assert json.loads(target.read_text("utf-8"))["model"] == raw["model"]
    found = main(*ASK)[1]
    named = main(*ASK, "--calibration", str(target))[1]
    assert found["answers"] == named["answers"] != raw["answers"]
    assert "[E-MAX-ERROR-UNREACHED]" in main(*ASK, "--max-error", "1%")[2]  # as its curve says
    measured = [
        main("eval", "qa", "rows.jsonl", *more)[1]["brier"]
        for more in ((), ("--calibration", str(target)), ("--adapter", "none"))
    ]
    assert measured[0] == measured[1] != measured[2]


def test_kept_rows_are_those_of_the_adapter(main: Main, shipped: Path) -> None:
    given = ("eval", "qa", "rows.jsonl", "--limit", "2", "--output", "kept.jsonl")
    assert main(*given)[0] == 0
    code, _, said = main(*given, "--adapter", "none")
    assert code == 2
    assert "[E-OUTPUT-MODEL]" in said


def test_clear_lines(tiny: Path, tmp_path: Path) -> None:
    model = ("--model", str(tiny))
    make(tiny, tmp_path / "hills", base={"name": "Hill-7B", "sha256": "ab" * 32})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "adapter_config.json").write_text("{}")
    (tmp_path / "bin" / "adapter_model.bin").write_bytes(b"\x80")
    for name, code in {"hills": "MODEL", "no-such": "MISSING", "bin": "PICKLE", "tiny.gguf": "KIND"}.items():
        done = run(*ASK, *model, "--adapter", name, cwd=tmp_path)
        lines = done.stderr.splitlines()
        assert (done.returncode, done.stdout, len(lines)) == (2, "", 2)
        assert lines[0].startswith("error: ")
        assert lines[0].endswith(f"-{code}]")
        assert lines[1].startswith("hint: ")

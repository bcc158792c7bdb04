"""--device, and a GPU without room, on the command line."""

from pathlib import Path

import pytest
import torch

import puna.cli.main
from tests.cli.run import puna as run
from tests.cli.tiny_file import write_tiny


@pytest.mark.parametrize(
    "command",
    [
        ["ask", "Who?", "--text", "Ann led."],
        ["rank", "Who?", "-c", "Ann"],
        ["generate", "Who?"],
    ],
)
def test_a_missing_device_is_one_line(command: list[str], tmp_path: Path) -> None:
    model = str(write_tiny(tmp_path / "tiny.gguf"))
    done = run(*command, "--model", model, "--device", "cuda:63")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 2
    assert "cuda:63" in done.stderr
    assert "[E-DEVICE-MISSING]" in done.stderr


@pytest.mark.parametrize("command", ["ask", "rank", "generate", "calibrate", "eval qa", "eval choice"])
def test_every_command_with_a_model_has_the_option(command: str) -> None:
    assert "--device" in run(*command.split(), "--help").stdout


def test_the_cpu_can_be_asked_for(tmp_path: Path) -> None:
    done = run("rank", "Who?", "-c", "Ann", "--model", str(write_tiny(tmp_path / "tiny.gguf")), "--device", "cpu")
    assert done.returncode == 0


def test_a_full_gpu_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("puna.answer.reader.load_model", full)
    with pytest.raises(SystemExit) as left:
        puna.cli.main.main(["rank", "Who?", "-c", "Ann", "--model", str(write_tiny(tmp_path / "tiny.gguf"))])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert "[E-DEVICE-MEMORY]" in said
    assert said.count("\n") == 2

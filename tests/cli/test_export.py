"""`puna export` and `puna quantize`: what they print, and how they fail. In this process: loading torch takes seconds."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import puna.cli.main
from puna.weights.adapter import read_adapter
from puna.weights.gguf import GgufFile
from puna.weights.gguf_adapter import write_gguf_adapter
from tests.answer.test_adapters import make
from tests.cli.tiny_file import write_tiny

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf", head=16, ffn=256)


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run a command in the test's folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PUNA_LANG", "en")
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))
    log = logging.getLogger("puna")
    before = list(log.handlers)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            puna.cli.main.main(list(arguments))
        log.handlers[:] = before
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    yield call
    log.handlers[:] = before


@pytest.mark.parametrize("command", ["export", "quantize"])
def test_help_shows_an_example(command: str, run: Run) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert f"puna {command} default" in out
    assert "JSON object" in out


def test_a_file_and_a_folder(tiny: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run("export", str(tiny), "--to", "gguf", "--type", "q6_k", "-o", "q.gguf", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "output": "q.gguf",
        "format": "gguf",
        "size_bytes": (tmp_path / "q.gguf").stat().st_size,
        "adapter": None,
        "tensors": {"Q8_0": 7, "Q6_K": 1, "F32": 3},
        "fallbacks": {"Q8_0": 7},
    }
    assert GgufFile(tmp_path / "q.gguf").metadata["general.file_type"] == 7
    _, _, err = run("export", str(tiny), "--to", "gguf", "--type", "q4_k", "-o", "r.gguf")
    assert "6 matrices are Q5_0" in err
    monkeypatch.setenv("PUNA_LANG", "zh")
    _, out, _ = run("export", "q.gguf", "--to", "hf", "-o", "folder")
    size = sum(path.stat().st_size for path in (tmp_path / "folder").iterdir())
    assert out == f"folder：{size / 1e6:.1f} MB，11 F32\n"
    options = ("--raw", "--temperature", "0", "--max-tokens", "8")
    texts = [run("generate", "the cat", *options, "--model", name) for name in ("q.gguf", "folder")]
    assert texts[0][:2] == texts[1][:2]
    assert texts[0][0] == 0


def test_warnings_are_one_line(tiny: Path, run: Run) -> None:
    assert run("export", str(tiny), "--to", "gguf", "--type", "q8_0", "-o", "q.gguf")[0] == 0
    code, out, err = run("export", "q.gguf", "--to", "gguf", "--type", "q4_0", "-o", "r.gguf", "--json")
    assert (code, json.loads(out)["tensors"]["Q4_0"]) == (0, 7)
    assert err.startswith("warning: 7 tensor(s) were quantised before")
    assert err.endswith("[E-EXPORT-TWICE]\n")


def test_an_adapter_asked_as_file_and_as_folder(tiny: Path, tmp_path: Path, run: Run) -> None:
    make(tiny, tmp_path / "reader", 3)
    assert run(*f"export {tiny} --to gguf --adapter reader --adapter-only -o reader.gguf".split())[0] == 0
    ask = ("rank", "Who?", "-c", "Ann", "-c", "Bob", "--model", str(tiny), "--json", "--adapter")
    found = [json.loads(run(*ask, name)[1]) for name in ("reader", "reader.gguf")]
    for one, other in zip(*(each["answers"] for each in found), strict=True):
        assert one["text"] == other["text"]
        assert one["probability"] == pytest.approx(other["probability"], rel=1e-3)
    assert found[1]["model"].startswith("tiny+reader-")
    for calibrated in (False, True):
        info = json.loads(run("info", str(tiny), "--adapter", "reader.gguf", "--json")[1])["adapter"]
        assert (info["name"], info["calibrated"]) == ("reader", calibrated)
        (tmp_path / "reader.calibration.json").write_text("{}")


def test_a_gguf_adapter_of_another_shape(tiny: Path, tmp_path: Path, run: Run) -> None:
    adapter = read_adapter(make(write_tiny(tmp_path / "other.gguf", head=8), tmp_path / "reader", 3))
    config = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2}
    write_gguf_adapter(tmp_path / "reader.gguf", adapter, config)
    code, _, err = run("rank", "Who?", "-c", "Ann", "--model", str(tiny), "--adapter", "reader.gguf")
    assert code == 2
    assert "[E-ADAPTER-MATRIX]" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("export tiny.gguf --to gguf -o tiny.gguf", "E-EXPORT-TARGET"),
        ("export tiny.gguf --to hf -o there", "E-EXPORT-TARGET"),
        ("export tiny.gguf --to hf --type q8_0 -o new", "E-EXPORT-DENSE"),
        ("export tiny.gguf --to gguf --adapter-only -o new", "E-EXPORT-ALONE"),
        ("export tiny.gguf --to gguf --adapter there -o new", "E-ADAPTER-MISSING"),
        ("export tiny.gguf --to gguf --adapter there/x -o new", "E-ADAPTER-MISSING"),
        ("export tiny.gguf --to gguf --adapter tiny.gguf -o new", "E-ADAPTER-KIND"),
        ("export no-such --to gguf -o new", "E-MODEL-UNKNOWN"),
        ("export tiny.gguf --to onnx -o new", "E-USAGE"),
        ("quantize tiny.gguf --text no-such", "E-FILE-MISSING"),
        ("quantize tiny.gguf --text there/x", "E-EXPORT-TEXT"),
        ("quantize tiny.gguf --text there/x --types q9", "E-USAGE"),
    ],
)
def test_clear_lines(arguments: str, code: str, tiny: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").touch()
    left, out, err = run(*arguments.split())
    lines = err.splitlines()
    assert (left, out) == (2, "")
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert lines[1].startswith("hint: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "tiny.gguf"]


def test_the_cost_of_types(tiny: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "text.txt").write_text("The cat sat on the mat, and 山 is a mountain. " * 20, "utf-8")
    ask = (
        "quantize",
        "tiny.gguf",
        "--text",
        "text.txt",
        "--types",
        "q8_0, q4_0",
        "--tokens",
        "300",
        "--window",
        "64",
    )
    found = json.loads(run(*ask, "--json")[1])
    assert found["tokens"] == 300 - 5  # five windows, the first token of each is not predicted
    assert 0 < found["read"] < found["characters"] == 900
    types = found["types"]
    assert [row["type"] for row in types] == [None, "q8_0", "q4_0"]
    assert types[0]["size_bytes"] > types[1]["size_bytes"] > types[2]["size_bytes"]
    assert types[0]["added"] == types[0]["error"] == 0
    assert abs(types[1]["added"]) < 0.05
    _, out, err = run(*ask)
    assert out.splitlines()[0].split() == ["type", "MB", "perplexity", "nats", "a", "token", "more", "±"]
    assert len(out.splitlines()) == 4
    assert "of 900 characters" in err

"""Model files from strangers, through the whole command: one clear line, exit code 2, nothing else."""

import json
import random
import struct
from pathlib import Path

import pytest

import puna
from puna.errors import ModelFileError
from tests.cli.run import puna as run
from tests.cli.tiny_file import write_tiny

ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
BOMB = "{% for a in range(99999) %}{% for b in range(99999) %}{{ a * b }}{% endfor %}{% endfor %}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def refused(code: str, *arguments: str) -> None:
    done = run(*arguments)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert all(line.startswith("hint: ") for line in lines[1:])


def test_the_tiny_model_itself_works(tiny: Path) -> None:
    model = ("--model", str(tiny), "--json")
    found = json.loads(run("ask", "Who came?", "--text", "Ann came. 安来了。", *model).stdout)
    assert len(found["answers"]) == 5
    assert len(json.loads(run("rank", "Q?", "-c", "a", "-c", "b", *model).stdout)["answers"]) == 2
    assert json.loads(run("generate", "hi", "--max-tokens", "3", *model).stdout)["stop_reason"] in ("length", "end")
    assert json.loads(run("info", str(tiny), "--json").stdout)["kv_heads"] == 2


@pytest.mark.parametrize("template", [ESCAPE, BOMB], ids=["escape", "bomb"])
def test_hostile_template(template: str, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "bad.gguf", template=template)
    code = "E-TEMPLATE-REFUSED" if template == ESCAPE else "E-TEMPLATE-LIMIT"
    refused(code, "generate", "hi", "--model", str(path))


def test_unknown_architecture(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "mamba.gguf", architecture="mamba")
    refused("E-ARCHITECTURE", "ask", "Q?", "--text", "a", "--model", str(path))


def test_unknown_rope_type(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "spiral.gguf", rope="spiral")
    refused("E-ROPE-TYPE", "ask", "Q?", "--text", "a", "--model", str(path))


def test_absurd_sizes(tiny: Path, tmp_path: Path) -> None:
    raw = bytearray(tiny.read_bytes())
    raw[8:16] = struct.pack("<Q", 2**60)  # tensors
    path = tmp_path / "absurd.gguf"
    path.write_bytes(raw)
    done = run("info", str(path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_truncated_anywhere(tiny: Path, tmp_path: Path) -> None:
    raw = tiny.read_bytes()
    rng = random.Random(11)
    path = tmp_path / "cut.gguf"
    for _ in range(50):
        path.write_bytes(raw[: rng.randrange(len(raw))])
        with pytest.raises(ModelFileError) as caught:
            puna.load(path)
        assert "\n" not in str(caught.value)

"""The READMEs cannot rot: their commands are run and their output compared, and both have one structure."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Every `$ command` of the console blocks with the output printed below it."""
    found = []
    for kind, body in BLOCK.findall(ENGLISH):
        if kind == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append((command, output))
    return found


def comparable(output: str) -> list[str]:
    """Lines without what differs between processors and runs: digits of probabilities, bars, times, work done."""
    output = re.sub(r"[█▏▎▍▌▋▊▉]", "", output)
    output = re.sub(r"-?\d+\.\d+(?:e-\d+)?", "N", output)
    output = re.sub(r'"(nodes|passes)": \d+', r'"\1": N', output)
    return [" ".join(line.split()) for line in output.splitlines() if line.strip()]


def run(command: str) -> str:
    words = shlex.split(command)
    if words[0] == ".venv/bin/puna":
        words = [sys.executable, "-m", "puna.cli.main", *words[1:]]
    environment = {**os.environ, "PUNA_LANG": "", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.usefixtures("default_path")
@pytest.mark.parametrize(("command", "output"), commands(), ids=[c[:40] for c, _ in commands()])
def test_commands_print_what_the_readme_shows(command: str, output: str) -> None:
    if command.startswith("make") and not (ROOT / ".venv/core.stamp").exists():
        pytest.skip("`make` was not used here, and would install Puna")
    got, want = comparable(run(command)), comparable(output)
    if " rank " in command or "make" in command:
        # Of hopeless candidates the order may differ between processors.
        got, want = got[:2], want[:2]
    assert got[:3] == want[:3]
    assert got[-1:] == want[-1:]


@pytest.mark.usefixtures("default_path")
def test_python_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (body for kind, body in BLOCK.findall(ENGLISH) if kind == "python")
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})  # the reader's own steps, in this process
    assert capsys.readouterr().out.startswith("Astrid Halvorsen 0.")


def test_the_test_command_is_a_target() -> None:
    done = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"-m pytest" in done.stdout


def test_both_languages_have_one_structure() -> None:
    def shape(text: str) -> list[str]:
        plain = BLOCK.sub("", text)
        return [line.split(" ")[0] for line in plain.splitlines() if line.startswith("#")]

    assert shape(ENGLISH) == shape(CHINESE)
    assert BLOCK.findall(ENGLISH) == BLOCK.findall(CHINESE)
    assert ENGLISH.count("\n- ") == CHINESE.count("\n- ")


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_links_lead_somewhere(text: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target

"""`puna ask` on texts and settings that nobody expects, and under Ctrl-C: no traceback, valid JSON, the right code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

QUESTION = "Who led it?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strange")
    write_tiny(path / "tiny.gguf")
    texts = {
        "control.txt": b"\x00\x01 Ann\x1b[2J\x1b]0;x\x07 led it\x7f\r\nBob \x9b31m\x0bcame\r\n",
        "both.txt": "שלום Ann \u202eeloc\u202c led عام ١٩٢١ e\u0301 👩‍👩‍👧 it".encode(),
        "again.txt": b"Ann led it.",
    }
    texts["control.txt"] = texts["control.txt"].decode("latin-1").encode()
    for name, content in texts.items():
        (path / name).write_bytes(content)
    return path


def ask(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    done = puna("ask", QUESTION, *arguments, "--model", "tiny.gguf", cwd=folder, **more)
    assert "Traceback" not in done.stderr
    return done


def found(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one line of JSON, nothing in it that JSON does not know."""
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.endswith("}\n")
    assert done.stdout.strip().isprintable()
    return json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("name", ["control.txt", "both.txt"])
def test_json_of_strange_texts(folder: Path, name: str) -> None:
    text = (folder / name).read_bytes().decode()
    answers = found(ask(folder, name, "--json", "--no-group", "--top", "1000", "--why"))["answers"]
    assert "Ann" in {answer["text"] for answer in answers}
    for answer in answers:
        for place in answer["evidence"]:
            assert " ".join(text[place["start"] : place["end"]].split()) == answer["text"]
            first, last = place["utf16"]
            assert (
                text.encode("utf-16-le")[2 * first : 2 * last].decode("utf-16-le")
                == text[place["start"] : place["end"]]
            )


def test_a_table_of_a_strange_text(folder: Path) -> None:
    """Nothing in it moves a terminal's cursor or reads the other way."""
    table = ask(folder, "control.txt", "--top", "1000", "--no-group", "--why")
    assert table.returncode in (0, 1)
    assert all(line.isprintable() for line in table.stdout.splitlines())
    assert all(line.isprintable() for line in table.stderr.splitlines())
    assert "Ann" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--text", "supercalifragilistic", "--max-nodes", "1"), "E-MAX-NODES-FEW"),
        (("again.txt", "--max-words", "0"), "E-SPAN-LENGTH"),
        (("again.txt", "--max-nodes", "0"), "E-MAX-NODES"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_line(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    done = ask(folder, *arguments, "--json")
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 2)
    assert lines[0].endswith(f"[{code}]")
    assert lines[1].startswith("hint: ")


def test_the_same_text_three_times_and_small_budgets(folder: Path) -> None:
    """A file named twice is one source; the same text given again is another; a small budget says what it missed."""
    told = found(
        ask(folder, "again.txt", "--file", "again.txt", "--text", "Ann led it.", "--json", "--max-words", "1")
    )
    assert told["coverage"] == {"characters": 22, "read": 22, "windows": 2}
    assert {answer["text"] for answer in told["answers"]} <= {"Ann", "led", "it"}
    assert {place["source"] for place in told["answers"][0]["evidence"]} == {"again.txt", "text"}
    told = found(ask(folder, "again.txt", "--json", "--max-nodes", "6", "--no-group"))
    assert told["certificate"]["nodes"] <= 6
    assert told["certificate"]["exact"] is False
    assert told["certificate"]["unvisited"] > 0


def stopped(path: Path, *options: str) -> tuple[str, str]:
    """Ask about a long text and press Ctrl-C once the bar shows that a window was read; give what was printed."""
    command = ["ask", "Who led the walk?", str(path), *options]
    mine, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "puna.cli.main", *command],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "PUNA_LANG": "en", "TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(terminal)
        shown = read_until(mine, re.compile(rb"[1-9]\d*%"))
        process.send_signal(signal.SIGINT)
        shown += read_until(mine, None)
        out = process.stdout.read().decode() if process.stdout else ""
    os.close(mine)
    assert process.returncode == 130, shown
    assert b"Traceback" not in shown
    return out, shown.decode()


@pytest.fixture
def long(tmp_path: Path) -> Path:
    path = tmp_path / "long.txt"
    path.write_text("Ann Lee led the walk to Bergen in May. " + "Nothing was written in the log that week. " * 1200)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="no terminal to look at, no SIGINT for one process")
def test_ctrl_c_gives_json_of_the_best_so_far(default_path: Path, long: Path) -> None:
    out, _ = stopped(long, "--model", str(default_path), "--json")
    told = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert "Ann Lee" in told["answers"][0]["text"]
    assert 0 < told["coverage"]["read"] < told["coverage"]["characters"] == len(long.read_text())
    assert told["certificate"]["exact"] is False


@pytest.mark.skipif(sys.platform == "win32", reason="no terminal to look at, no SIGINT for one process")
def test_ctrl_c_gives_a_table_of_the_best_so_far(folder: Path, long: Path) -> None:
    out, shown = stopped(long, "--model", str(folder / "tiny.gguf"))
    assert "line 1," in out.splitlines()[1]
    found = re.search(r"stopped: (\d+) of (\d+) characters were read; the best so far", shown)
    assert found
    assert 0 < int(found[1]) < int(found[2]) == len(long.read_text())
    assert "a better answer may have been missed" in shown


def read_until(terminal: int, wanted: re.Pattern[bytes] | None) -> bytes:
    """Read what a terminal shows, up to what is wanted or to its end."""
    shown = b""
    while not (wanted and wanted.search(shown)):
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            part = b""
        if not part:
            break
        shown += part
    return shown

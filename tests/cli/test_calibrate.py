"""`puna calibrate` from the outside: what it writes, how `ask` uses it, going on after a stop, clear lines."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

import puna
from puna.answer.calibration import load_calibration
from tests.cli.run import puna as run
from tests.cli.tiny_file import write_tiny

NAMES = "Ann Bob Cleo Dan Eve Fay Gus Hal Ida Jon Kim Leo".split()


def row(number: int) -> dict[str, Any]:
    """Every third has no answer."""
    name = NAMES[number % len(NAMES)]
    answers = [] if number % 3 == 0 else [{"text": name}]
    return {"id": str(number), "context": f"{name} came at {number}.", "question": "Who came?", "answers": answers}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows, a model, another one, and a calibration of the first."""
    path = tmp_path_factory.mktemp("calibrate")
    write_tiny(path / "tiny.gguf")
    (path / "other.gguf").write_bytes((path / "tiny.gguf").read_bytes())
    lines = [json.dumps(row(number)) for number in range(24)]
    (path / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    (path / "few.jsonl").write_text("\n".join(lines[:19]), "utf-8")
    done = run("calibrate", "rows.jsonl", "-o", "calib.json", "--model", "tiny.gguf", "--json", cwd=path)
    (path / "told.json").write_text(done.stdout, "utf-8")
    sure = json.loads((path / "calib.json").read_text("utf-8")) | {"curve": [[0.9, 0.1, 0.05], [1e-9, 1.0, 0.2]]}
    (path / "sure.json").write_text(json.dumps(sure), "utf-8")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    return path


def is_whole_png(content: bytes) -> bool:
    """Every chunk of it with its checksum, up to the end, and a picture of some size in it."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    place, kinds = 8, []
    while place < len(content):
        size = struct.unpack_from(">I", content, place)[0]
        kind, chunk = content[place + 4 : place + 8], content[place + 4 : place + 8 + size]
        if struct.unpack_from(">I", content, place + 8 + size)[0] != zlib.crc32(chunk):
            return False
        kinds.append(kind)
        place += size + 12
    width, height = struct.unpack_from(">II", content, 16)
    return kinds[0] == b"IHDR" and kinds[-1] == b"IEND" and b"IDAT" in kinds and min(width, height) > 200


def test_what_is_written_and_told(folder: Path) -> None:
    told = json.loads((folder / "told.json").read_text("utf-8"))
    fitted = json.loads((folder / "calib.json").read_text("utf-8"))
    assert told["files"] == ["calib.json", "calib.png"]
    assert told["rows"] == fitted["rows"] == 24
    assert (fitted["model"], fitted["normalise"]) == ("tiny", "sum")
    assert {name: told[name] for name in fitted["measured"]} == fitted["measured"]
    assert told["unanswerable"] == pytest.approx(1 / 3)
    for name in ("ece", "brier", "aurc", "no_answer_auroc"):
        assert 0 <= told[name] <= 1
        assert 0 <= told[f"raw_{name}"] <= 1
    assert fitted["coefficients"]["a"] > 0
    assert fitted["curve"]
    assert is_whole_png((folder / "calib.png").read_bytes())
    assert not list(folder.glob("*.part")) + list(folder.glob(".*"))


def test_ask_uses_it(folder: Path) -> None:
    reader, text = puna.load(folder / "tiny.gguf"), "Ann came at 1."
    plain = reader.ask("Who came?", text, top=9, group=False)
    calibration = load_calibration(folder / "calib.json")
    calibrated = reader.ask("Who came?", text, top=9, group=False, calibration=calibration)
    assert [(a.text, a.log_probability) for a in calibrated] == [(a.text, a.log_probability) for a in plain]
    assert calibrated.no_answer_probability != plain.no_answer_probability
    assert sum(a.probability for a in calibrated) + calibrated.no_answer_probability <= 1 + 1e-9
    ask = ("ask", "Who came?", "--text", text, "--model", "tiny.gguf", "--json", "--top", "9", "--no-group")
    for share, threshold, code in (("20%", 1e-9, 0), ("0.05", 0.9, 1)):
        done = run(*ask, "--calibration", "sure.json", "--max-error", share, cwd=folder)
        found = json.loads(done.stdout)
        assert (done.returncode, found["threshold"]) == (code, threshold)
        assert [a["probability"] for a in found["answers"]] == [a.probability for a in calibrated]


def test_table_and_picture_beside_a_name_that_ends_in_png(folder: Path, tmp_path: Path) -> None:
    """In Chinese; the calibration is not written over by its picture; rows that cannot be asked are told."""
    rows = [row(number) for number in range(22)]
    rows[3]["question"] = "Who " * 900
    rows[7]["context"] = "?! …"
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    output = tmp_path / "calib.png"
    options = ("-o", str(output), "--model", str(folder / "tiny.gguf"), "--normalise", "byte")
    done = run("calibrate", "rows.jsonl", *options, cwd=tmp_path, PUNA_LANG="zh")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [
        "校准误差（ECE）",
        "Brier",
        "风险-覆盖曲线面积（AURC）",
        "区分有无答案（AUROC）",
    ]
    assert "20 个问题" in done.stderr
    assert "2 行无法提问" in done.stderr
    fitted = json.loads(output.read_text("utf-8"))
    assert (fitted["normalise"], fitted["rows"]) == ("byte", 20)
    assert is_whole_png((tmp_path / "calib.png.png").read_bytes())
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_ctrl_c_and_going_on(folder: Path, tmp_path: Path) -> None:
    """The whole is what one run without a stop gives; nothing is asked twice."""
    output, part = tmp_path / "calib.json", tmp_path / "calib.json.part"
    command = ("calibrate", "rows.jsonl", "-o", str(output), "--model", "tiny.gguf", "--json")
    with subprocess.Popen(
        [sys.executable, "-m", "puna.cli.main", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PUNA_LANG": "en"},
    ) as process:
        while process.poll() is None and not (part.exists() and part.read_bytes().count(b"\n") > 2):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert out == ""
    lines = part.read_bytes().splitlines()
    assert f"stopped after {len(lines) - 1} of 24 questions; the same command goes on from there" in err
    assert not output.exists()
    done = run(*command, cwd=folder)
    assert done.returncode == 0
    assert output.read_bytes() == (folder / "calib.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calib.json", "calib.png"]


BAD = {
    "too few rows": (("calibrate", "few.jsonl", "-o", "x.json"), "E-ROWS-FEW"),
    "rows of another kind": (("calibrate", "told.json", "-o", "x.json"), "E-ROWS-FIELD"),
    "no output": (("calibrate", "rows.jsonl"), "E-USAGE"),
    "its own rows as output": (("calibrate", "rows.jsonl", "-o", "rows.jsonl"), "E-OUTPUT-WRITE"),
    "an output without a folder": (
        ("calibrate", "rows.jsonl", "-o", "none/x.json", "--model", "tiny.gguf"),
        "E-OUTPUT-WRITE",
    ),
    "another model": (
        ("ask", "Q?", "--text", "a", "--model", "other.gguf", "--calibration", "calib.json"),
        "E-CALIBRATION-MODEL",
    ),
    "no calibration": (("ask", "Q?", "--text", "a", "--calibration", "rows.jsonl"), "E-CALIBRATION-FILE"),
    "an error rate that is none": (("ask", "Q?", "--text", "a", "--max-error", "few"), "E-USAGE"),
    "an error rate for candidates": (
        ("ask", "Q?", "--text", "a", "--candidate", "a", "--max-error", "99%", "--calibration", "sure.json"),
        "E-MAX-ERROR-CANDIDATES",
    ),
    "exact within a budget": (("ask", "Q?", "--text", "a", "--exact", "--max-nodes", "9"), "E-EXACT-BUDGET"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_line(name: str, folder: Path, tmp_path: Path) -> None:
    arguments, code = BAD[name]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run(*arguments, cwd=folder, PUNA_CACHE=str(tmp_path))
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert [line.split(":")[0] for line in lines[1:]] == ["hint"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

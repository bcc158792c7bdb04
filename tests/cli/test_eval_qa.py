"""`puna eval qa` from the outside: metrics, samples, going on after a stop, and one clear line for bad rows."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

FIELDS = (
    "file model rows seed n failed em f1 top5_em top5_f1 has_answer_em has_answer_f1 no_answer_accuracy ece brier aurc "
    "no_answer_auroc exact_share seconds_per_question nodes_per_question passes_per_question"
).split()
TIMES = {"seconds_per_question", "nodes_per_question", "passes_per_question"}


def row(name: str, text: str, question: str, *answers: str) -> dict[str, Any]:
    return {"id": name, "context": text, "question": question, "answers": [{"text": answer} for answer in answers]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("eval")
    write_tiny(path / "tiny.gguf")
    rows = [
        row(str(n), f"Walker {n} came at {n + 100}.", f"Who came at {n + 100}?", f"Walker {n}") for n in range(60)
    ]
    (path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    rows[-1]["answers"] = []
    (path / "mixed.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


def measured(folder: Path, *arguments: str) -> dict[str, Any]:
    done = puna("eval", "qa", *arguments, "--model", "tiny.gguf", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert list(found) == FIELDS
    return found


def test_fields_and_samples(folder: Path, tmp_path: Path) -> None:
    kept = [tmp_path / name for name in "abc"]
    first, again, other = (
        measured(folder, "rows.jsonl", "--limit", "5", "--seed", seed, "--output", str(path))
        for seed, path in zip("778", kept, strict=True)
    )
    assert (first["file"], first["model"], first["rows"], first["seed"], first["n"]) == (
        "rows.jsonl",
        "tiny",
        5,
        7,
        5,
    )
    assert {k: v for k, v in first.items() if k not in TIMES} == {k: v for k, v in again.items() if k not in TIMES}
    ids = [[json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()] for path in kept]
    assert ids[0] == ids[1] == sorted(ids[0], key=int)
    assert ids[2] != ids[0]
    assert first["has_answer_em"] is first["no_answer_accuracy"] is first["no_answer_auroc"] is None
    assert other["seed"] == 8


def test_one_unanswerable_row_in_the_file_makes_refusals_possible(folder: Path) -> None:
    found = measured(folder, "mixed.jsonl.gz", "--limit", "2")
    assert found["has_answer_em"] is not None


def test_tables(folder: Path) -> None:
    english = puna("eval", "qa", "rows.jsonl", "--limit", "2", "--model", "tiny.gguf", cwd=folder)
    chinese = puna("eval", "qa", "rows.jsonl", "--limit", "2", "--model", "tiny.gguf", cwd=folder, PUNA_LANG="zh")
    assert (english.returncode, chinese.returncode) == (0, 0)
    assert len(english.stdout.splitlines()) == len(chinese.stdout.splitlines()) == 12
    assert "exact match" in english.stdout
    assert "精确匹配" in chinese.stdout
    assert "2 of 60" in english.stderr
    assert "60" in chinese.stderr


def test_questions_that_cannot_be_asked_are_told(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a", "Ann came.", "Who " * 900, "Ann")), "utf-8")
    done = puna("eval", "qa", str(path), "--model", str(folder / "tiny.gguf"), "--json")
    assert json.loads(done.stdout)["failed"] == 1
    assert "E-QUESTION-LONG" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
def test_ctrl_c_and_going_on(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = ["eval", "qa", "rows.jsonl", "--output", str(output), "--model", "tiny.gguf", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "puna.cli.main", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PUNA_LANG": "en"},
    ) as process:
        while process.poll() is None and not (output.exists() and b"\n" in output.read_bytes()):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    found = json.loads(out)
    assert process.returncode == 130
    assert (found["rows"], found["n"]) == (60, len(output.read_bytes().splitlines()))
    assert f"stopped after {found['n']} of 60 questions; the same command goes on from there" in err
    whole = measured(folder, *command[2:-3])
    assert whole["n"] == len(output.read_bytes().splitlines()) == 60


BAD = {
    "missing file": (b"", ("none.jsonl",), "E-FILE-MISSING"),
    "no rows": (b"\n", (), "E-ROWS-NONE"),
    "not JSON": (b"context,question\n", (), "E-ROWS-JSON"),
    "a list": (b"[]\n", (), "E-ROWS-OBJECT"),
    "no question": (b'{"context": "a", "answers": []}', (), "E-ROWS-FIELD"),
    "a number": (b'{"context": 1, "question": "?", "answers": []}', (), "E-ROWS-TYPE"),
    "wrong start": (
        b'{"context": "Ann came.", "question": "?", "answers": [{"text": "came", "start": 3}]}',
        (),
        "E-ROWS-START",
    ),
    "not UTF-8": ("谁？".encode("gb18030"), (), "E-ROWS-UNICODE"),
    "cut gzip": (gzip.compress(b"{}" * 100)[:-9], (), "E-ROWS-DAMAGED"),
    "its own rows as output": (None, ("rows.jsonl", "--output", "rows.jsonl"), "E-OUTPUT-OTHER"),
    "a folder as output": (None, ("rows.jsonl", "--output", "."), "E-OUTPUT-WRITE"),
    "no limit": (None, ("rows.jsonl", "--limit", "0"), "E-USAGE"),
    "no model": (None, ("rows.jsonl", "--model", "no-such-model"), "E-MODEL-UNKNOWN"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_line(name: str, folder: Path, tmp_path: Path) -> None:
    content, arguments, code = BAD[name]
    if content is not None:
        arguments = arguments or (str(tmp_path / "bad.jsonl"),)
        (tmp_path / "bad.jsonl").write_bytes(content)
    before = (folder / "rows.jsonl").read_bytes()
    done = puna("eval", "qa", *arguments, cwd=folder, PUNA_CACHE=str(tmp_path / "no-cache"))
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")
    assert (folder / "rows.jsonl").read_bytes() == before


def test_the_default_model_answers_some(default_path: Path, tmp_path: Path) -> None:
    text = "The expedition left Bergen on 3 May 1921. It was led by Astrid Halvorsen, a geologist from Tromsø."
    rows = [
        row("1", text, "Who led the expedition?", "Astrid Halvorsen"),
        row("2", text, "When did the expedition leave?", "3 May 1921", "on 3 May 1921"),
        row("3", text, "Where did the expedition leave from?", "Bergen"),
        row("4", "珠穆朗玛峰是世界上最高的山峰，海拔8848米。", "世界上最高的山峰是什么？", "珠穆朗玛峰"),
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in rows), "utf-8")
    output = tmp_path / "out.jsonl"
    done = puna("eval", "qa", str(path), "--model", str(default_path), "--output", str(output), "--json")
    found = json.loads(done.stdout)
    seen = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert done.returncode == 0
    assert [one["gold"][0] for one in seen] == ["Astrid Halvorsen", "3 May 1921", "Bergen", "珠穆朗玛峰"]
    assert seen[0]["prediction"] == "Astrid Halvorsen"
    assert found["em"] == 25 * sum(one["em"] for one in seen) > 0
    assert found["top5_f1"] >= found["f1"] >= found["em"]
    assert found["n"] == 4

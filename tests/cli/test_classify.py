"""`puna classify`, `puna sentiment` and `puna eval classify` from the outside: one text, files, kills, bad input."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

FIELDS = ["labels", "chosen", "language", "coverage", "model", "elapsed_ms"]
AB = ("--label", "sports", "--label", "politics")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classify")
    write_tiny(path / "tiny.gguf")
    rows = [{"id": n, "text": f"Day {n}. 他来了。" if n % 3 else f"Ann won {n}."} for n in range(40)]
    (path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    labelled = [{"text": f"Ann won {n}.", "label": ("sports", "politics")[n % 2]} for n in range(12)]
    (path / "labelled.jsonl").write_text("\n".join(map(json.dumps, labelled)), "utf-8")
    (path / "a.csv").write_text('body,n\nAnn won.,1\n"open,2\nBob lost.,3\n', "utf-8")
    return path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return puna(*arguments, "--model", "tiny.gguf", cwd=folder, **environment)


def found(folder: Path, *arguments: str) -> dict[str, Any]:
    done = run(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def rows_of(text: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        del row["elapsed_ms"]
    return rows


def test_one_text(folder: Path) -> None:
    one = found(folder, "classify", "Ann won.", *AB)
    assert list(one) == FIELDS
    assert one["chosen"] == [one["labels"][0]["label"]]
    assert sum(each["probability"] for each in one["labels"]) == pytest.approx(1)
    assert one["coverage"] == {"characters": 8, "read": 8, "windows": 1}
    turned = found(folder, "classify", "Ann won.", "--label", "politics", "--label", "sports")
    piped = puna("classify", "-", *AB, "--model", "tiny.gguf", "--json", cwd=folder, stdin=b"Ann won.")
    for each in (turned, json.loads(piped.stdout)):
        assert each["labels"] == one["labels"]
    without = found(folder, "classify", "Ann won.", *AB, "--no-prior")
    assert without["labels"] != one["labels"]
    assert {each["label"]: each["log_probability"] for each in without["labels"]} == {
        each["label"]: each["log_probability"] for each in one["labels"]
    }


def test_tables_in_both_languages(folder: Path) -> None:
    english = run(folder, "classify", "Ann won.", *AB)
    chinese = run(folder, "classify", "安赢了。", *AB, PUNA_LANG="zh")
    assert english.stdout.splitlines()[0].split() == ["label", "probability"]
    assert chinese.stdout.splitlines()[0].split() == ["标签", "概率"]
    assert len(english.stdout.splitlines()) == len(chinese.stdout.splitlines()) == 3
    assert "read 8 of 8 characters in 1 window" in english.stderr
    several = run(folder, "classify", "Ann won.", *AB, "--multi", "--threshold", "1")
    assert "no label reaches the threshold" in several.stderr


def test_descriptions_and_examples_change_what_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shown.jsonl").write_text('{"text": "Bob lost.", "label": "sports"}', "utf-8")
    (tmp_path / "labels.txt").write_text("sports: games\npolitics\n", "utf-8")
    plain = found(folder, "classify", "Ann won.", *AB)
    described = found(folder, "classify", "Ann won.", "--label", "sports: games", "--label", "politics")
    listed = found(folder, "classify", "Ann won.", "--labels", str(tmp_path / "labels.txt"))
    shown = found(folder, "classify", "Ann won.", *AB, "--examples", str(tmp_path / "shown.jsonl"))
    assert described["labels"] == listed["labels"]
    assert len({json.dumps(each["labels"]) for each in (plain, described, shown)}) == 3
    for each in (described, shown):
        assert {label["label"] for label in each["labels"]} == {"sports", "politics"}


def test_sentiment_speaks_the_users_language(folder: Path) -> None:
    for text in ("A fine day.", "天气真好。"):
        one = found(folder, "sentiment", text)
        assert list(one) == FIELDS
        assert {each["label"] for each in one["labels"]} == {"positive", "negative"}
    assert "positive" in run(folder, "sentiment", "天气真好。").stdout
    assert "正面" in run(folder, "sentiment", "A fine day.", PUNA_LANG="zh").stdout


def test_a_file_in_its_order(folder: Path, tmp_path: Path) -> None:
    lines = run(folder, "classify", "--file", "rows.jsonl", *AB, "--json")
    assert lines.returncode == 0, lines.stderr
    rows = rows_of(lines.stdout)
    assert [row["id"] for row in rows] == [str(n) for n in range(40)]
    assert list(rows[0]) == ["line", "id", "text", *FIELDS[:-1]]
    output = tmp_path / "out.jsonl"
    summary = found(folder, "classify", "--file", "rows.jsonl", *AB, "-o", str(output))
    assert rows_of(output.read_text("utf-8")) == rows
    assert summary.pop("rows_per_second") > 0
    assert summary == {
        "output": str(output),
        "model": "tiny",
        "rows": 40,
        "left_out": 0,
        "chosen": dict(Counter(row["chosen"][0] for row in rows).most_common()),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    plain = run(folder, "classify", "--file", "rows.jsonl", *AB).stdout.splitlines()
    assert [line.split("\t")[0] for line in plain] == [row["chosen"][0] for row in rows]


def test_broken_rows_are_told_and_the_rest_is_done(folder: Path) -> None:
    done = run(folder, "classify", "--file", "a.csv", "--column", "body", *AB, "--json")
    assert done.returncode == 1
    assert [row["text"] for row in rows_of(done.stdout)] == ["Ann won.", "Bob lost."]
    assert "a.csv, line 3, is no CSV" in done.stderr
    assert "1 row(s) left out" in done.stderr


# The command, but that it sends itself a signal when so many rows are kept: no clock decides when that is.
SIGNALLED = """
import os, runpy, sys
from puna.tasks.part_file import Lines
count, number, add = int(sys.argv.pop(1)), int(sys.argv.pop(1)), Lines.add
def signalled(lines, item):
    add(lines, item)
    if len(lines.found) == count:
        os.kill(os.getpid(), number)
Lines.add = signalled
runpy.run_module("puna.cli.main", run_name="__main__", alter_sys=True)
"""


def test_killed_and_stopped_none_is_lost_or_doubled(folder: Path, tmp_path: Path) -> None:
    def command(name: str) -> list[str]:
        return ["classify", "--file", "rows.jsonl", *AB, "-o", str(tmp_path / name), "--model", "tiny.gguf"]

    def signalled(count: int, number: int) -> int:
        return subprocess.run(
            [sys.executable, "-c", SIGNALLED, str(count), str(int(number)), *command("parted.jsonl")],
            cwd=folder,
            env={**os.environ, "PUNA_LANG": "en"},
            capture_output=True,
            check=False,
        ).returncode

    assert puna(*command("whole.jsonl"), cwd=folder).returncode == 0
    assert signalled(7, signal.SIGKILL) == -signal.SIGKILL
    part = tmp_path / "parted.jsonl.part"
    kept = part.read_bytes()
    assert kept.count(b"\n") == 1 + 7
    part.write_bytes(kept[:-20])  # as a full disk leaves it
    assert signalled(19, signal.SIGINT) == 130
    assert part.read_bytes().startswith(kept[: kept.rindex(b"\n", 0, -1)])
    assert not (tmp_path / "parted.jsonl").exists()
    assert puna(*command("parted.jsonl"), cwd=folder).returncode == 0
    whole, parted = ((tmp_path / name).read_text("utf-8") for name in ("whole.jsonl", "parted.jsonl"))
    assert rows_of(parted) == rows_of(whole)
    assert not part.exists()


def test_measured(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "confusion.png"
    one = found(folder, "eval", "classify", "labelled.jsonl", "--limit", "9", "--plot", str(picture))
    names = "file model rows seed n accuracy macro_f1 ece rows_per_second labels confusion"
    assert list(one) == names.split()
    assert (one["n"], one["labels"]) == (9, ["politics", "sports"])
    assert sum(map(sum, one["confusion"])) == 9
    assert one["accuracy"] == pytest.approx((one["confusion"][0][0] + one["confusion"][1][1]) / 9)
    assert picture.read_bytes().startswith(b"\x89PNG")
    more = found(folder, "eval", "classify", "labelled.jsonl", *AB, "--label", "weather")
    assert more["labels"] == ["politics", "sports", "weather"]
    table = run(folder, "eval", "classify", "labelled.jsonl")
    chinese = run(folder, "eval", "classify", "labelled.jsonl", PUNA_LANG="zh")
    assert len(table.stdout.splitlines()) == len(chinese.stdout.splitlines()) == 5
    assert "12 of 12 rows of labelled.jsonl, 2 labels, seed 0, tiny" in table.stderr


BAD = {
    "no labels": (("classify", "x"), "E-LABEL-NONE"),
    "one label": (("classify", "x", "--label", "a"), "E-LABEL-ONE"),
    "doubled": (("classify", "x", *AB, "--label", "sports: games"), "E-LABEL-TWICE"),
    "empty text": (("classify", " ", *AB), "E-TEXTS-NONE"),
    "no text": (("classify", *AB), "E-TEXTS-NONE"),
    "text and file": (("classify", "x", "--file", "rows.jsonl", *AB), "E-TEXTS-BOTH"),
    "output of a text": (("classify", "x", *AB, "-o", "out.jsonl"), "E-TEXTS-OUTPUT"),
    "column": (("classify", "--file", "a.csv", *AB), "E-TEXTS-COLUMN"),
    "kind": (("classify", "--file", "tiny.gguf", *AB), "E-TEXTS-KIND"),
    "examples": (
        ("classify", "x", "--label", "a", "--label", "b", "--examples", "labelled.jsonl"),
        "E-EXAMPLE-LABEL",
    ),
    "examples without labels": (("classify", "x", *AB, "--examples", "rows.jsonl"), "E-ROWS-FIELD"),
    "threshold": (("classify", "x", *AB, "--threshold", "2"), "E-THRESHOLD"),
    "long label": (
        ("classify", "x", "--label", "a " * 200, "--label", "b", "--model", "tiny.gguf"),
        "E-LABEL-LONG",
    ),
    "sentiment of nothing": (("sentiment",), "E-TEXTS-NONE"),
    "rows without labels": (("eval", "classify", "rows.jsonl"), "E-ROWS-FIELD"),
    "other labels": (("eval", "classify", "labelled.jsonl", "--label", "a", "--label", "b"), "E-ROWS-LABEL"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_line(name: str, folder: Path, tmp_path: Path) -> None:
    arguments, code = BAD[name]
    done = puna(*arguments, cwd=folder, PUNA_CACHE=str(tmp_path / "no-cache"))
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")

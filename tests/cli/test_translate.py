"""`puna translate`, `puna eval translate` and `puna train translate` from the outside."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny
from tests.tasks.tiny_translator import PAIRS, taught, write_pairs  # noqa: F401


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def options(taught: tuple[Path, Path]) -> tuple[str, ...]:  # noqa: F811
    return ("--model", str(taught[0]), "--adapter", str(taught[1]))


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_texts_files_and_standard_input_line_by_line(options: tuple[str, ...], tmp_path: Path) -> None:
    assert lines_of(puna("translate", "Go on.", "I see.", "--to", "zh", *options)) == ["走吧。", "我懂。"]
    path = tmp_path / "letter.txt"
    path.write_bytes("\ufeffI see.\r\n\r\n  Go on.\nWho is it?".encode())
    want = ["我懂。", "", "  走吧。", "是谁？"]
    assert lines_of(puna("translate", "--file", str(path), "--to", "zh", *options)) == want
    stdin = path.read_bytes()
    assert lines_of(puna("translate", "-", "--to", "zh", *options, stdin=stdin)) == want
    assert lines_of(puna("translate", "--file", "-", "--to", "zh", *options, stdin=stdin)) == want
    encoded = "走吧。\n\n我懂。\n".encode("gb18030")
    arguments = ("translate", "-", "--to", "en", "--encoding", "gb18030", *options)
    assert lines_of(puna(*arguments, stdin=encoded)) == ["Go on.", "", "I see."]
    encoded = "走吧。\n我懂。\n".encode("utf-16")
    arguments = ("translate", "-", "--to", "en", "--encoding", "utf-16", *options)
    assert lines_of(puna(*arguments, stdin=encoded)) == ["Go on.", "I see."]


def test_json_is_an_object_a_line(options: tuple[str, ...]) -> None:
    done = puna("translate", "Go on.", "", "--to", "zh", "--n-best", "3", "--rerank", "--json", *options)
    found = [json.loads(line) for line in lines_of(done)]
    assert [each["text"] for each in found] == ["走吧。", ""]
    assert list(found[0]) == ["source", "from", "to", "text", "candidates", "sentences", "model"]
    assert found[0]["model"].startswith("tiny+translator-")
    assert 1 <= len(found[0]["candidates"]) <= 3
    assert all(each["back"] < 0 and 0 < each["probability"] <= 1 for each in found[0]["candidates"])
    assert "走吧" in done.stdout


def test_n_best_are_ranked_with_probabilities(options: tuple[str, ...]) -> None:
    lines = lines_of(puna("translate", "Go on.", "--to", "zh", "--n-best", "2", "--beams", "6", *options))
    assert lines[0].split() == ["1", lines[0].split()[1], "走吧。"]
    assert float(lines[0].split()[1]) > float(lines[1].split()[1])
    assert lines[1].startswith("2")


def test_lines_come_as_they_are_given(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "puna.cli.main", "translate", "-", "--to", "zh", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for text, wanted in PAIRS:
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert process.stdout.readline().decode() == wanted + "\n"
        process.stdin.close()
        assert process.wait() == 0


# The command, but that it sends itself Ctrl-C once so many lines are in its file.
STOPPED = """
import os, runpy, signal, sys
from puna.cli.translate_output import Kept
count, add = int(sys.argv.pop(1)), Kept.add
def added(kept, found):
    add(kept, found)
    if kept.done == count:
        os.kill(os.getpid(), signal.SIGINT)
Kept.add = added
runpy.run_module("puna.cli.main", run_name="__main__", alter_sys=True)
"""


def test_a_stopped_batch_goes_on_and_ends_with_the_same_bytes(options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{text}\n" for text, _ in PAIRS * 3), "utf-8")
    arguments = ("translate", "--file", str(path), "--to", "zh", "--batch", "2", *options)
    whole, parted = tmp_path / "whole.jsonl", tmp_path / "parted.jsonl"
    done = puna(*arguments, "-o", str(whole), "--json")
    assert json.loads(done.stdout) == {"output": str(whole), "lines": 12, "model": done.stdout.split('"')[-2]}
    records = [json.loads(line) for line in whole.read_text("utf-8").splitlines()]
    assert [each["text"] for each in records] == [zh for _, zh in PAIRS] * 3
    environment = {**os.environ, "PUNA_LANG": "en"}
    for count in (1, 5):
        command = [sys.executable, "-c", STOPPED, str(count), *arguments, "-o", str(parted)]
        stopped = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert stopped.returncode == 130
        assert f"stopped after {count} line(s)" in stopped.stderr
        with parted.open("ab") as file:
            file.write(b'{"line": "half')
    assert puna(*arguments, "-o", str(parted)).returncode == 0
    assert parted.read_bytes() == whole.read_bytes()
    again = puna(*arguments, "-o", str(parted))
    assert "0 line(s) translated, 12 in" in again.stderr
    assert parted.read_bytes() == whole.read_bytes()

    def refused(code: str, *more: str, base: tuple[str, ...] = arguments) -> None:
        done = puna(*base, "-o", str(parted), *more)
        assert done.returncode == 2
        assert f"[{code}]" in done.stderr
        assert parted.read_bytes() == whole.read_bytes()

    refused("E-OUTPUT-ROWS", "--beams", "2")
    refused("E-OUTPUT-MODEL", "--adapter", "none")
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("Go on.\n", "utf-8")
    refused("E-OUTPUT-ROWS", base=("translate", "--file", str(shorter), "--to", "zh", *options))
    (tmp_path / "other.jsonl").write_text("{}\n", "utf-8")
    other = puna(*arguments, "-o", str(tmp_path / "other.jsonl"))
    assert "[E-OUTPUT-OTHER]" in other.stderr


BAD: dict[str, tuple[tuple[str, ...], bytes | None, str]] = {
    "no text": (("--to", "zh"), None, "E-TRANSLATE-TEXT"),
    "blank text": ((" ", "--to", "zh"), None, "E-TRANSLATE-TEXT"),
    "empty input": (("-", "--to", "zh"), b"", "E-TRANSLATE-TEXT"),
    "unknown language": (("Go on.", "--to", "fr"), None, "E-TRANSLATE-LANGUAGE"),
    "unknown source": (("Go on.", "--to", "zh", "--from", "fr"), None, "E-TRANSLATE-LANGUAGE"),
    "same language": (("Go on.", "--to", "en", "--from", "en"), None, "E-TRANSLATE-SAME"),
    "already there": (("Go on.", "--to", "en"), None, "E-TRANSLATE-SAME-TEXT"),
    "other script": (("Кто там?", "--to", "zh"), None, "E-TRANSLATE-SCRIPT"),
    "no target": (("Go on.",), None, "E-USAGE"),
    "too long": (("word " * 400, "--to", "zh"), None, "E-TRANSLATE-LONG"),
    "no file": (("--file", "none.txt", "--to", "zh"), None, "E-FILE-MISSING"),
    "encoding": (("-", "--to", "zh"), b"Go on.\nGo \xff on.\n", "E-ENCODING"),
    "beams": (("Go on.", "--to", "zh", "--beams", "0"), None, "E-BEAMS"),
    "n-best": (("Go on.", "--to", "zh", "--n-best", "0"), None, "E-N-BEST"),
    "alpha": (("Go on.", "--to", "zh", "--alpha", "-1"), None, "E-ALPHA"),
    "lambda": (("Go on.", "--to", "zh", "--rerank", "--lambda", "nan"), None, "E-TRANSLATE-WEIGHT"),
    "output": (("Go on.", "--to", "zh", "-o", "no/such/folder.jsonl"), None, "E-OUTPUT-WRITE"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(name: str, options: tuple[str, ...]) -> None:
    arguments, stdin, code = BAD[name]
    done = puna("translate", *arguments, *options, stdin=stdin)
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert done.stdout.splitlines() in ([], ["走吧。"])
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")
    if name == "encoding":
        assert "byte 10 (line 2)" in lines[0]


def test_without_a_translator_the_model_tries_and_says_so(options: tuple[str, ...]) -> None:
    done = puna("translate", "Go on.", "--to", "zh", "--model", options[1])
    assert done.returncode == 0
    assert "no translator comes with Puna for tiny" in done.stderr
    done = puna("translate", "Go on.", "--to", "zh", "--model", options[1], PUNA_LANG="zh")
    assert "没有为 tiny 附带译者" in done.stderr
    done = puna("translate", "Go on.", "--to", "zh", "--model", options[1], "--adapter", "none")
    assert "no translator" not in done.stderr


def test_eval(options: tuple[str, ...], tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "rows.jsonl")
    turned = [
        {"src": zh, "tgt": en, "src_lang": "zh", "tgt_lang": "en", "tgt_alt": ["x y"]} for en, zh in PAIRS[:2]
    ]
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in turned))
    done = puna("eval", "translate", str(path), *options, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    fields = "file model rows seed n incomplete bleu chrf sentences_per_second directions"
    assert list(found) == fields.split()
    assert (found["n"], found["incomplete"], found["rows"]) == (6, 0, 6)
    assert {name: each["n"] for name, each in found["directions"].items()} == {"en-zh": 4, "zh-en": 2}
    assert found["bleu"] == pytest.approx(sum(each["bleu"] for each in found["directions"].values()) / 2)
    assert found["directions"]["en-zh"]["chrf"] == pytest.approx(100)
    assert "tok:zh" in found["directions"]["en-zh"]["bleu_signature"]
    table = puna("eval", "translate", str(path), *options, "--limit", "3", PUNA_LANG="zh")
    assert table.returncode == 0
    assert table.stdout.splitlines()[0].split() == ["句数", "3"]
    assert "tok:" in table.stderr
    (tmp_path / "bad.jsonl").write_text('{"src": "a", "tgt": "b", "src_lang": "en", "tgt_lang": "fr"}\n', "utf-8")
    bad = puna("eval", "translate", str(tmp_path / "bad.jsonl"), *options)
    assert bad.returncode == 2
    assert "[E-TRANSLATE-ROW]" in bad.stderr


# The command, but that it sends itself Ctrl-C once a step is in its log.
SIGNALLED = """
import os, runpy, signal, sys
from puna.train.journal import Journal
step, add = int(sys.argv.pop(1)), Journal.add
def signalled(journal, record):
    add(journal, record)
    if "norm" in record and record["step"] == step:
        os.kill(os.getpid(), signal.SIGINT)
Journal.add = signalled
runpy.run_module("puna.cli.main", run_name="__main__", alter_sys=True)
"""


def test_training_goes_on_after_a_stop_with_the_same_bytes(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.gguf", head=32, ffn=96)
    rows = write_pairs(tmp_path / "rows.jsonl", [(f"Room {n}.", f"房间{n}。") for n in range(60)])
    with rows.open("a", encoding="utf-8") as file:
        file.write('{"src": "a", "tgt": "b", "src_lang": "en", "tgt_lang": "en"}\n')

    def arguments(output: str, *more: str) -> list[str]:
        return [
            *(
                "train",
                "translate",
                str(rows),
                "-o",
                str(tmp_path / output),
                "--model",
                str(tmp_path / "tiny.gguf"),
            ),
            *("--epochs", "2", "--lora-rank", "2", "--sentences", "16", *more),
        ]

    done = puna(*arguments("whole", "--json"))
    assert done.returncode == 0, done.stderr
    assert "line 61: src_lang and tgt_lang are en and en [E-TRANSLATE-ROW]" in done.stderr
    assert "1 row(s) left out" in done.stderr
    found = json.loads(done.stdout)
    assert {"output", "model", "steps", "best_step", "loss", "answer", "nats_per_token", "sentences"} == set(found)
    environment = {**os.environ, "PUNA_LANG": "en"}
    command = [sys.executable, "-c", SIGNALLED, "3", *arguments("parted")]
    stopped = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert stopped.returncode == 130, stopped.stderr
    assert puna(*arguments("parted")).returncode == 0
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "parted" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    strict = puna(*arguments("strict", "--strict"))
    assert strict.returncode == 2
    assert "[E-TRANSLATE-ROW]" in strict.stderr

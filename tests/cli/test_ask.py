"""`puna ask` and `puna rank` from the outside: output, exit codes, and one clear line for bad input."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.run import puna

REPORT = (
    "The expedition left Bergen on 3 May 1921.\nIt was led by Astrid Halvorsen, a geologist from Tromsø.\n"
    "The crew of fourteen returned in October.\n"
)
QUESTION = "Who led the expedition?"
ARTICLE = (
    *("ask", "世界上最高的山峰是什么？", "--text", "珠穆朗玛峰是世界上最高的山峰，海拔8848米。"),
    *(
        "--candidate",
        "珠穆朗玛峰",
        "--candidate",
        "珠峰",
        "--candidate",
        "喜马拉雅山脉",
        "--candidate",
        "世界第一高峰",
    ),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ask") / "report.txt"
    path.write_bytes(REPORT.encode())
    return path


@pytest.mark.usefixtures("default_path")
def test_table_for_people(report: Path) -> None:
    done = puna("ask", QUESTION, "--file", str(report))
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[1].startswith("1  Astrid Halvorsen")
    assert "line 2, 56–72" in lines[1]
    assert "█" in lines[1]
    assert "It was led by «Astrid Halvorsen», a geologist from Tromsø." in lines[2]
    assert lines[-1].strip().startswith("not in the text")
    assert f"read {len(REPORT)} of {len(REPORT)} characters in 1 window(s)" in done.stderr


@pytest.mark.usefixtures("default_path")
@pytest.mark.parametrize("how", ["--file", "argument", "stdin"])
def test_json_from_every_kind_of_input(report: Path, how: str) -> None:
    arguments = {"--file": ("--file", str(report)), "argument": (str(report),), "stdin": ("-",)}[how]
    done = puna("ask", QUESTION, *arguments, "--json", "--top", "2", stdin=REPORT.encode())
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(found["answers"]) == 2
    place = found["answers"][0]["evidence"][0]
    assert place["source"] == ("stdin" if how == "stdin" else str(report))
    assert REPORT[place["start"] : place["end"]] == found["answers"][0]["text"] == "Astrid Halvorsen"
    assert found["coverage"] == {"characters": len(REPORT), "read": len(REPORT), "windows": 1}
    assert found["elapsed_ms"] > 0


@pytest.mark.usefixtures("default_path")
def test_chinese_output() -> None:
    done = puna(*ARTICLE, PUNA_LANG="zh")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].split() == ["答案", "概率", "位置"]
    assert lines[1].startswith("1  珠穆朗玛峰")
    assert "第 1 行，0–5" in lines[1]
    assert "«珠穆朗玛峰»是世界上最高的山峰" in lines[2]
    assert lines[-1].strip().startswith("文中没有答案")


@pytest.mark.usefixtures("default_path")
def test_crlf_and_byte_order_mark_keep_offsets(tmp_path: Path) -> None:
    text = REPORT.replace("\n", "\r\n")
    path = tmp_path / "dos.txt"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = json.loads(puna("ask", QUESTION, str(path), "--json").stdout)
    place = found["answers"][0]["evidence"][0]
    assert text[place["start"] : place["end"]] == "Astrid Halvorsen"
    assert place["line"] == 2


@pytest.mark.usefixtures("default_path")
def test_json_of_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\x1b.txt")
    (tmp_path / name).write_text("Ann came.")
    done = puna("ask", "Who came?", name, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["answers"][0]["evidence"][0]["source"] == name
    assert done.stdout.strip().isprintable()


@pytest.mark.usefixtures("default_path")
def test_encoding_option(tmp_path: Path) -> None:
    path = tmp_path / "gb.txt"
    path.write_bytes("珠穆朗玛峰是世界上最高的山峰。".encode("gb18030"))
    done = puna("ask", "最高的山峰？", str(path), "--candidate", "珠穆朗玛峰", "--encoding", "gb18030", "--json")
    assert json.loads(done.stdout)["answers"][0]["evidence"][0]["end"] == 5


@pytest.mark.usefixtures("default_path")
def test_rank() -> None:
    arguments = ("rank", "What is the capital of France?", "-c", "London", "-c", "Paris")
    assert "1  Paris" in puna(*arguments).stdout
    found = json.loads(puna(*arguments, "--json").stdout)
    assert [a["text"] for a in found["answers"]] == ["Paris", "London"]
    assert set(found) == {"question", "answers", "model", "elapsed_ms"}


@pytest.mark.usefixtures("default_path")
def test_control_characters_do_not_reach_the_terminal() -> None:
    done = puna("ask", "Who came?", "--text", "Ann\x1b[2J came \x07 today")
    assert done.returncode in (0, 1)
    assert not {"\x1b", "\x07"} & set(done.stdout)


BAD = {
    "missing file": (("ask", "Q?", "no/such.txt"), "E-FILE-MISSING"),
    "a folder": (("ask", "Q?", "."), "E-FILE-READ"),
    "no text": (("ask", "Q?"), "E-TEXT-MISSING"),
    "not UTF-8": (("ask", "Q?", "latin.txt"), "E-ENCODING"),
    "unknown encoding": (("ask", "Q?", "latin.txt", "--encoding", "klingon"), "E-ENCODING-UNKNOWN"),
    "codec that is not of text": (("ask", "Q?", "latin.txt", "--encoding", "base64"), "E-ENCODING-UNKNOWN"),
    "missing model": (("ask", "Q?", "--text", "a", "--model", "no-such-model"), "E-MODEL-UNKNOWN"),
    "not a GGUF": (("ask", "Q?", "--text", "a", "--model", "text.gguf"), "E-WEIGHTS-KIND"),
    "empty model": (("ask", "Q?", "--text", "a", "--model", "empty.gguf"), "E-WEIGHTS-EMPTY"),
    "option of no command": (("ask", "Q?", "--nonsense"), "E-USAGE"),
    "no question": (("ask",), "E-USAGE"),
    "no such command": (("aks", "Q?"), "E-USAGE"),
    "top is no number": (("ask", "Q?", "--text", "a", "--top", "x"), "E-USAGE"),
    "rank without candidates": (("rank", "Q?"), "E-USAGE"),
    "info of a missing model": (("info", "no-such-model"), "E-MODEL-UNKNOWN"),
}
BAD_BEFORE_A_MODEL_IS_NEEDED = {
    "empty question": (("ask", " ", "--text", "a"), "E-QUESTION-EMPTY"),
    "empty text": (("ask", "Q?", "--text", " "), "E-TEXT-EMPTY"),
    "empty file": (("ask", "Q?", "none.txt"), "E-TEXT-EMPTY"),
    "empty standard input": (("ask", "Q?", "-"), "E-TEXT-EMPTY"),
    "empty candidate": (("ask", "Q?", "--text", "a", "--candidate", ""), "E-CANDIDATE-EMPTY"),
    "doubled candidate": (
        ("ask", "Q?", "--text", "a", "--candidate", "b", "--candidate", "b"),
        "E-CANDIDATE-TWICE",
    ),
    "no answers wanted": (("ask", "Q?", "--text", "a", "--top", "0"), "E-TOP"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bad")
    (path / "latin.txt").write_bytes("one\ntwo\nTroms\xf8\n".encode("latin-1"))
    (path / "text.gguf").write_text("this is no model")
    (path / "empty.gguf").touch()
    (path / "none.txt").touch()
    return path


def one_clear_line(arguments: tuple[str, ...], code: str, folder: Path, language: str, **environment: str) -> None:
    done = puna(*arguments, cwd=folder, stdin=b"", PUNA_LANG=language, **environment)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert [line.split(":")[0] for line in lines[1:]] == ["hint"]


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, folder: Path) -> None:
    one_clear_line(*BAD[name], folder, "en")


@pytest.mark.parametrize("name", BAD_BEFORE_A_MODEL_IS_NEEDED)
def test_bad_input_is_told_without_a_model(name: str, folder: Path) -> None:
    one_clear_line(*BAD_BEFORE_A_MODEL_IS_NEEDED[name], folder, "zh", PUNA_CACHE=str(folder / "no-cache"))


def test_says_where_the_encoding_fails(folder: Path) -> None:
    done = puna("ask", "Q?", "latin.txt", cwd=folder)
    assert "latin.txt is not utf-8: byte 13 (line 3) does not fit" in done.stderr
    assert "--encoding" in done.stderr


def test_errors_do_not_pass_control_characters_on(folder: Path) -> None:
    done = puna("ask", "Q?", "no\x1b[2J.txt", cwd=folder)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_model_not_pulled_names_the_remedy(tmp_path: Path) -> None:
    done = puna("ask", "Q?", "--text", "a", PUNA_CACHE=str(tmp_path))
    assert done.returncode == 2
    assert "puna pull" in done.stderr
    assert not list(tmp_path.rglob("*.gguf"))

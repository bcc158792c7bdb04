"""`puna ask --library` from the outside."""

import json
from pathlib import Path

import pytest

from puna.library.store import open_store
from puna.library.types import Block, Box, Document, Passage
from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny

LOG = (
    "Leaving\nThe expedition left Bergen on 3 May 1921.\n"
    "Leaders\nIt was led by Astrid Halvorsen, a geologist from Tromsø.\n"
)
QUESTION = "Who led the expedition?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of four documents, one of them a PDF as far as the library can tell."""
    folder = tmp_path_factory.mktemp("library")
    store = open_store(folder / "lib", create=True)
    starts = [0, LOG.index("The exp"), LOG.index("Leaders"), LOG.index("It was"), len(LOG)]
    kinds = ("heading", "text", "heading", "text")
    documents = {
        "log.md": Document(
            LOG,
            "The log",
            tuple(
                Block(a, b - 1, kind, 1 if kind == "heading" else 0)
                for a, b, kind in zip(starts, starts[1:], kinds, strict=False)
            ),
        ),
        "letter.pdf": Document(
            "A page before.\fAll of us trusted Astrid Halvorsen, who led the expedition.",
            pages=(0, 15),
            boxes=(Box(0, 14, 1, 10, 10, 90, 20), Box(15, 75, 2, 10, 10, 90, 20)),
        ),
        "recipe.txt": Document("Boil the potatoes for twenty minutes, then add butter and salt."),
        "山.txt": Document("珠穆朗玛峰是世界上最高的山峰，海拔8848米。"),
    }
    for path, document in documents.items():
        store.put(path, "ab" * 32, 1, document, [Passage(0, len(document.text), document.text)])
    store.close()
    write_tiny(folder / "tiny.gguf")
    (folder / "text.txt").write_text("Ann came.")
    return folder


@pytest.mark.usefixtures("default_path")
def test_table_for_people(folder: Path) -> None:
    done = puna("ask", QUESTION, "--library", "lib", "--top", "2", cwd=folder)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[1].startswith("1  Astrid Halvorsen")
    assert lines[1].endswith(("log.md: line 4, 72–88 (+1 more)", "letter.pdf: page 2, 33–49 (+1 more)"))
    sentences = (
        "Leaders: It was led by «Astrid Halvorsen», a geologist from Tromsø.",
        "trusted «Astrid Halvorsen», who",
    )
    assert any(sentence in lines[2] for sentence in sentences)
    (nowhere,) = (line for line in lines if line.strip().startswith("not in the library"))
    blank = lines.index("")
    assert lines.index(nowhere) == blank - 1
    assert lines[blank + 1].split() == ["passage", "holds", "the", "answer"]
    assert {line.split()[1] for line in lines[blank + 2 :]} <= {"log.md:", "letter.pdf:"}
    assert "passage(s) in" in done.stderr
    assert "document(s)" in done.stderr


@pytest.mark.usefixtures("default_path")
def test_chinese(folder: Path) -> None:
    done = puna("ask", "世界上最高的山峰是什么？", "--library", "lib", cwd=folder, PUNA_LANG="zh")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[1].startswith("1  珠穆朗玛峰")
    assert lines[1].endswith("山.txt: 第 1 行，0–5")
    assert any(line.strip().startswith("库中没有答案") for line in lines)
    assert "已读 1 篇文档中的 1 段" in done.stderr


def test_white_space_of_a_document_is_a_space(folder: Path) -> None:
    """Tabs of tables, line ends, no-break and Chinese spaces are no characters that could rewrite the screen."""
    text = "name\tjob\r\nAnn\u3000Lee,\u00a0pilot\x1b"
    done = puna("ask", "Who?", "--text", text, "--candidate", "Ann", "--model", "tiny.gguf", cwd=folder)
    assert "   name job «Ann» Lee, pilot\ufffd" in done.stdout.splitlines()


def test_json(folder: Path) -> None:
    """With a model that knows nothing: every place is what it says."""
    done = puna("ask", QUESTION, "--library", "lib", "--model", "tiny.gguf", "--top", "40", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode in (0, 1)
    cited = {place["source"]: place for answer in found["answers"] for place in answer["evidence"]}
    assert cited.keys() <= {"log.md", "letter.pdf", "recipe.txt"}
    for answer in found["answers"]:
        for place in answer["evidence"]:
            passage = found["passages"][place["passage"]]
            assert passage["source"] == place["source"]
            assert passage["text"][place["start"] : place["end"]].split() == answer["text"].split()
            assert place["page"] == ({True: 1, False: 2}[place["start"] < 15] if "pdf" in place["source"] else None)
            assert [box["page"] for box in place["boxes"]] == ([place["page"]] if place["page"] else [])
    assert sum(each["prior"] for each in found["passages"]) == pytest.approx(1)


def test_passages_bound_what_is_read(folder: Path) -> None:
    arguments = ("ask", QUESTION, "--library", "lib", "--model", "tiny.gguf", "--json")
    assert len(json.loads(puna(*arguments, "--passages", "1", cwd=folder).stdout)["passages"]) == 1
    assert len(json.loads(puna(*arguments, cwd=folder).stdout)["passages"]) > 1


def test_candidates_are_judged(folder: Path) -> None:
    arguments = ("--candidate", "Astrid Halvorsen", "--candidate", "Ole", "--model", "tiny.gguf", "--json")
    found = json.loads(puna("ask", QUESTION, "--library", "lib", *arguments, cwd=folder).stdout)
    places = {a["text"]: {p["source"] for p in a["evidence"]} for a in found["answers"]}
    assert places == {"Astrid Halvorsen": {"log.md", "letter.pdf"}, "Ole": set()}


@pytest.mark.parametrize(("language", "words"), [("en", "not in the library"), ("zh", "库中没有答案")])
def test_nothing_found(folder: Path, language: str, words: str) -> None:
    done = puna("ask", "Zebra?", "--library", "lib", "--model", "tiny.gguf", cwd=folder, PUNA_LANG=language)
    assert done.returncode == 1
    assert words in done.stdout.splitlines()[-1]
    assert "100.0 %" in done.stdout.splitlines()[-1]
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--library", "lib", "text.txt"), "E-LIBRARY-ASK-TEXTS"),
        (("--library", "lib", "--text", "Ann came."), "E-LIBRARY-ASK-TEXTS"),
        (("--library", "lib", "--passages", "0"), "E-LIBRARY-ASK-PASSAGES"),
        (("--passages", "3", "text.txt"), "E-LIBRARY-ASK-NONE"),
        (("--library", "nowhere"), "E-LIBRARY-MISSING"),
    ],
)
def test_bad_input_is_told_without_a_model(
    folder: Path, arguments: tuple[str, ...], code: str, language: str
) -> None:
    done = puna("ask", "Q?", *arguments, cwd=folder, PUNA_LANG=language, PUNA_CACHE=str(folder / "no-cache"))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(f"[{code}]")
    assert [line.split(":")[0] for line in lines[1:]] == ["hint"]
    assert not (folder / "nowhere").exists()

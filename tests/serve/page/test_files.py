"""What the page's files may hold: no markup from text, nothing from another host, both languages alike; and how much."""

import json
import re
import string
from pathlib import Path

import pytest

from tests.serve.page.service import PAGE

FILES = sorted(PAGE.iterdir())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
TABLES = {name: json.loads((PAGE / f"words.{name}.json").read_text("utf-8")) for name in ("en", "zh")}
HAN = re.compile(r"[\u4e00-\u9fff]")
# Ways for text to become markup or a program.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTML|srcdoc"
    r"|\beval\(|\bFunction\(|setAttribute\(\"on|javascript:|importScripts|\bWorker\("
)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def source() -> str:
    return "\n".join(path.read_text("utf-8") for path in FILES if path.suffix in (".js", ".html"))


def test_there_is_a_page() -> None:
    assert {"index.html", "main.js", "style.css"} <= {path.name for path in FILES}


def test_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < 150_000


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_text_never_becomes_markup(path: Path) -> None:
    assert FORBIDDEN.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_from_another_host(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+|url\(|@import", text) == []


def test_no_script_or_style_stands_in_the_page_itself() -> None:
    html = (PAGE / "index.html").read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html) == []


def test_both_languages_have_the_same_sentences() -> None:
    assert list(TABLES["en"]) == list(TABLES["zh"])
    for key, text in TABLES["en"].items():
        assert placeholders(text) == placeholders(TABLES["zh"][key]), key


def test_each_language_is_itself() -> None:
    assert not any(HAN.search(text) for text in TABLES["en"].values())
    for key, text in TABLES["zh"].items():
        assert HAN.search(text) or not re.search("[a-z]{2}", re.sub(r"\{\w+\}", "", text)), key
        # Chinese has punctuation of its own: no ASCII comma, colon or stop behind a Chinese character.
        assert not re.search(r"[\u4e00-\u9fff][,;:.?!]", text), key


def test_sentences_are_used_and_exist() -> None:
    text = source()
    plain = {re.sub(r"\.(one|other)$", "", key) for key in TABLES["en"]}
    made = {key for key in plain if key.startswith(("word.", "verdict.", "say."))}  # of a part and a name
    used = set(re.findall(r"""data-(?:word|label)="([\w.]+)\"""", text)) | set(
        re.findall(r"""say\("([\w.]+)\"""", text)
    )
    assert len(used) > 50  # the search itself works
    assert used - plain == set()
    assert {key for key in plain - made if f'"{key}"' not in text} == set()

"""The pages on techniques cannot rot: what they link to is there, functions by name, and both languages say the same."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from puna.lab.studies import STUDIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {language: DOCS / f"techniques{ending}.md" for language, ending in (("en", ""), ("zh", ".zh"))}
TEXTS = {language: path.read_text("utf-8") for language, path in PAGES.items()}
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
PARTS = 6  # of a technique: formula, shapes, code, measured, the articles, sources

in_both = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def names_in(path: Path) -> set[str]:
    """List the functions and classes of a module."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, kinds)}


def anchors_in(path: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub makes them."""
    lines = (line.lstrip("#").strip().lower() for line in path.read_text("utf-8").splitlines() if line[:1] == "#")
    return {re.sub(r"[^\w -]", "", line).replace(" ", "-") for line in lines}


def astray(text: str) -> Iterator[str]:
    """List the links of a page in docs/ that lead nowhere."""
    for words, target in LINK.findall(text):
        place, _, anchor = target.partition("#")
        path = DOCS / place
        if target.startswith("https://"):
            continue
        if not path.exists() or (anchor and anchor not in anchors_in(path)):
            yield target
        elif path.suffix == ".py" and not set(re.findall(r"`(\w+)`", words)) & names_in(path):
            yield f"{words} in {target}"


@in_both
def test_links_lead_somewhere(text: str) -> None:
    assert list(astray(text)) == []
    assert len(LINK.findall(text)) > 50


@pytest.mark.parametrize(
    "link",
    [
        "[a](nothing.md)",
        "[a](how-it-works.md#11-nothing)",
        "[`rotated`](../src/puna/llama/rope.py)",
        "[here](../src/puna/llama/rope.py)",
    ],
)
def test_the_check_of_links_works(link: str) -> None:
    assert list(astray(link))
    assert not list(astray("[a](how-it-works.md#10-the-pointer) [`rotate`](../src/puna/llama/rope.py)"))


@in_both
def test_every_technique_has_all_parts(text: str) -> None:
    titles = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(titles) == 7
    parts = [re.findall(r"^### (.+)", title, re.MULTILINE) for title in titles]
    assert len(parts[0]) == PARTS
    assert parts == [parts[0]] * len(titles)
    assert not re.search("TODO|TBD|待补", text)


@in_both
def test_every_study_has_its_place(text: str) -> None:
    assert set(re.findall(r"`puna lab (\w+)`", text)) >= set(STUDIES)
    assert set(re.findall(r"<!-- figures: (\w+) -->", text)) | set(re.findall(r"\(lab/(\w+)\.png\)", text)) >= set(
        STUDIES
    )


def test_both_languages_have_one_structure() -> None:
    def shape(text: str) -> list[str]:
        return [line.split(" ")[0] for line in text.splitlines() if line.startswith(("#", "|", "- ", "<!--"))]

    def targets(text: str) -> list[str]:
        return [re.sub(r"\.zh\.md|\.md", ".md", target) for _, target in LINK.findall(text)]

    def figures(text: str) -> list[str]:
        return re.findall(r"<!--.*?-->", text)

    first, second = TEXTS.values()
    assert shape(first) == shape(second)
    assert sorted(targets(first)) == sorted(targets(second))
    assert figures(first) == figures(second)


@in_both
def test_numbers_are_right(text: str) -> None:
    import numpy as np

    from puna.lab.articles import standardise

    four = np.array([1.0, 2.0, 3.0, 4.0])
    for values in (standardise(four), four / np.sqrt((four**2).mean())):
        assert ", ".join(f"{value:.3f}" for value in values).replace("-", "−") in text

"""Hostile files: each ends as it should, and a sound one is read after it as before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from puna.errors import DocumentError
from puna.library.parse import Parser
from puna.library.types import Document
from tests.library import hostile
from tests.library.files import document

EVERYTHING = hostile.everything()


def of(*kinds: str) -> pytest.MarkDecorator:
    cases = [case for case in EVERYTHING if case[0].startswith(kinds)]
    return pytest.mark.parametrize("case", cases, ids=[case[0] for case in cases])


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as found:
        yield found


@pytest.fixture(scope="module")
def sound() -> Document:
    return document(".pdf", hostile.GOOD_PDF)


def check(case: tuple[str, str, bytes, hostile.Expected], parser: Parser, sound: Document) -> None:
    name, suffix, content, expected = case
    code = None
    try:
        parser.parse(Path(f"hostile{suffix}"), content)
    except DocumentError as error:
        code = error.code
    assert code in expected, name
    assert parser.parse(Path("sound.pdf"), hostile.GOOD_PDF) == sound


@of("PDF")
def test_pdfs(case: tuple[str, str, bytes, hostile.Expected], parser: Parser, sound: Document) -> None:
    check(case, parser, sound)


@of("DOCX", "EPUB", "container")
def test_archives_and_xml(case: tuple[str, str, bytes, hostile.Expected], parser: Parser, sound: Document) -> None:
    check(case, parser, sound)


@of("HTML", "text", "Markdown", "CSV", "JSON", "a")
def test_texts(case: tuple[str, str, bytes, hostile.Expected], parser: Parser, sound: Document) -> None:
    check(case, parser, sound)


def test_there_are_enough_of_them() -> None:
    assert len(EVERYTHING) >= 220
    assert len({case[0] for case in EVERYTHING}) == len(EVERYTHING)
    assert {case[1] for case in EVERYTHING} >= {".pdf", ".docx", ".epub", ".html", ".txt", ".md", ".csv", ".jsonl"}


def test_what_is_refused_for_what_it_holds_shows_nothing_of_other_files(parser: Parser) -> None:
    seen = []
    for _, suffix, content, expected in EVERYTHING:
        if b"passwd" in content and None in expected:
            seen.append(parser.parse(Path(f"x{suffix}"), content).text)
    assert seen
    assert not [text for text in seen if "root:" in text]

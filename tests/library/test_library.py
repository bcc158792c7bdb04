"""The front door: files go in, citations come out that point into the files."""

from pathlib import Path

import numpy as np
import pytest

import puna
from puna.answer.reader import Reader
from puna.errors import LibraryError
from puna.tokens.tokenizer import Tokenizer
from tests.answer.test_real_texts import random_case
from tests.tokens.vocabularies import byte_level_metadata, train_byte_level

NOTES = "# Walks\n\nA line before.\n\n## The long one ##\n\nThe walk was led by Ann Lee on 3 May.\n"
PAGE = "<html><head><title>Page</title></head>"
PAGE += "<body><h1>Walks &amp; more</h1><p>The walk was led by <b>Ann Lee</b>.</p></body></html>"
QUESTION = "Who led the walk?"


class Letters:
    """Counts letters: an embedder that needs no model."""

    def __init__(self, name: str = "letters") -> None:
        self.name, self.asked = name, 0

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[text.count(letter) for letter in "aeiou"] for text in texts], np.float32)

    def query(self, question: str) -> np.ndarray:
        self.asked += 1
        return self.encode([question])[0]


@pytest.fixture(scope="module")
def reader() -> Reader:
    vocabulary = byte_level_metadata(train_byte_level(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), None)
    return random_case(1, Tokenizer.from_gguf(vocabulary))[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "notes.md").write_text(NOTES)
    (folder / "page.html").write_text(PAGE)
    (folder / "山.txt").write_text("珠穆朗玛峰是世界上最高的山峰，海拔8848米。", "utf-8")
    return folder


def test_files_go_in_and_places_come_out(tmp_path: Path, folder: Path, reader: Reader) -> None:
    seen = []
    with puna.Library.open(tmp_path / "lib", reader=reader) as library:
        done = library.add([folder], report=lambda step: seen.append(Path(step.path).name))
        assert (done.added, done.skipped, sorted(seen)) == (3, (), ["notes.md", "page.html", "山.txt"])
        found = library.ask(QUESTION, ["Ann Lee", "Bob"])
        notes, page = sorted(found.answers[0].evidence or found.answers[1].evidence, key=lambda place: place.source)
        assert (notes.source, page.source) == (str(folder / "notes.md"), str(folder / "page.html"))
        assert NOTES[notes.start : notes.end] == "Ann Lee"
        assert (notes.line, notes.headings, notes.original) == (7, ("Walks", "The long one"), None)
        assert page.original is not None
        assert PAGE[page.original.start : page.original.end] == "Ann Lee"
        assert (page.title, page.headings) == ("Page", ("Walks & more",))
        (chinese,) = library.search("最高的山峰", 1)
        assert chinese.source == str(folder / "山.txt")


def test_it_is_kept_up_to_date(tmp_path: Path, folder: Path, reader: Reader) -> None:
    with puna.Library.open(tmp_path / "lib", reader=reader) as library:
        library.add(str(folder))
    (folder / "notes.md").write_text(NOTES.replace("Ann Lee", "Bob May"))
    (folder / "page.html").unlink()
    with puna.Library.open(tmp_path / "lib", reader=reader) as library:
        done = library.add(folder)
        assert (done.replaced, done.removed, done.unchanged) == (1, 1, 1)
        found = library.ask(QUESTION, ["Ann Lee", "Bob May"])
        assert {a.text: len(a.evidence) for a in found} == {"Ann Lee": 0, "Bob May": 1}


def test_damaged_files_are_named_and_the_rest_is_there(tmp_path: Path, folder: Path, reader: Reader) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 nothing more")
    with puna.Library.open(tmp_path / "lib", reader=reader) as library:
        done = library.add(folder)
        assert [Path(str(error.parameters["path"])).name for error in done.skipped] == ["bad.pdf"]
        assert len(library.search(QUESTION)) == 2


def test_vectors_join_in(tmp_path: Path, folder: Path, reader: Reader) -> None:
    """A library made with them is asked with them, and with no other ones; one made without never."""
    with puna.Library.open(tmp_path / "lib", reader=reader, embedder=Letters()) as library:
        library.add(folder)
        assert len(library.search("zzz aei", 10)) == 3  # no word stands there
        assert len(library.ask("zzz aei").passages) == 3
    with puna.Library.open(tmp_path / "lib", reader=reader, embedder=Letters("others")) as library:
        for step in (lambda: library.search(QUESTION), lambda: library.add(folder)):
            with pytest.raises(LibraryError) as caught:
                step()
            assert caught.value.code == "E-LIBRARY-MODEL"
    with puna.Library.open(tmp_path / "plain", reader=reader) as library:
        library.add(folder)
        library.embedder = Letters()
        assert library.search("zzz aei") == []
        assert library.embedder.asked == 0

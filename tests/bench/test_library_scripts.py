"""`bench/open_domain.py` and `bench/library_sizes.py` on small sets: they count right, and go on where they were."""

import random
from itertools import islice
from pathlib import Path

import library_sizes
import open_domain
import pytest
from open_domain import Asked

import puna
from puna.library.store import open_store
from tests.cli.tiny_file import write_tiny

TEXTS = [
    "The walk was led by Ann Lee on 3 May.",
    "The bridge over the river is red.",
    "Boil the potatoes for twenty minutes.",
    "大桥于1937年5月通车。",
]
QUESTIONS = [
    Asked("SQuAD", "1", "Who led the walk?", 0, ("Ann Lee",)),
    Asked("DRCD", "2", "大桥什么时候通车？", 3, ("1937年5月",)),
]


def test_open_domain_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny(tmp_path / "tiny.gguf")
    load = puna.load
    monkeypatch.setattr(puna, "load", lambda **given: load(tmp_path / "tiny.gguf", **given))
    monkeypatch.setattr(open_domain, "questions", lambda rows, limit: (TEXTS, QUESTIONS[:limit]))
    first = list(open_domain.records(tmp_path, tmp_path, 1, (2,)))
    assert [(each["data"], each["passages"]) for each in first] == [("SQuAD", 0), ("SQuAD", 2)]
    every = list(open_domain.records(tmp_path, tmp_path, 2, (2,)))
    assert every[:2] == first
    assert [(each["data"], each["passages"]) for each in every[2:]] == [("DRCD", 0), ("DRCD", 2)]
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 4
    for each in (every[1], every[3]):
        assert each["found"] == each["ranked"] == 1
    text = open_domain.page(every, "it")
    assert text.count("| SQuAD |") == text.count("| DRCD |") == 2
    assert "| DRCD | 2 | 1 |" in text
    assert "100.0 | 100.0 | 100.0" in text


@pytest.mark.parametrize("sizes", [(3, 30, 90)])
def test_a_library_grows_to_each_size(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """Real texts first, then documents of pieces of them; stopped and gone on with it is the same library."""
    store = open_store(tmp_path / "library", create=True)
    for size in sizes:
        documents, count, _ = library_sizes.grow(store, TEXTS, size)
        entries = list(store.entries())
        assert documents == len(entries)
        assert size <= count == sum(entry.passages for entry in entries) < size + library_sizes.JOINED
    want = {
        str(n): document.text for n, (document, _) in enumerate(islice(library_sizes.documents(TEXTS), documents))
    }
    assert {entry.path: store.document(entry.id).text for entry in entries} == want
    assert set(want.values()) >= set(TEXTS)
    store.remove(random.Random(1).sample(sorted(want), 3))
    assert library_sizes.grow(store, TEXTS, sizes[-1])[:2] == (documents, count)
    assert {entry.path: store.document(entry.id).text for entry in store.entries()} == want
    assert store.check() == []
    store.close()


def test_pieces_are_passages_of_their_documents() -> None:
    for document, cut in islice(library_sizes.documents(TEXTS), 7):
        assert all(document.text[piece.start : piece.end] == piece.text for piece in cut)

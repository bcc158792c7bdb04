"""Synonyms in a library: applied where passages are indexed, in both kinds of store; changed without the files."""

from pathlib import Path

import pytest

from puna.errors import LibraryError
from puna.library.segment import query_terms
from puna.library.store import open_store
from puna.library.synonyms import Synonyms
from puna.library.types import Document, Passage, Store

TEXTS = ("珠穆朗玛峰高8848米。", "We climbed Mount Everest.", "珠江很长。", "A lake in the US.")
PEAK = Synonyms([["珠穆朗玛峰", "珠峰", "Mount Everest"]])
NATION = Synonyms([["US", "United States"]])


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "library") if request.param == "sqlite" else request.getfixturevalue("database")


def fill(store: Store) -> None:
    for number, text in enumerate(TEXTS):
        store.put(str(number), "", 0, Document(text), [Passage(0, len(text), text)])


def found(store: Store, question: str) -> set[str]:
    """The documents that hold every term looked for."""
    wanted = [{hit.document for hit in store.search([term], 10)} for term in query_terms(question)]
    names = {entry.id: entry.path for entry in store.entries()}
    return {names[document] for document in set.intersection(*wanted)}


def test_one_name_finds_another_only_by_them(where: str) -> None:
    store = open_store(where, create=True)
    fill(store)
    assert found(store, "珠峰") == set()
    assert found(store, "mount everest") == {"1"}
    store.close()

    store = open_store(where, create=True, synonyms=PEAK)
    assert found(store, "珠峰") == found(store, "Mount Everest") == found(store, "珠穆朗玛峰") == {"0", "1"}
    assert found(store, "united states") == set()
    assert store.check() == []
    fill(store)  # documents replaced
    assert store.remove(["1"]) == 1
    assert found(store, "珠峰") == {"0"}
    assert store.check() == []
    store.close()

    for again in (open_store(where, create=True), open_store(where, create=False)):  # kept, and asked with them
        assert found(again, "珠峰") == {"0"}
        again.close()
    store = open_store(where, create=True, synonyms=NATION)
    assert found(store, "珠峰") == set()
    assert found(store, "united states") == {"3"}
    assert store.check() == []
    store.close()
    store = open_store(where, create=True, synonyms=Synonyms([]))
    assert found(store, "united states") == set()
    assert store.check() == []
    store.close()


def test_who_indexes_while_they_change_goes_by_the_new_ones(where: str) -> None:
    old = open_store(where, create=True, synonyms=NATION)
    new = open_store(where, create=True, synonyms=PEAK)
    fill(old)
    for store in (old, new):
        assert found(store, "珠峰") == {"0", "1"}
        assert found(store, "united states") == set()
        assert store.check() == []
        store.close()


def test_who_only_asks_changes_nothing(where: str) -> None:
    store = open_store(where, create=True)
    fill(store)
    store.close()
    with pytest.raises(LibraryError) as caught:
        open_store(where, create=False, synonyms=PEAK)
    assert caught.value.code == "E-LIBRARY-SEGMENTATION"
    store = open_store(where, create=False)
    assert found(store, "珠峰") == set()
    store.close()


def test_they_come_back_as_they_were() -> None:
    again = Synonyms.parse(PEAK.text + NATION.text, Path("synonyms"))
    for text in TEXTS:
        assert again.others(text) == PEAK.others(text) + NATION.others(text)

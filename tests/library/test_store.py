"""What every Store must do, held against plain Python."""

import math
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from puna.errors import InputError, LibraryError
from puna.library.codec import words_of
from puna.library.segment import terms
from puna.library.store import open_store
from puna.library.types import Block, Box, Document, Mark, Passage, Store

WORDS = "alpha Beta c++ naïve über 珠穆朗玛峰 山峰 最高的山峰 8848 don't straße Ａｂｃ x_y the the the".split()
STRANGE = "a\0b \ud800 \udcff \U0001f999 \u2028 '\"\\ %s ;-- \ue041"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "library") if request.param == "sqlite" else request.getfixturevalue("database")


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    opened = open_store(where, create=True)
    yield opened
    opened.close()


def made(draw: random.Random, passages: int = 4) -> tuple[Document, list[Passage]]:
    text, places = "", []
    for _ in range(draw.randrange(passages + 1)):
        start = len(text)
        text += " ".join(draw.choices(WORDS, k=draw.randrange(1, 12)))
        headings = tuple(draw.choices(WORDS, k=draw.randrange(3)))
        places.append(Passage(start, len(text), text[start:], headings))
        text += "\n\n"
    return Document(text, draw.choice(WORDS)), places


def put(store: Store, path: str, document: Document, passages: list[Passage], **more: object) -> None:
    store.put(path, "ab" * 32, len(document.text), document, passages, **more)


def best(store: Store, query: list[str]) -> list[tuple[str, int, int, float]]:
    """What a search finds, under names that do not depend on ids."""
    names = {e.id: e.path for e in store.entries()}
    return [(names[hit.document], hit.start, hit.end, hit.score) for hit in store.search(query, 10**6)]


def expected(
    held: dict[str, tuple[Document, list[Passage]]], query: list[str]
) -> dict[tuple[str, int, int], float]:
    """BM25 by its formula: Robertson's idf, at least 1e-6; k1 = 1.2, b = 0.75."""
    counts = {
        (path, p.start, p.end): Counter(words_of(document.text, p.start, p.end, p.headings))
        for path, (document, passages) in held.items()
        for p in passages
    }
    mean = sum(c.total() for c in counts.values()) / max(len(counts), 1)
    scores: dict[tuple[str, int, int], float] = {}
    for term in set(query):
        having = [key for key, count in counts.items() if count[term]]
        idf = math.log((len(counts) - len(having) + 0.5) / (len(having) + 0.5))
        idf = idf if idf > 0 else 1e-6
        for key in having:
            tf, length = counts[key][term], counts[key].total()
            scores[key] = scores.get(key, 0) + idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / mean))
    return scores


def test_scores_are_bm25_through_changes(store: Store) -> None:
    draw = random.Random(1)
    held: dict[str, tuple[Document, list[Passage]]] = {}
    vocabulary = sorted(set(terms(" ".join(WORDS))))
    for step in range(60):
        path = f"folder/{draw.randrange(20)}.txt"
        if draw.random() < 0.25:
            assert store.remove([path, "absent"]) == (held.pop(path, None) is not None)
        else:
            held[path] = made(draw)
            put(store, path, *held[path])
        if step % 5:
            continue
        assert [e.path for e in store.entries()] == sorted(held)
        query = draw.sample(vocabulary, 3)
        want, got = expected(held, query), best(store, query)
        assert {row[:3] for row in got} == want.keys()
        for *key, score in got:
            assert score == pytest.approx(want[tuple(key)], rel=1e-9)
        assert store.check() == []


def test_best_first_and_equals_by_passage(store: Store) -> None:
    for n in range(30):
        text = "wanted word" if n % 3 else "wanted word and some more of them"
        put(store, f"{29 - n}", Document(text), [Passage(0, len(text), text)])
    put(store, "other", Document("other"), [Passage(0, 5, "other")] * 40)
    hits = store.search(terms("wanted"), 100)
    assert len(hits) == 30
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.passage))
    assert len({hit.score for hit in hits}) == 2
    for limit in (0, 1, 7, 29):
        assert store.search(terms("wanted"), limit) == hits[:limit]
    assert store.search(terms("wanted word"), 30) == store.search(terms("word wanted wanted"), 30)


def test_incremental_is_as_if_made_anew(store: Store, tmp_path: Path) -> None:
    draw = random.Random(2)
    final = {f"{n}": made(draw) for n in range(12)}
    for n in draw.sample(range(12), 12) * 2:
        put(store, f"{n}", *made(draw))
    for n in range(12, 20):
        put(store, f"{n}", *made(draw))
    store.remove(map(str, range(12, 20)))
    for path, kept in final.items():
        put(store, path, *kept)
    other = open_store(tmp_path / "anew", create=True)
    for path, kept in final.items():
        put(other, path, *kept)
    query = terms("alpha 山峰 8848 Beta")
    for got, want in zip(best(store, query), best(other, query), strict=True):
        assert got == (*want[:3], pytest.approx(want[3], rel=1e-12))
    other.close()


@pytest.mark.parametrize(
    "query", [[], [""], ['"'], ["NOT", "OR"], ["*"], ["a AND b"], ["body:x"], [STRANGE], ["\0"]]
)
def test_queries_are_words_and_nothing_else(store: Store, query: list[str]) -> None:
    text = "nor is a body anything but text"
    put(store, "a", Document(text), [Passage(0, len(text), text)])
    assert store.search(query, 10) == []


def test_thousands_of_words_in_a_query(store: Store) -> None:
    text = " ".join(f"word{n}" for n in range(4000))
    put(store, "a", Document(text), [Passage(0, len(text), text)])
    put(store, "b", Document("word8"), [Passage(0, 5, "word8")])
    assert len(store.search([*(f"word{n}" for n in range(5000)), "w" * 5000], 10)) == 2


def test_a_document_comes_back_as_it_was(store: Store) -> None:
    text = f"{STRANGE}\r\n第一章 珠峰"
    document = Document(
        text,
        f"Title {STRANGE}",
        (Block(0, 5, "heading", 1), Block(6, len(text), "table")),
        (0, 7),
        (Box(0, 3, 1, 0.1, 1 / 3, 2.5e-17, 700.0),),
        (Mark(0, None, "ch\0apter.xhtml"), Mark(4, 17), Mark(5, 18, "", 5)),
    )
    put(store, f"/a/{STRANGE}", document, [Passage(0, len(text), text, ("Heading\nof two", STRANGE))])
    (entry,) = store.entries()
    assert (entry.path, entry.title, entry.characters, entry.passages) == (
        f"/a/{STRANGE}",
        document.title,
        len(text),
        1,
    )
    assert store.entry(entry.path) == entry
    assert store.entry("/a") is None
    assert store.document(entry.id) == document
    assert store.check() == []
    assert len(store.search(terms("two"), 5)) == 1


def test_replaced_is_gone(store: Store) -> None:
    put(store, "a", Document("old words"), [Passage(0, 9, "old words")])
    old = store.entry("a")
    put(store, "a", Document("new"), [Passage(0, 3, "new")])
    new = store.entry("a")
    assert old
    assert new
    assert new.id != old.id
    assert store.search(terms("old"), 5) == []
    assert [hit.document for hit in store.search(terms("new"), 5)] == [new.id]
    assert store.held(new.id) == new
    for call in (store.document, store.held):
        with pytest.raises(LibraryError) as caught:
            call(old.id)
        assert caught.value.code == "E-LIBRARY-NO-DOCUMENT"


def test_ids_are_never_given_twice(store: Store) -> None:
    seen: set[int] = set()
    for _ in range(5):
        put(store, "a", Document("word"), [Passage(0, 4, "word")])
        (hit,) = store.search(terms("word"), 5)
        assert hit.passage not in seen
        seen.add(hit.passage)
        store.remove(["a"])


def test_many_entries_in_order_while_others_write(where: str, store: Store) -> None:
    paths = [f"{n:05}" for n in range(2500)]
    empty = Document("")
    draw = random.Random(3)
    for path in draw.sample(paths, len(paths)):
        put(store, path, empty, [])
    found = store.entries()
    first = [next(found).path for _ in range(10)]
    other = open_store(where, create=False)
    other.remove(["02400"])
    other.close()
    assert first + [e.path for e in found] == [p for p in paths if p != "02400"]


def test_settings(where: str, store: Store) -> None:
    assert store.setting("model") is None
    store.set("model", "one")
    store.set("model", "模型 2")
    other = open_store(where, create=False)
    assert other.setting("model") == "模型 2"
    other.close()


def test_what_one_writes_the_other_sees(where: str, store: Store) -> None:
    other = open_store(where, create=True)
    put(store, "a", Document("seen"), [Passage(0, 4, "seen")])
    assert [e.path for e in other.entries()] == ["a"]
    put(other, "b", Document("seen"), [Passage(0, 4, "seen")])
    assert len(store.search(terms("seen"), 5)) == 2
    assert store.remove(["a", "b"]) == 2
    assert list(other.entries()) == []
    other.close()


def test_an_error_changes_nothing(store: Store) -> None:
    put(store, "a", Document("word"), [Passage(0, 4, "word")])
    before = (list(store.entries()), store.search(terms("word"), 5))
    with pytest.raises(InputError):
        put(store, "a", Document("other"), [Passage(0, 5, "other")], vectors=[[math.nan]])
    with pytest.raises(AttributeError):
        put(store, "a", Document("other"), [Passage(0, 5, "other"), None])
    assert (list(store.entries()), store.search(terms("word"), 5)) == before
    assert store.check() == []


def test_threads(store: Store) -> None:
    failed: list[BaseException] = []

    def work(mine: int) -> None:
        try:
            for n in range(10):
                put(store, f"{mine}-{n}", Document("shared word"), [Passage(0, 11, "shared word")])
                store.search(terms("shared"), 10)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(store.search(terms("shared"), 100)) == 40
    assert store.check() == []


def test_vectors_as_numpy_finds_them(store: Store) -> None:
    import numpy as np

    draw = np.random.default_rng(4)
    rows: dict[tuple[str, int], np.ndarray] = {}
    for n in range(40):
        count = int(draw.integers(0, 5))
        vectors = draw.normal(size=(count, 24)).astype(np.float32)
        vectors[draw.random(count) < 0.3] = 1.0  # equal ones
        path = f"{n % 25}"
        rows = {key: row for key, row in rows.items() if key[0] != path} | {
            (path, i): v for i, v in enumerate(vectors)
        }
        put(store, path, Document("x" * 10), [Passage(i, i + 1, "x") for i in range(count)], vectors=vectors)
    store.remove(["3"])
    rows = {key: row for key, row in rows.items() if key[0] != "3"}
    query = draw.normal(size=24).astype(np.float32)
    hits = store.near(query.tolist(), 1000)
    names = {e.id: e.path for e in store.entries()}
    assert {(names[hit.document], hit.start) for hit in hits} == rows.keys()
    for hit in hits:
        want = float(rows[names[hit.document], hit.start].astype(float) @ query.astype(float))
        assert hit.score == pytest.approx(want, abs=1e-5)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.passage))
    assert len({hit.score for hit in hits}) < len(hits)
    assert store.near(query.tolist(), 7) == hits[:7]
    assert store.check() == []


@pytest.mark.parametrize("vectors", [[[1.0, 2.0]] * 2, [[1.0]], [[math.inf, 0.0]], [[]], [["a", "b"]], [1.0, 2.0]])
def test_vectors_that_do_not_fit(store: Store, vectors: list) -> None:
    put(store, "a", Document("x"), [Passage(0, 1, "x")], vectors=[[1.0, 2.0]])
    with pytest.raises(InputError) as caught:
        put(store, "b", Document("x"), [Passage(0, 1, "x")], vectors=vectors)
    assert caught.value.code == "E-LIBRARY-VECTORS"
    assert [e.path for e in store.entries()] == ["a"]


@pytest.mark.parametrize("query", [[1.0], [math.nan, 0.0], [], ["a", "b"], [[1.0, 2.0]]])
def test_queries_that_do_not_fit(store: Store, query: list) -> None:
    put(store, "a", Document("x"), [Passage(0, 1, "x")], vectors=[[1.0, 2.0]])
    with pytest.raises(InputError) as caught:
        store.near(query, 5)
    assert caught.value.code == "E-LIBRARY-VECTORS"


def test_without_vectors(store: Store) -> None:
    put(store, "a", Document("x"), [Passage(0, 1, "x")])
    assert store.near([1.0, 2.0], 5) == []


def test_nothing_there(where: str, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(LibraryError) as caught:
            open_store(where, create=False)
        assert caught.value.code == "E-LIBRARY-MISSING"
    assert list(tmp_path.iterdir()) == []

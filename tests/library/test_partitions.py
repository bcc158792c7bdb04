"""The partitions of docs/scale.md: made by what stands there, the library answers and changes as before."""

import random
import re
from pathlib import Path

import pytest

from puna.library.store import open_store
from puna.library.types import Document, Passage

PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("scale.md", "scale.zh.md")]
WORDS = ["walk", "rain", "山峰", "Ann", "1840", "ship", "the", "led"]


def commands() -> str:
    (ours,), (theirs,) = (re.findall(r"```sql\n(.*?)```", page.read_text("utf-8"), re.S) for page in PAGES)
    assert ours == theirs
    return ours


def filled(draw: random.Random, count: int) -> dict[str, tuple[Document, list[Passage]]]:
    found = {}
    for number in range(count):
        pieces = [" ".join(draw.choices(WORDS, k=draw.randrange(3, 9))) for _ in range(draw.randrange(1, 5))]
        text, passages = "", []
        for piece in pieces:
            passages.append(Passage(len(text), len(text) + len(piece), piece))
            text += piece + "\n"
        found[f"file {number}"] = Document(text), passages
    return found


def test_partitions_change_nothing(database: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    draw = random.Random(2)
    documents = filled(draw, 40)
    store = open_store(database, create=True)
    for path, (document, passages) in documents.items():
        store.put(path, "0" * 64, 1, document, passages)
    queries = [draw.sample(["walk", "rain", "ann", "1840", "ship", "led"], draw.randrange(1, 4)) for _ in range(20)]
    before = [store.search(query, 10) for query in queries]
    assert all(before)
    with psycopg.connect(database, autocommit=True) as base:
        base.execute(commands())
        (partitions,) = base.execute("SELECT count(*) FROM pg_inherits").fetchone()
        (full,) = base.execute("SELECT count(DISTINCT tableoid) FROM puna.passages").fetchone()
    assert full == 8
    assert partitions > 8  # tables, and their indexes
    assert [store.search(query, 10) for query in queries] == before
    assert store.check() == []
    for path, (document, passages) in filled(draw, 10).items():  # replaced
        store.put(path, "1" * 64, 1, document, passages)
    assert store.remove([f"file {number}" for number in range(20, 30)]) == 10
    assert store.check() == []
    assert store.search(["walk"], 1000) == open_store(database, create=False).search(["walk"], 1000)
    held = {entry.id: entry.path for entry in store.entries()}
    assert len(held) == 30
    assert {hit.document for query in queries for hit in store.search(query, 1000)} <= held.keys()

"""`bench/retrieval.py`: all of it runs on small sets and goes on; its engines against BM25 by its formula."""

import gzip
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from retrieval import mean, recall, reciprocal
from retrieval_sets import FOLDED, Question, rank
from retrieval_systems import InBm25s, InStore, places, tantivy_with_terms, variant

from puna.library.passages import passages
from puna.library.segment import query_terms, terms
from puna.library.store import open_store
from puna.library.types import Document

SCRIPT = Path(__file__).parents[2] / "bench" / "retrieval.py"
WORDS = "alpha beta gamma delta 珠穆朗玛峰 山峰 最高的山峰 8848 river rivers stone".split()


@pytest.fixture
def texts() -> list[str]:
    """Few and short: tantivy keeps lengths of up to 40 terms as they are, and others roughly."""
    draw = random.Random(7)
    return ["，".join(draw.choices(WORDS, k=draw.randrange(1, 7))) for _ in range(40)]


def robertson(count: int, having: int) -> float:
    return max(math.log((count - having + 0.5) / (having + 0.5)), 1e-6)


def lucene(count: int, having: int) -> float:
    return math.log(1 + (count - having + 0.5) / (having + 0.5))


def scores(
    texts: list[str], question: str, k1: float, idf: Callable[[int, int], float], b: float = 0.75
) -> dict[int, float]:
    """BM25 by its formula, of the texts that have any of the terms."""
    counts = [Counter(terms(text)) for text in texts]
    usual = sum(c.total() for c in counts) / len(counts)
    found: dict[int, float] = {}
    for term in set(query_terms(question)):
        having = sum(term in c for c in counts)
        for number, c in enumerate(counts):
            if term in c:
                share = c[term] * (k1 + 1) / (c[term] + k1 * (1 - b + b * c.total() / usual))
                found[number] = found.get(number, 0.0) + idf(len(texts), having) * share
    return found


@pytest.mark.parametrize("name", ["store", "bm25s", "tantivy"])
def test_engines_rank_by_bm25(texts: list[str], name: str, tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    pytest.importorskip("tantivy")
    pieces = [passages(Document(text)) for text in texts]
    assert all(len(found) == 1 for found in pieces)
    k1, idf = {"store": (1.2, robertson), "bm25s": (1.5, lucene), "tantivy": (1.2, lucene)}[name]
    made = {
        "store": lambda: InStore(open_store(tmp_path / "library", create=True), texts, pieces),
        "bm25s": lambda: InBm25s(terms, query_terms, pieces),
        "tantivy": lambda: tantivy_with_terms(pieces),
    }
    engine = made[name]()
    for question in ("alpha river", "山峰", "最高的山峰在哪里？", "8848", "stone stones beta"):
        want = scores(texts, question, k1, idf)
        found = [document for document, _, _ in engine.search(question, len(texts))]
        assert set(found) == set(want)
        values = [want[document] for document in found]
        assert values == pytest.approx(sorted(values, reverse=True), rel=1e-4)
        assert [document for document, _, _ in engine.search(question, 3)] == found[:3]
    assert engine.search("nothing like it", 5) == []


def test_places_and_ranks() -> None:
    pieces = [passages(Document("one two. " * 10), 8, 2), passages(Document("three"))]
    every = places(pieces)
    assert every[-1] == (1, 0, 5)
    asked = Question("X", "?", 0, ((20, 25), (70, 71)))
    assert rank(asked, [(1, 0, 90), (0, 0, 20), (0, 25, 70), (0, 70, 80)]) == 4
    assert rank(asked, [(0, 24, 30)]) == 1
    assert rank(asked, []) is None


def test_measures() -> None:
    ranks = [1, 2, 24, None]
    assert recall(ranks, 1) == 25
    assert recall(ranks, 24) == 75
    assert reciprocal(ranks) == pytest.approx(100 * (1 + 0.5) / 4)  # beyond the first 20 nothing counts
    found = {"data": ["A", "A", "B", FOLDED], "rank": [1, None, 1, None]}
    assert mean(found, lambda each: recall(each, 1)) == 75


@pytest.mark.parametrize("run", ["both", "pairs", "singles", "words"])
def test_variants_part_chinese_alone(run: str) -> None:
    if run == "words":
        pytest.importorskip("jieba")
    found = variant(run)("The U.S. rivers 最高的山峰")
    assert found[:3] == ["the", "us", "river"]
    assert (
        found[3:]
        == {
            "both": [*"最高的山峰", "最高", "高的", "的山", "山峰"],
            "pairs": ["最高", "高的", "的山", "山峰"],
            "singles": [*"最高的山峰"],
            "words": ["最高", "的", "山峰"],
        }[run]
    )
    assert variant(stems=False)("rivers") == ["rivers"]


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Small sets in the form of the real ones: the n-th question of each is about the n-th word."""
    folder = tmp_path / "data"
    names = ["rook", "heron", "stork", "crane"]
    chinese = ["長江", "黃河", "泰山", "華山"]

    def rows(things: list[str], text: str, question: str) -> list[dict]:
        found = []
        for thing in things:
            context = text.format(thing)
            answers = [{"text": thing, "start": context.index(thing)}]
            found.append({"context": context, "question": question.format(thing), "answers": answers})
        return found

    for name in ("squad11/dev_a", "squad11/train_sample"):
        write(folder / f"{name}.jsonl.gz", rows(names, f"Here a {{}} lives, {name}.", "Where does the {} live?"))
    for name in (
        "cmrc2018/dev_a",
        "cmrc2018/trial",
        "cmrc2018/train",
        "drcd/dev",
        "drcd/test",
        "dureader_robust/dev",
    ):
        write(folder / f"{name}.jsonl.gz", rows(chinese, f"這裡是{{}}。{name}", "{}在哪裡？"))
    papers = [{"doc_id": str(n), "text": f"A {name} sings. " + "Nothing. " * 300} for n, name in enumerate(names)]
    asked = [
        {"doc_id": str(n), "question": f"Does a {name} sing?", "answers": [{"text": name, "start": 2}]}
        for n, name in enumerate(names)
    ]
    write(folder / "covid_qa/docs.jsonl.gz", papers)
    write(folder / "covid_qa/qa.jsonl.gz", asked)
    return folder


def test_it_measures_keeps_and_goes_on(tmp_path: Path, data: Path) -> None:
    for needed in ("bm25s", "tantivy", "jieba", "Stemmer"):
        pytest.importorskip(needed)
    environment = {**os.environ, "PUNA_DATA": str(data), "PYTHONIOENCODING": "utf-8"}
    command = [
        sys.executable,
        str(SCRIPT),
        "work",
        "--limit",
        "3",
        "--sizes",
        "--markdown",
        "page.md",
        "--json",
        "ranks.json",
    ]

    def run() -> str:
        done = subprocess.run(
            command, check=False, capture_output=True, cwd=tmp_path, env=environment, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    page = run()
    assert page == (tmp_path / "page.md").read_text("utf-8") + "\n"
    assert page.count("| Puna, the store in SQLite | ") == 4
    ranks = json.loads((tmp_path / "ranks.json").read_text("utf-8"))["systems"]
    assert len(ranks) == 5 + 5 + 3
    for kept in ranks.values():
        assert len(kept["rank"]) == len(kept["data"]) == 6 * 3
    ours = ranks["store"]
    assert all(place is not None for place in ours["rank"])
    folded = [place for data, place in zip(ours["data"], ours["rank"], strict=True) if data == FOLDED]
    assert folded == [place for data, place in zip(ours["data"], ours["rank"], strict=True) if data == "DRCD"]

    kept = {path.name: path.read_bytes() for path in (tmp_path / "work").glob("*.json")}
    (tmp_path / "work" / "tantivy.json").unlink()
    changed = tmp_path / "work" / "bm25s.json"
    record = json.loads(kept[changed.name])
    changed.write_text(json.dumps({**record, "rank": [None] * len(record["rank"])}), "utf-8")
    (row, *_) = (line for line in run().splitlines() if line.startswith("| bm25s, its own words"))
    assert set(row.split("|")[2:-1]) == {" 0.0 "}  # what is kept is not measured anew
    assert (tmp_path / "work" / "tantivy.json").read_bytes() == kept["tantivy.json"]

"""How often the right passage is found: Puna's library beside bm25s and tantivy, over the same passages.

    pip install -c constraints.txt -e '.[bench]'
    python bench/retrieval.py WORK --markdown docs/measured-retrieval.md

All contexts of SQuAD, CMRC, DRCD, DuReader and COVID-QA are one library, cut into passages by Puna. Needs PUNA_DATA, no
model. WORK keeps what is done; run again, it goes on. `--json FILE` writes the rank of the first right passage for every
question and system.
"""

import argparse
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

from retrieval_sets import FOLDED, Library, Question, drawn, rank, read_sets
from retrieval_systems import (
    InBm25s,
    InStore,
    System,
    not_asking,
    own_bm25s,
    own_tantivy,
    tantivy_with_terms,
    variant,
)

from puna.library.passages import OVERLAP, SIZE
from puna.library.segment import query_terms, terms
from puna.library.store import open_store
from puna.library.types import Passage

DEPTH = 24  # passages looked at
AT = (1, 5, 20)
SIZES = ((SIZE, OVERLAP), (80, 20), (240, 60), (320, 80))
READ = (960, 1920)  # units in the first passages, those that a reader would read
Ranks = list[int | None]
Kept = dict[str, list[Any]]  # "asked", "data" and "rank" of each question
SYSTEMS = {
    "store": "Puna, the store in SQLite",
    "bm25s": "bm25s, its own words",
    "tantivy": "tantivy, its own words",
    "bm25s-terms": "bm25s, Puna's terms",
    "tantivy-terms": "tantivy, Puna's terms",
}
VARIANTS: dict[str, tuple[str, Callable[[str], list[str]], Callable[[str], list[str]]]] = {
    "bm25s-terms": ("Puna's terms", terms, query_terms),
    "stems": ("words not stemmed", variant(stems=False), not_asking(variant(stems=False))),
    "asked": ("with the words that ask", terms, terms),
    "pairs": ("with them, pairs of characters alone", variant("pairs"), variant("pairs")),
    "singles": ("with them, single characters alone", variant("singles"), variant("singles")),
    "jieba": ("with them, jieba's words (for searching) instead", variant("words"), variant("words")),
}


def system(name: str, work: Path, library: Library) -> System:
    """Make a system and put the library into it."""
    pieces = library.cut(*SIZES[int(name[4:])] if name.startswith("size") else (SIZE, OVERLAP))
    if name == "store":
        folder = work / "library"
        shutil.rmtree(folder, ignore_errors=True)
        return InStore(open_store(folder, create=True), library.texts, pieces)
    own: dict[str, Callable[[Sequence[Sequence[Passage]]], System]] = {
        "bm25s": own_bm25s,
        "tantivy": own_tantivy,
        "tantivy-terms": tantivy_with_terms,
    }
    if name in own:
        return own[name](pieces)
    _, index, query = VARIANTS.get(name, VARIANTS["bm25s-terms"])
    return InBm25s(index, query, pieces)


def measured(name: str, work: Path, library: Library, questions: Sequence[Question]) -> Kept:
    """Give the ranks that a system finds, kept ones where it was asked the same before."""
    asked = [question.text for question in questions]
    path = work / f"{name}.json"
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        if kept["asked"] == asked:
            return kept
    engine = system(name, work, library)
    found: Kept = {"asked": asked, "data": [], "rank": []}
    for number, question in enumerate(questions, 1):
        found["data"].append(question.data)
        found["rank"].append(rank(question, engine.search(question.text, DEPTH)))
        if number % 100 == 0:
            print(f"\r{name}: {number:,} of {len(questions):,} ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(found), "utf-8")
    temporary.replace(path)
    return found


def sized(number: int) -> str:
    """Give the name of the system whose passages have one of SIZES."""
    return "bm25s-terms" if SIZES[number] == (SIZE, OVERLAP) else f"size{number}"


def recall(ranks: Sequence[int | None], at: int) -> float:
    """Share of questions for which a right passage is among the first `at`, in percent."""
    return 100 * fmean(place is not None and place <= at for place in ranks)


def reciprocal(ranks: Sequence[int | None]) -> float:
    """Mean reciprocal rank, 0 where no right passage is among the first AT[-1], times 100."""
    return 100 * fmean(1 / place if place and place <= AT[-1] else 0.0 for place in ranks)


def by_data(found: Kept) -> dict[str, Ranks]:
    """Give the ranks of each data set."""
    parted: dict[str, Ranks] = {}
    for data, place in zip(found["data"], found["rank"], strict=True):
        parted.setdefault(data, []).append(place)
    return parted


def mean(found: Kept, measure: Callable[[Ranks], float]) -> float:
    """Give the mean over the data sets; the one that is asked in other characters is none of its own."""
    return fmean(measure(ranks) for data, ranks in by_data(found).items() if data != FOLDED)


def table(found: dict[str, Kept], titles: dict[str, str], measure: Callable[[Ranks], float]) -> list[str]:
    """Write a row for each system and a column for each data set."""
    data = list(by_data(next(iter(found.values()))))
    lines = [f"| | {' | '.join(data)} | mean without the last |", "|---" * (len(data) + 2) + "|"]
    for name, kept in found.items():
        parted = by_data(kept)
        cells = [f"{measure(parted[each]):.1f}" for each in data]
        lines.append(f"| {titles[name]} | {' | '.join(cells)} | {mean(kept, measure):.1f} |")
    return [*lines, ""]


def page(found: dict[str, Kept], facts: dict[str, Any], command: str) -> str:
    """Write the results as Markdown."""
    parted = by_data(found["store"])
    count = facts["passages"][0]
    asked = ", ".join(f"{data} {len(ranks):,}" for data, ranks in parted.items())
    error = max(100 * sqrt(0.25 / len(ranks)) for ranks in parted.values())
    lines = [
        "# Measured: finding the passage",
        "",
        f"Written by `{command}`; SQLite {facts['sqlite']}, bm25s {version('bm25s')}, tantivy "
        f"{version('tantivy')}, jieba {version('jieba')}. All {facts['texts']:,} contexts of SQuAD 1.1, CMRC 2018, DRCD, "
        f"DuReader-robust and COVID-QA are one library of {count:,} passages of at most {SIZE} words or Chinese "
        f"characters, which share {OVERLAP} at a cut; every system searches the same ones. Questions: {asked}. A "
        "passage is right if it is of the right context and has some of an answer's place. In percent; a value's "
        f"standard error is at most {error:.1f}, that of a difference between rows much less, for the questions are "
        "the same.",
        "",
    ]
    systems = {name: found[name] for name in SYSTEMS}
    for at in AT:
        lines += [f"## Recall@{at}", "", *table(systems, SYSTEMS, partial(recall, at=at))]
    lines += ["## Mean reciprocal rank", "", f"Times 100, over the first {AT[-1]}.", ""]
    lines += table(systems, SYSTEMS, reciprocal)
    lines += [
        "*Its own words*: bm25s with its English stop words and PyStemmer, jieba's words in texts with Chinese; "
        "tantivy with its English stemmer, one and two neighbouring characters in texts with Chinese. All have their "
        "own defaults of BM25 (bm25s k1 = 1.5, the others 1.2; b = 0.75).",
        "",
        "## What makes a term",
        "",
        "Mean reciprocal rank times 100, in bm25s.",
        "",
        *table({name: found[name] for name in VARIANTS}, {n: v[0] for n, v in VARIANTS.items()}, reciprocal),
    ]
    if sized(1) not in found:
        return "\n".join(lines)
    lines += [
        "## How long a passage is",
        "",
        "Recall, mean over the five data sets, when as many of the first passages are taken as make up so many words and "
        "characters together; in bm25s with Puna's terms.",
        "",
        f"| size, overlap | passages | {' | '.join(f'{read:,} read' for read in READ)} |",
        "|---" * (2 + len(READ)) + "|",
    ]
    for number, (size, overlap) in enumerate(SIZES):
        kept = found[sized(number)]
        cells = [f"{mean(kept, partial(recall, at=read // size)):.1f}" for read in READ]
        lines.append(f"| {size}, {overlap} | {facts['passages'][number]:,} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="keeps what is done")
    parser.add_argument("--limit", type=int, default=1500, help="questions of each data set, drawn at random")
    parser.add_argument("--sizes", action="store_true", help="measure passages of other sizes, too")
    parser.add_argument("--json", type=Path, help="write all ranks to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    texts, every = read_sets()
    library, questions = Library(texts), drawn(every, given.limit)
    others = map(sized, range(len(SIZES) if given.sizes else 0))
    names = dict.fromkeys([*SYSTEMS, *VARIANTS, *others])
    found = {name: measured(name, given.work, library, questions) for name in names}
    sizes = [sum(map(len, library.cut(*size))) for size in (SIZES if given.sizes else ((SIZE, OVERLAP),))]
    facts = {"texts": len(texts), "passages": sizes, "sqlite": sqlite3.sqlite_version}
    command = f"python bench/retrieval.py WORK --limit {given.limit}{' --sizes' * given.sizes}"
    command += " --markdown docs/measured-retrieval.md"
    text = page(found, facts, command)
    print(text)
    if given.json:
        systems = {name: {"data": kept["data"], "rank": kept["rank"]} for name, kept in found.items()}
        given.json.write_text(json.dumps({**facts, "systems": systems}), "utf-8")
    if given.markdown:
        given.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

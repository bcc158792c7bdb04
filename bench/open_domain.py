"""Open-domain answers: a question asked of one library of all contexts, not of its own context.

    python train/prepare.py build/rows
    python bench/open_domain.py build/rows WORK --markdown docs/measured-open-domain.md

The library is that of `retrieval.py`: all contexts of SQuAD, CMRC, DRCD, DuReader and COVID-QA. The questions are those
whose articles the reader's training held back, and those of COVID-QA. Needs the default model (`puna pull`) and
PUNA_DATA. WORK keeps the library and every record as it is done; the same command goes on from there.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from retrieval_sets import PAPERS, read_sets

import puna
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.rows import question_row, read_rows, sample
from puna.library.passages import passages
from puna.library.store import open_store
from puna.library.types import Document

SETS = {"SQuAD": "squad11", "CMRC": "cmrc", "DRCD": "drcd", "DuReader": "dureader"}
PASSAGES = (5, 10, 15, 20)
TOP = 5
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the number of its text, and the answers that count as right."""

    data: str
    id: str
    question: str
    document: int
    answers: tuple[str, ...]


def questions(rows: Path, limit: int) -> tuple[list[str], list[Asked]]:
    """Give the texts of the library and the questions, so many of each set, drawn at random."""
    texts, placed = read_sets()
    numbers = {text: number for number, text in enumerate(texts)}
    found: list[Asked] = []
    for data, name in SETS.items():
        every = [row for row in read_rows(rows / f"valid-{name}.jsonl", question_row) if row.answers]
        some = sample(every, limit)
        found += [Asked(data, row.id, row.question, numbers[row.context], row.answers) for row in some]
    papers = [question for question in placed if question.data == PAPERS]
    for number, one in sample(list(enumerate(papers)), limit):
        answers = tuple(dict.fromkeys(texts[one.document][start:end] for start, end in one.answers))
        found.append(Asked(PAPERS, str(number), one.text, one.document, answers))
    return texts, found


def library(work: Path, texts: Sequence[str], reader: puna.Reader) -> puna.Library:
    """Open the library of the texts in WORK; what it lacks is put in. A text's path is its number."""
    store = open_store(work / "library", create=True)
    held = {entry.path for entry in store.entries()}
    for number, text in enumerate(texts):
        if str(number) not in held:
            store.put(str(number), "", len(text), Document(text), passages(Document(text)))
            if number % 100 == 0:
                print(f"\rindexing: {number:,} of {len(texts):,} ", end="", file=sys.stderr, flush=True)
    return puna.Library(work / "library", store, reader)


def given(reader: puna.Reader, one: Asked, text: str) -> Record:
    """Ask about the right text alone: what the reader can do where nothing has to be found."""
    found = reader.ask(one.question, text, top=TOP)
    return {"passages": 0, **score(one, found)}


def asked(shelves: puna.Library, one: Asked, text: str, count: int) -> Record:
    """Ask the library; `found`, `ranked`: where a right passage stands as searched and as read, from 1, 0 for nowhere."""
    found = shelves.ask(one.question, passages=count, top=TOP)
    right = [
        each.source == str(one.document) and any(answer in each.text for answer in one.answers)
        for each in found.passages
    ]
    order = sorted(range(len(right)), key=lambda n: -found.passages[n].score)
    return {
        "passages": count,
        **score(one, found),
        "found": next((place for place, n in enumerate(order, 1) if right[n]), 0),
        "ranked": next((place for place, yes in enumerate(right, 1) if yes), 0),
    }


def score(one: Asked, found: puna.Answers) -> Record:
    """Score the best answer and the best of TOP; no answer is refused here."""
    every = [exact_match_and_f1(one.question, answer.text, one.answers) for answer in found] or [(0.0, 0.0)]
    return {
        "em": every[0][0],
        "f1": every[0][1],
        "top_em": max(em for em, _ in every),
        "top_f1": max(f1 for _, f1 in every),
        "nothing": found.no_answer_probability,
    }


def records(rows: Path, work: Path, limit: int, counts: Sequence[int]) -> Iterator[Record]:
    """Measure what is not kept in WORK yet; give all, set by set."""
    path = work / "records.jsonl"
    known = {}
    if path.exists():
        kept = map(json.loads, path.read_text("utf-8").splitlines())
        known = {(each["data"], each["id"], each["passages"]): each for each in kept}
    texts, every = questions(rows, limit)
    reader = puna.load()
    with library(work, texts, reader) as shelves, path.open("a", encoding="utf-8") as file:
        for number, one in enumerate(every, 1):
            for count in (0, *counts):
                key = one.data, one.id, count
                if key not in known:
                    text = texts[one.document]
                    made = asked(shelves, one, text, count) if count else given(reader, one, text)
                    known[key] = {"data": one.data, "id": one.id, **made}
                    file.write(json.dumps(known[key]) + "\n")
                    file.flush()
                    print(f"\rasking: {number} of {len(every)} ", end="", file=sys.stderr, flush=True)
                yield known[key]


def page(found: Sequence[Record], command: str) -> str:
    """Write the table as Markdown."""
    lines = [
        "# Measured: answers from a library",
        "",
        f"Written by `{command}`; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}. All "
        "contexts of SQuAD, CMRC, DRCD, DuReader and COVID-QA are one library; the default model with its reader "
        "answers from the best passages by words. The questions are of articles that the reader has not learned from. "
        "Exact match and F1 in percent, of the best answer whether or not no answer is likelier; *passages* 0: asked of "
        "the right context alone. *found*: a passage of the right context with an answer is among those read; *first*: "
        "it is the first one as searched, and after the reader's re-ranking. What it takes is in "
        "[measured-library.md](measured-library.md).",
        "",
        "| set | passages | questions | EM | F1 | best of 5: EM | F1 | found | first, searched | first, read |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    key = lambda each: (each["data"], each["passages"])  # noqa: E731
    sets = list(dict.fromkeys(each["data"] for each in found))
    for (data, count), group in groupby(
        sorted(found, key=lambda each: (sets.index(each["data"]), *key(each))), key
    ):
        some = list(group)
        percent = [100 * fmean(each[name] for each in some) for name in ("em", "f1", "top_em", "top_f1")]
        shares = [100 * fmean(test(each) for each in some) for test in TESTS] if count else []
        cells = [f"{value:.1f}" for value in (*percent, *shares)] + ["–"] * (0 if count else len(TESTS))
        lines.append(f"| {data} | {count} | {len(some)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


TESTS = (
    lambda each: each["found"] > 0,
    lambda each: each["found"] == 1,
    lambda each: each["ranked"] == 1,
)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="the folder that train/prepare.py has written")
    parser.add_argument("work", type=Path, help="keeps what is done")
    parser.add_argument("--limit", type=int, default=100, help="questions of each set, drawn at random")
    parser.add_argument(
        "--passages", type=int, nargs="+", default=PASSAGES, help="how many to read, one after another"
    )
    parser.add_argument("--json", type=Path, help="write all records to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    found = list(records(arguments.rows, arguments.work, arguments.limit, arguments.passages))
    counts = " ".join(map(str, arguments.passages))
    command = f"python bench/open_domain.py ROWS WORK --limit {arguments.limit} --passages {counts}"
    text = page(found, command)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(found), "utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

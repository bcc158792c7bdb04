"""What size costs: seconds to find and to answer, and the index on disk, from a thousand passages to a million.

    pip install -c constraints.txt -e '.[plot]'
    python bench/library_sizes.py WORK --markdown docs/measured-library.md --plot docs/measured-library.png

One library grows; at each size it is asked. First come the contexts of the five data sets of `retrieval.py` in a random
order, then documents put together from passages of theirs drawn at random: the words are real, and so is how often they
stand. Needs the default model (`puna pull`) and PUNA_DATA; run it on a machine that does nothing else. WORK keeps the
library and each size's numbers; the same command goes on from there.
"""

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from retrieval_sets import FOLDED, drawn, read_sets

import puna
from puna.library.passages import passages
from puna.library.store import open_store
from puna.library.types import Document, Passage, Store

SIZES = (1_000, 10_000, 100_000, 1_000_000)
JOINED = 40  # passages of a document that is put together
SEARCHED, ASKED = 100, 10  # questions at each size, all sets alike
MEGA = 10**6
Row = dict[str, Any]


def documents(texts: Sequence[str]) -> Iterator[tuple[Document, list[Passage]]]:
    """Give documents without end, the same ones each time: the texts, then such as are put together."""
    draw = random.Random(0)
    pool: list[str] = []
    for number in draw.sample(range(len(texts)), len(texts)):
        document = Document(texts[number])
        found = passages(document)
        pool += [passage.text for passage in found]
        yield document, found
    while True:
        text, cut = "", []
        for piece in draw.choices(pool, k=JOINED):
            cut.append(Passage(len(text), len(text) + len(piece), piece))
            text += piece + "\n\n"
        yield Document(text), cut


def grow(store: Store, texts: Sequence[str], size: int) -> tuple[int, int, float]:
    """Put documents in until there are `size` passages; give how many there are of both, and seconds for 1,000 new."""
    held = {int(entry.path): entry.passages for entry in store.entries()}
    count, new, spent = 0, 0, 0.0
    for number, (document, cut) in enumerate(documents(texts)):
        if count >= size:
            return number, count, 1000 * spent / new if new else 0.0
        count += len(cut)
        if number in held:
            continue
        began = time.perf_counter()
        store.put(str(number), "", len(document.text), document, cut)
        spent += time.perf_counter() - began
        new += len(cut)
        if number % 200 == 0:
            print(f"\r{count:,} of {size:,} passages ", end="", file=sys.stderr, flush=True)
    raise AssertionError


def measure(
    where: Path, texts: Sequence[str], asked: Sequence[str], size: int, readers: tuple[puna.Reader, puna.Reader]
) -> Row:
    """Grow the library to a size, close it, and ask it. `readers`: one that keeps nothing, one that keeps on disk."""
    reader, keeping = readers
    store = open_store(where, create=True)
    count, held, writing = grow(store, texts, size)
    store.close()
    searches = []
    with puna.Library.open(where, reader=reader) as library:
        library.search(asked[0])
        for question in asked:
            began = time.perf_counter()
            library.search(question)
            searches.append(time.perf_counter() - began)
        some = asked[:: max(len(asked) // ASKED, 1)]
        answers = [library.ask(question).elapsed_ms / 1000 for question in some]
        library.reader = keeping
        for question in some:
            library.ask(question)
        kept = [library.ask(question).elapsed_ms / 1000 for question in some]
    bytes_of_it = sum(file.stat().st_size for file in where.iterdir())
    return {
        "size": size,
        "passages": held,
        "documents": count,
        "writing": writing,
        "search": median(searches),
        "slowest": max(searches),
        "answer": fmean(answers),
        "kept": fmean(kept),
        "bytes": bytes_of_it,
    }


def page(rows: Sequence[Row], command: str) -> str:
    """Write the table as Markdown."""
    lines = [
        "# Measured: the size of a library",
        "",
        f"Written by `{command}`; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}. A "
        "library in SQLite grows; the contexts of five public sets, then documents put together from their passages at "
        "random. "
        f"*Search*: finding 15 passages, of {SEARCHED} questions the median and the slowest. *Answer*: a whole question, "
        f"search and reading, nothing kept, the mean of {ASKED}; *kept*: the same where its passages were read before, "
        "with `--keep`. Sizes are of the library's folder, texts included.",
        "",
        "| passages | documents | index, MB | writing 1,000 passages, s | search, s | slowest | answer, s | kept, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['passages']:,} | {row['documents']:,} | {row['bytes'] / MEGA:,.0f} | {row['writing']:.2f} "
        f"| {row['search']:.3f} | {row['slowest']:.3f} | {row['answer']:.2f} | {row['kept']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw time and size against passages."""
    from matplotlib.figure import Figure

    sizes = [row["passages"] for row in rows]
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    times, bytes_ = figure.subplots(1, 2)
    for name, label in (
        ("answer", "whole question"),
        ("kept", "passages kept"),
        ("slowest", "slowest search"),
        ("search", "search, median"),
    ):
        times.plot(sizes, [row[name] for row in rows], marker="o", markersize=4, label=label)
    times.set(xscale="log", yscale="log", xlabel="passages", ylabel="seconds")
    times.legend(frameon=False)
    bytes_.plot(sizes, [row["bytes"] / MEGA for row in rows], marker="o", markersize=4)
    bytes_.set(xscale="log", yscale="log", xlabel="passages", ylabel="library on disk, MB")
    figure.suptitle("What the size of a library costs", fontsize=11)
    figure.savefig(path, dpi=144, format="png")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="keeps what is done")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="passages, rising")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--plot", type=Path, help="write the picture to this file")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    kept = given.work / "sizes.json"
    known = {row["size"]: row for row in json.loads(kept.read_text("utf-8"))} if kept.exists() else {}
    texts, every = read_sets()
    asked = [question.text for question in drawn(every, SEARCHED // 5) if question.data != FOLDED]
    readers = puna.load(memory=0), puna.load(memory=0, keep=given.work / "kept")
    for size in sorted(given.sizes):
        if size not in known:
            known[size] = measure(given.work / "library", texts, asked, size, readers)
            temporary = kept.with_suffix(".tmp")
            temporary.write_text(json.dumps(list(known.values())), "utf-8")
            temporary.replace(kept)
    rows = [known[size] for size in sorted(given.sizes)]
    text = page(rows, f"python bench/library_sizes.py WORK --sizes {' '.join(map(str, sorted(given.sizes)))}")
    print(text)
    if given.json:
        given.json.write_text(json.dumps(rows), "utf-8")
    if given.markdown:
        given.markdown.write_text(text, "utf-8")
    if given.plot:
        draw(rows, given.plot)


if __name__ == "__main__":
    main()

"""What fitting the reader to a text gives: bits per byte, and answers about it, with and without.

    python bench/fitting.py WORK --documents 12 --markdown docs/measured-fit.md

For each of so many COVID-QA documents: `puna fit` on the document, then its questions asked about the whole document,
by the reader as it is and by the fitted one; and once more fitted to the first half, to see what that says about the
unseen half. Needs PUNA_DATA and the default model (`puna pull`). WORK keeps what is done; run again, it goes on.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from puna.bench.machine import machine

Row = dict[str, Any]
BITS = ("before", "after", "unseen_before", "unseen_after")


def load(name: str) -> list[Row]:
    with gzip.open(Path(os.environ["PUNA_DATA"]) / "covid_qa" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def puna(*arguments: str | Path) -> Row:
    """Run a command and give the object that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "puna.cli.main", *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: Row = json.loads(done.stdout)
    return found


def kept(path: Path, make: Any) -> Row:
    """Give what a file holds, or make it and keep it."""
    if not path.exists():
        found = make()
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(found), "utf-8")
        temporary.replace(path)
    done: Row = json.loads(path.read_text("utf-8"))
    return done


def fitted(folder: Path, text: Path, adapter: str | None, *options: str) -> Row:
    """Fit, unless that is done, and time it."""
    began = time.perf_counter()
    init = ("--init", adapter) if adapter else ()
    found = puna("fit", text, "-o", folder, *init, *options)
    return {**found, "seconds": time.perf_counter() - began}


def document(work: Path, doc: Row, questions: list[Row], adapter: str | None) -> Row:
    """Do everything for one document."""
    work.mkdir(parents=True, exist_ok=True)
    text, rows = work / "text.txt", work / "rows.jsonl"
    text.write_text(doc["text"], "utf-8")
    with rows.open("w", encoding="utf-8") as file:
        for row in questions:
            file.write(json.dumps({**row, "context": doc["text"]}) + "\n")
    half = kept(work / "half.json", lambda: fitted(work / "half", text, adapter, "--hold-back", "0.5"))
    whole = kept(work / "whole.json", lambda: fitted(work / "whole", text, adapter))
    given = ("--adapter", adapter) if adapter else ()
    plain = kept(work / "plain-answers.json", lambda: puna("eval", "qa", rows, *given))
    after = kept(work / "answers.json", lambda: puna("eval", "qa", rows, "--adapter", work / "whole"))
    return {"bits": [half[name] for name in BITS], "seconds": whole["seconds"], "plain": plain, "fitted": after}


def table(found: list[Row]) -> str:
    """Give means over documents, and of answers over questions."""
    count = sum(row["plain"]["n"] for row in found)
    bits = [fmean(values) for values in zip(*(row["bits"] for row in found), strict=True)]
    lines = [
        f"{len(found)} documents, {count} questions; a fit took {fmean(row['seconds'] for row in found):.0f} s.",
        "",
        "| | reader | fitted |",
        "|---|---|---|",
        f"| bits per byte, learned half | {bits[0]:.3f} | {bits[1]:.3f} |",
        f"| bits per byte, unseen half | {bits[2]:.3f} | {bits[3]:.3f} |",
    ]
    for label, name in (("exact match", "em"), ("F1", "f1"), ("top-5 F1", "top5_f1")):
        values = [sum(row[who][name] * row[who]["n"] for row in found) / count for who in ("plain", "fitted")]
        lines.append(f"| {label}, percent | {values[0]:.1f} | {values[1]:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--documents", type=int, default=12)
    parser.add_argument("--adapter", help="the reader to fit, default: the one that comes with Puna")
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    asked: dict[str, list[Row]] = {}
    for row in load("qa"):
        asked.setdefault(row["doc_id"], []).append(row)
    docs = sorted((doc for doc in load("docs") if doc["doc_id"] in asked), key=lambda doc: doc["doc_id"])
    docs = random.Random(0).sample(docs, given.documents)
    found = []
    for number, doc in enumerate(docs, 1):
        found.append(document(given.work / str(doc["doc_id"]), doc, asked[doc["doc_id"]], given.adapter))
        print(f"{number} of {len(docs)}", file=sys.stderr)
        print(table(found), file=sys.stderr)
    print(table(found))
    if given.markdown:
        about = machine(torch.get_num_threads())
        head = (
            f"# Measured: the reader fitted to a text\n\nWritten by `python bench/fitting.py WORK --documents "
            f"{given.documents} --markdown docs/measured-fit.md`; {about['processor']}, {about['threads']} threads, "
            f"Python {about['python']}, torch {torch.__version__}. Random documents of COVID-QA, all their questions.\n\n"
        )
        given.markdown.write_text(head + table(found), "utf-8")


if __name__ == "__main__":
    main()

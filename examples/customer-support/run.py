"""Which of 77 intents a bank's customer has, and whether a question is for this bank at all.

    python examples/customer-support/run.py --limit 100

Needs the default model (`puna pull`) and PUNA_DATA, the folder with banking77/ and clinc150/. `--train FOLDER` trains an
adapter on BANKING77's training rows first, or takes the one that stands there.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import puna
from puna.evaluate.reliability import auroc
from puna.evaluate.rows import data_file, sample
from puna.evaluate.texts import LabelRow, labelled_rows
from puna.tasks.classify import Classified
from puna.weights.write import write_whole

TOP = 5  # intents that are shown
SHOWN = 4  # questions that are printed


def intents(name: str) -> list[LabelRow]:
    """Read rows, with the names of intents as words."""
    rows, _ = labelled_rows(data_file(name), ())
    return [LabelRow(row.text, row.label.replace("_", " ")) for row in rows]


def train(folder: Path, rows: list[LabelRow], labels: list[str], epochs: float) -> None:
    """Train an adapter unless it is there; what was stopped goes on."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    path, names = folder.with_name(folder.name + ".rows.jsonl"), folder.with_name(folder.name + ".labels.txt")
    write_whole(names, "".join(f"{label}\n" for label in labels).encode())
    write_whole(path, b"".join(json.dumps(asdict(row)).encode() + b"\n" for row in rows))
    command = [sys.executable, "-m", "puna.cli.main", "train", "classify", str(path), "-o", str(folder)]
    command += ["--labels", str(names), "--epochs", f"{epochs:g}"]
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    if code:
        sys.exit(code)


def show(text: str, right: str | None, found: Classified) -> None:
    """Print a question with its first intents."""
    print(f"\n{text}")
    for each in found.labels[:TOP]:
        mark = "  <- right" if each.label == right else ""
        print(f"  {100 * each.probability:5.1f} %  {each.label}{mark}")
    if right is None:
        print("  (out of scope: none of them is right)")


def measured(rows: list[LabelRow], found: list[Classified], others: list[Classified], seconds: float) -> list[str]:
    """Give what came of it, a line each."""
    places = [[each.label for each in one.labels].index(row.label) for row, one in zip(rows, found, strict=True)]
    sure = sorted(range(len(rows)), key=lambda n: -found[n].best.probability)[: max(1, len(rows) // 2)]
    highest = [one.best.probability for one in (*found, *others)]
    told = auroc([-value for value in highest], [0] * len(found) + [1] * len(others))

    def percent(values: list[bool]) -> str:
        share = fmean(values)
        return f"{100 * share:.1f} % ± {100 * math.sqrt(share * (1 - share) / len(values)):.1f}"

    return [
        f"the first intent is right: {percent([place == 0 for place in places])} of {len(rows)} questions",
        f"the right one is among the first {TOP}: {percent([place < TOP for place in places])}",
        f"the first is right among the surest half: {percent([places[n] == 0 for n in sure])}",
        f"out of scope told by the highest probability, AUROC: {told:.3f} ({len(others)} such questions; 0.5 is chance)",
        f"questions a second: {(len(rows) + len(others)) / seconds:.1f}",
    ]


def main() -> None:
    """Train if asked to, label, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=100, help="questions of each kind, drawn with a fixed seed")
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="train this adapter, or use it")
    parser.add_argument("--rows", type=int, default=3000, help="rows to learn from")
    parser.add_argument("--epochs", type=float, default=2.0, help="passes over them")
    parser.add_argument("--markdown", type=Path, help="write what was measured to this file")
    given = parser.parse_args()
    learn, test = intents("banking77/train"), intents("banking77/test")
    strange = [row for row in intents("clinc150/test") if row.label == "oos"]
    labels = sorted({row.label for row in learn})
    if given.train:
        train(given.train, sample(learn, given.rows), labels, given.epochs)
    reader = puna.load(adapter=given.train)
    classifier = puna.Classifier(reader, labels)
    rows, others = sample(test, given.limit), sample(strange, given.limit)
    began = time.perf_counter()
    found = list(classifier.each([row.text for row in rows]))
    beyond = list(classifier.each([row.text for row in others]))
    seconds = time.perf_counter() - began
    for row, one in list(zip(rows, found, strict=True))[:SHOWN]:
        show(row.text, row.label, one)
    show(others[0].text, None, beyond[0])
    lines = [f"- {line}" for line in measured(rows, found, beyond, seconds)]
    print("\nMeasured", *lines, sep="\n")
    if given.markdown:
        about = f"Written by `examples/customer-support/run.py --limit {given.limit}`; {reader.name}."
        write_whole(given.markdown, "\n".join(["# Measured", "", about, "", *lines, ""]).encode())


if __name__ == "__main__":
    try:
        main()
    except puna.PunaError as error:
        print("error: {}\nhint: {}".format(*error.describe()), file=sys.stderr)
        sys.exit(2)

"""How many questions a second `puna ask-many` answers: in one process, and with one and two workers of a Ray cluster.

    python bench/many.py --limit 200 --json build/many.json --markdown docs/measured-many.md
    python bench/many.py --from build/many.json --markdown docs/measured-many.md

Needs the default model (`puna pull`), the extra `scale` and PUNA_DATA; run it on a machine that does nothing else. Each
way is timed as a user meets it, as a command in a process of its own, once with all rows and once with the first alone:
the difference is what questions take, the rest is what starting takes. The ways take turns, `--rounds` times, and what
they write must be the same to the byte.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from puna.bench.machine import machine, physical_cores
from puna.evaluate.rows import QuestionRow, data_file, question_row, read_rows

WAYS = {
    "one process": [],
    "Ray, one worker": ["--engine", "ray", "--workers", "1"],
    "Ray, two workers": ["--engine", "ray", "--workers", "2"],
}
MILLION = 1_000_000
PRICE = 0.10  # of a machine for an hour, in any currency: what the page's column of costs is for


def drawn(limit: int, seed: int = 0) -> list[QuestionRow]:
    """Draw SQuAD's texts with all their questions until there are so many, and mix these."""
    by_text: dict[str, list[QuestionRow]] = {}
    for row in read_rows(data_file("squad11/dev_a"), question_row):
        by_text.setdefault(row.context, []).append(row)
    draw = random.Random(seed)
    texts = draw.sample(list(by_text), len(by_text))
    rows = [row for text in texts for row in by_text[text]][:limit]
    return draw.sample(rows, len(rows))


def seconds(rows: Path, output: Path, way: list[str]) -> float:
    """Wall time of one command. Raises CalledProcessError where it fails."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "puna.cli.main", "ask-many", str(rows), "-o", str(output), *way]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(limit: int, rounds: int) -> dict[str, Any]:
    """Time every way over the same rows."""
    rows = drawn(limit)
    times: dict[str, dict[str, list[float]]] = {way: {"all": [], "first": []} for way in WAYS}
    before = b""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, some in (("all", rows), ("first", rows[:1])):
            lines = (json.dumps({"id": row.id, "question": row.question, "context": row.context}) for row in some)
            (folder / f"{part}.jsonl").write_text("".join(line + "\n" for line in lines), "utf-8")
        for turn in range(rounds):
            for way, options in WAYS.items():
                for part in ("first", "all"):
                    taken = seconds(folder / f"{part}.jsonl", folder / f"{part}.out.jsonl", options)
                    times[way][part].append(taken)
                    print(f"round {turn + 1}, {way}, {part}: {taken:.1f} s", file=sys.stderr)
                found = (folder / "all.out.jsonl").read_bytes()
                if found != (before := before or found):
                    sys.exit(f"{way} gave other bytes")
    texts = len({row.context for row in rows})
    return {
        "machine": machine(physical_cores()),
        "rows": len(rows),
        "texts": texts,
        "rounds": rounds,
        "seconds": times,
    }


def rate(found: dict[str, Any], way: str) -> float:
    """Questions a second of a way: the median over the rounds of what lies between the first row and all."""
    times = found["seconds"][way]
    between = [every - first for first, every in zip(times["first"], times["all"], strict=True)]
    return (found["rows"] - 1) / median(between)


def page(found: dict[str, Any]) -> str:
    """The page of what was measured."""
    on = found["machine"]
    base = rate(found, "one process")
    lines = [
        "# Measured: many questions",
        "",
        f"Written by `python bench/many.py --limit {found['rows']} --rounds {found['rounds']}` on {on['processor']}, "
        f"{on['cores']} cores. {found['rows']} questions of "
        f"SQuAD 1.1 about {found['texts']} texts, mixed, the default model with its reader, medians of "
        f"{found['rounds']} round(s) in which the ways took turns; what they wrote is the same to the byte. A rate is "
        "the rows but the first, by the time that all rows take less that of the first alone, which is what starting "
        "takes. The workers share the cores: one has them all, two have half each.",
        "",
        "| | questions a second | to one process | starting, s | hours for a million | cost of a million |",
        "|---|---|---|---|---|---|",
    ]
    for way in found["seconds"]:
        each = rate(found, way)
        hours = MILLION / each / 3600
        lines.append(
            f"| {way} | {each:.2f} | {each / base:.2f} | {median(found['seconds'][way]['first']):.1f} "
            f"| {hours:,.0f} | {PRICE * hours:,.2f} |"
        )
    lines += [
        "",
        f"Cost is price × hours: here for a machine such as this at {PRICE:.2f} an hour, in any currency; at another "
        "price it is in proportion. [scale.md](scale.md) says how to plan with these numbers.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure or read, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=200, help="questions")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way")
    parser.add_argument("--json", type=Path, help="write the times to this file")
    parser.add_argument("--from", dest="measured", type=Path, help="measure nothing, read such a file")
    parser.add_argument("--markdown", type=Path, help="write the page to this file")
    arguments = parser.parse_args()
    if arguments.limit < 2:
        parser.error("--limit must be 2 or more")
    if arguments.measured:
        found = json.loads(arguments.measured.read_text("utf-8"))
    else:
        found = measure(arguments.limit, arguments.rounds)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    text = page(found)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

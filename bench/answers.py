"""How well Puna answers, with its reader and without: exact search against greedy text by the same model and prompt.

    python train/prepare.py build/rows
    python bench/answers.py build/rows --markdown docs/measured-answers.md

The rows are those that the reader's training held back. Needs the default model (`puna pull`) and, for the first command,
PUNA_DATA. Every row is kept in --output as it is done; the same command goes on from there.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import torch

import puna
from puna.answer.adapters import SHIPPED
from puna.answer.normalise import NORMALISATIONS
from puna.answer.reader import Reader
from puna.answer.spans import in_one_line
from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from puna.evaluate.metrics import exact_match_and_f1
from puna.evaluate.observation import Observation, Ranked
from puna.evaluate.qa import observe
from puna.evaluate.rows import QuestionRow, question_row, read_rows, sample
from puna.evaluate.summary import summarise

SETS = {
    "SQuAD 1.1": "squad11",
    "SQuAD 2.0": "squad20",
    "CMRC 2018": "cmrc",
    "DRCD": "drcd",
    "DuReader-robust": "dureader",
}
MODELS = {"reader": SHIPPED, "plain": None}  # what is measured: the adapter of each
ENGLISH = ("SQuAD 1.1", "SQuAD 2.0")
NORMALISED = ("SQuAD 1.1", "CMRC 2018")  # on these, all ways to compare answers of different length are measured


def greedy(reader: Reader, row: QuestionRow) -> dict[str, object]:
    """Let the model write its answer behind the prompt that the search has, up to the line's end."""
    began = time.perf_counter()
    prompts, _ = reader._prompts(row.question)
    tokens = prompts.about(row.context).tokens
    settings = Sampling()
    written = generate(
        reader.model, reader.tokenizer, tokens, settings, max_tokens=64, stop=["\n"], on_text=None, new_text=False
    )
    text = written.text.strip()
    refused = text == prompts.wording.refusal
    em, f1 = exact_match_and_f1(row.question, "" if refused else text, row.answers)
    return {
        "text": text,
        "refused": refused,
        "span": bool(text) and in_one_line(text) in in_one_line(row.context),
        "em": em,
        "f1": f1,
        "seconds": time.perf_counter() - began,
    }


def measure(reader: Reader, row: QuestionRow, refusing: bool, normalise: bool) -> dict[str, object]:
    """Everything about one row."""
    record: dict[str, object] = {"search": asdict(observe(reader, row, refusing))}
    if normalise:
        record["normalised"] = {
            how: [exact_match_and_f1(row.question, answer.text, row.answers) for answer in answers]
            for how in NORMALISATIONS
            if (answers := reader.ask(row.question, row.context, normalise=how, calibration=None).answers)
        }
    record["greedy"] = greedy(reader, row)
    return record


def records(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Measure the rows that are not in the output file yet; give all."""
    known = {}
    if arguments.output.exists():
        lines = [json.loads(line) for line in arguments.output.read_text("utf-8").splitlines()]
        known = {(line["model"], line["set"], line["id"]): line for line in lines}
    for model, adapter in MODELS.items():
        reader = puna.load(adapter=adapter)
        for name, place in SETS.items():
            every = read_rows(arguments.rows / f"valid-{place}.jsonl", question_row)
            refusing = any(row.unanswerable for row in every)
            limit = arguments.limit if name in ENGLISH else arguments.chinese
            for number, row in enumerate(sample(every, limit), 1):
                normalise = model == "reader" and name in NORMALISED and number <= arguments.normalised
                key = model, name, row.id
                if key not in known or (normalise and "normalised" not in known[key]):
                    known[key] = {
                        **dict(zip(("model", "set", "id"), key, strict=True)),
                        **measure(reader, row, refusing, normalise),
                    }
                    with arguments.output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(known[key], ensure_ascii=False) + "\n")
                    print(f"\r{model}, {name}: {number} of {limit} ", end="", file=sys.stderr, flush=True)
                yield known[key]


def observation(record: dict) -> Observation:
    """Read a record's search back."""
    fields = dict(record["search"])
    fields["answers"] = tuple(Ranked(**answer) for answer in fields["answers"])
    return Observation(**{**fields, "gold": tuple(fields["gold"])})


def page(found: list[dict], limits: argparse.Namespace) -> str:
    """Write the tables as Markdown."""
    by_set = {(m, name): [r for r in found if (r["model"], r["set"]) == (m, name)] for m in MODELS for name in SETS}
    lines = [
        "# Measured: answers",
        "",
        f"Written by `python bench/answers.py ROWS --limit {limits.limit} --chinese {limits.chinese} --normalised "
        f"{limits.normalised} --markdown docs/measured-answers.md` (ROWS: written by `python train/prepare.py ROWS`); "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}. "
        "The model is the default one, SmolLM2-135M-Instruct (Q4_1): *with* the reader that comes with Puna, and "
        f"*without* (`--adapter none`). {limits.limit} random rows of the English sets, {limits.chinese} of the "
        "Chinese, or all (seed 0), of articles that the reader has not learned from; they served to choose it. Exact "
        "match and F1 in percent, by the official scripts' rules (SQuAD's; CMRC 2018's for the Chinese sets), by exact "
        "search, without calibration.",
        "",
        "## With the reader and without",
        "",
        "*Greedy* is what the same model writes behind the same prompt, up to the end of the line; *spans*: the share of "
        "that which stands in the text word for word. *Proven*: searches that ended with the certificate. Nodes, passes "
        "and seconds are those of the search, a question's mean.",
        "",
        "| set | reader | EM | F1 | best of 5: EM | F1 | greedy: EM | F1 | spans | proven | nodes | passes | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in SETS:
        for model, word in (("plain", "without"), ("reader", "with")):
            rows = by_set[model, name]
            s = summarise([observation(row) for row in rows], name == "SQuAD 2.0")
            written = [row["greedy"] for row in rows]
            em, f1, spans = (100 * fmean(float(w[key]) for w in written) for key in ("em", "f1", "span"))
            lines.append(
                f"| {name} | {word} | {s.em:.1f} | {s.f1:.1f} | {s.top5_em:.1f} | {s.top5_f1:.1f} | {em:.1f} | {f1:.1f} "
                f"| {spans:.0f} % | {100 * s.exact_share:.0f} % | {s.nodes_per_question:.0f} "
                f"| {s.passes_per_question:.1f} | {s.seconds_per_question:.2f} |"
            )
    s, plain = (summarise([observation(row) for row in by_set[m, "SQuAD 2.0"]], True) for m in ("reader", "plain"))
    lines += [
        "",
        f"SQuAD 2.0 holds questions without an answer. Of those that have one, the reader got EM {s.has_answer_em:.1f}, "
        f"F1 {s.has_answer_f1:.1f}; {s.no_answer_accuracy:.1f} % of the others were seen as such. P(not in the text) "
        f"tells them apart with an AUROC of {s.no_answer_auroc:.3f}, the plain model's with {plain.no_answer_auroc:.3f} "
        "(0.5 is chance).",
        "",
        "## Ways to compare answers of different length",
        "",
        f"`--normalise` re-ranks the 32 most probable spans (see [how it works](how-it-works.md)); `sum` is the default. "
        f"With the reader, the first {limits.normalised} of the rows of each set, or all.",
        "",
        "| set | " + " | ".join(f"{how}: EM | F1 | best of 5: F1" for how in NORMALISATIONS) + " |",
        "|---" * (1 + 3 * len(NORMALISATIONS)) + "|",
    ]
    compared = {name: by_set["reader", name][: limits.normalised] for name in NORMALISED}
    compared["both"] = [row for rows in compared.values() for row in rows]
    for name, rows in compared.items():
        cells = []
        for how in NORMALISATIONS:
            ranked = [row["normalised"][how] for row in rows]
            cells += [100 * fmean(r[0][0] for r in ranked), 100 * fmean(r[0][1] for r in ranked)]
            cells.append(100 * fmean(max(f1 for _, f1 in r) for r in ranked))
        lines.append(f"| {name} ({len(rows)} rows) | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="the folder that train/prepare.py has written")
    parser.add_argument("--limit", type=int, default=100, help="rows of each English set")
    parser.add_argument(
        "--chinese", type=int, default=30, help="rows of each Chinese set; they take four times as long"
    )
    parser.add_argument("--normalised", type=int, default=30, help="rows on which all normalisations are measured")
    parser.add_argument(
        "--output", type=Path, default=Path("build/answers.jsonl"), help="records, kept as they come"
    )
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    text = page(list(records(arguments)), arguments)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

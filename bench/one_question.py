"""How long one question takes: about 20 tokens asked over a text of about 300, all spans, proven.

    python bench/one_question.py --markdown docs/measured-latency.md

Needs the default model (`puna pull`) and PUNA_DATA; run it on a machine that does nothing else. Beside it, in one run:
the same spans scored one and all (which is how exactness is had without a search), and greedy text by the same model.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

import puna
from puna.answer.prompt import Prompts, wording_for
from puna.answer.reader import Reader
from puna.answer.spans import in_one_line, spans
from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from puna.evaluate.rows import QuestionRow, question_row, read_rows, sample
from puna.rank.score import score
from puna.rank.shelf import Shelf

SLOW = 5  # questions on which every span is scored


def fitting(reader: Reader, count: int) -> list[QuestionRow]:
    """Draw questions of 15 to 25 tokens over SQuAD texts of 270 to 330."""
    rows = read_rows(Path(os.environ["PUNA_DATA"]) / "squad11/dev_a.jsonl.gz", question_row)
    length = reader.tokenizer.encode
    fit = [r for r in rows if 270 <= len(length(r.context)) <= 330 and 15 <= len(length(r.question)) <= 25]
    return sample(fit, count)


def exhaustive(reader: Reader, row: QuestionRow) -> None:
    """Score every span of the text."""
    prompts = Prompts(reader.tokenizer, wording_for(row.question), row.question)
    prompt = prompts.about(row.context)
    texts = dict.fromkeys(in_one_line(row.context[start:end]) for start, end in spans(row.context))
    score(Shelf(reader.model).read(prompt.tokens, prompt.cuts), prompts.answers(texts), end=prompts.end)


def greedy(reader: Reader, row: QuestionRow) -> None:
    """Write an answer behind the same prompt."""
    tokens = Prompts(reader.tokenizer, wording_for(row.question), row.question).about(row.context).tokens
    generate(reader.model, reader.tokenizer, tokens, Sampling(), max_tokens=64, stop=["\n"], new_text=False)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=30, help="questions")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    reader = puna.load(adapter=None)
    rows = fitting(reader, arguments.limit)
    reader.ask(rows[0].question, rows[0].context)
    cold, warm, again, passes, nodes, all_spans, written = [], [], [], [], [], [], []
    for number, row in enumerate(rows):
        fresh = Reader(reader.model, reader.tokenizer, reader.name)
        cold.append(seconds(lambda: passes.append(fresh.ask(row.question, row.context).certificate)))  # noqa: B023
        fresh = Reader(reader.model, reader.tokenizer, reader.name)  # the other one has kept the text
        fresh.ask("What is it?", "It is another text.")
        warm.append(seconds(lambda: fresh.ask(row.question, row.context)))  # noqa: B023
        again.append(seconds(lambda: fresh.ask("What is this about?", row.context)))  # noqa: B023
        written.append(seconds(lambda: greedy(reader, row)))  # noqa: B023
        if number < SLOW:
            all_spans.append(seconds(lambda: exhaustive(reader, row)))  # noqa: B023
    nodes = [certificate.nodes for certificate in passes]
    proven = sum(certificate.exact for certificate in passes)
    steps = [certificate.passes for certificate in passes]
    lines = [
        "# Measured: one question",
        "",
        f"Written by `python bench/one_question.py --limit {arguments.limit} --markdown docs/measured-latency.md`; "
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}. {len(rows)} questions of SQuAD 1.1 of "
        "15 to 25 tokens over texts of 270 to 330, the default model, loaded; five best answers, all spans searched. "
        f"{proven} of {len(rows)} searches ended with the proof, after {sum(steps) / len(steps):.1f} passes and "
        f"{sum(nodes) / len(nodes):.0f} nodes on average.",
        "",
        "| | median, s | slowest, s | to search |",
        "|---|---|---|---|",
    ]
    base = median(cold)
    for name, times in (
        ("search, nothing read before", cold),
        ("search, the worked examples read before", warm),
        ("search, a further question about the same text", again),
        ("greedy text by the same model (one answer, no probability, no proof)", written),
        (f"every span scored ({len(all_spans)} questions)", all_spans),
    ):
        lines.append(f"| {name} | {median(times):.2f} | {max(times):.2f} | {median(times) / base:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

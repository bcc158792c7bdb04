"""What speed costs in accuracy: the default engine beside fp32 by torch's own products, on the same file.

    python bench/accuracy.py --markdown docs/measured-accuracy.md

Needs the default model (`puna pull`) and PUNA_DATA; the machine may be busy. Perplexity (read at once, and written token
by token), HellaSwag, and the rankings of candidates and of all spans. Every record is kept in --output as it is done; the
same command goes on from there, and kernels of other sources begin anew.
"""

import argparse
import gzip
import json
import math
import os
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from puna.answer.reader import Reader
from puna.answer.spans import in_one_line, spans
from puna.bench.machine import machine
from puna.evaluate.choice import best, choose
from puna.evaluate.choice_rows import choice_row
from puna.evaluate.rows import QuestionRow, question_row, read_rows, sample
from puna.llama.load import load
from puna.llama.model import CHUNK, Llama
from puna.native.build import digest
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from puna.weights.store import resolve

TIE = 0.05  # nats between two answers that are as good as equal
WINDOW = 1024  # tokens that are read from nothing
LETTERS = 400_000  # of a text, from which windows are drawn
CANDIDATES = 10
TOP = 10  # answers of a search that are compared
TEXTS = {"WikiText-2": "wikitext2_test", "红楼梦": "hongloumeng_zh"}
_NAME = re.compile(r"[A-Z][\w-]*(?: (?:of |the |de )?[A-Z][\w-]*)*|\d+(?:[.,]\d+)*")
Record = dict[str, Any]
Engines = Mapping[str, Reader]  # "default" and "fp32"


def losses(model: Llama, tokens: Sequence[int], step: int) -> torch.Tensor:
    """Give -log P of each token but the first; `step`: tokens in one forward, 1 to go as writing does."""
    cache = model.new_cache(len(tokens), span=model.config.context)
    ids, found = torch.tensor(tokens), []
    with torch.inference_mode():
        for start in range(0, len(tokens) - 1, step):
            stop = min(start + step, len(tokens) - 1)
            hidden = model(ids[start:stop], torch.arange(start, stop), cache, None)
            wanted = ids[start + 1 : stop + 1]
            if step == 1:
                found.append(model.logits(hidden).log_softmax(-1)[0, wanted])
            else:
                found.append(model.log_probs(hidden, torch.arange(stop - start), wanted))
    return -torch.cat(found)


def perplexity(engines: Engines, text: str, count: int, step: int, known: set[str]) -> Iterator[Record]:
    """Compare on windows drawn from a text; fp32 always reads at once, which changes its sums by 1e-5 nats."""
    with gzip.open(Path(os.environ["PUNA_DATA"]) / f"text_lm/{TEXTS[text]}.txt.gz", "rt", encoding="utf-8") as file:
        ids = engines["fp32"].tokenizer.encode(file.read(LETTERS))
    every = [(str(start), ids[start : start + WINDOW]) for start in range(0, len(ids) - WINDOW, WINDOW)]
    for name, window in sample(every, count):
        if name not in known:
            ours = losses(engines["default"].model, window, step)
            theirs = losses(engines["fp32"].model, window, CHUNK)
            moved = (ours - theirs).abs()
            sums = {"default": float(ours.sum()), "fp32": float(theirs.sum()), "moved": float(moved.sum())}
            yield {"id": name, "tokens": len(ours), **sums, "largest": float(moved.max())}


def hellaswag(engines: Engines, count: int, known: set[str]) -> Iterator[Record]:
    """Score rows as `puna eval choice` does."""
    path = Path(os.environ["PUNA_DATA"]) / "hellaswag/val_a.jsonl.gz"
    rows = [row for row in sample(read_rows(path, choice_row), count) if row.id not in known]
    pairs = zip(*(choose(engines[name], rows, priors=False) for name in ("default", "fp32")), strict=True)
    for ours, theirs in pairs:
        sizes = [len(text.encode()) for text in ours.row.candidates]
        scores = {"default": ours.log_probabilities, "fp32": theirs.log_probabilities}
        yield {"id": ours.row.id, "right": ours.row.answer_index, "bytes": sizes, **scores}


def candidates_of(context: str, answers: Sequence[str], seed: str, count: int = CANDIDATES) -> list[str]:
    """Give a right answer, then names and numbers of the text, then spans of it, in random order; none twice."""
    draw = random.Random(seed)
    names = sorted({match[0] for match in _NAME.finditer(context)})
    every = sorted({in_one_line(context[start:end]) for start, end in spans(context, max_words=5)})
    draw.shuffle(names)
    draw.shuffle(every)
    found = list(dict.fromkeys([in_one_line(answers[0]), *names[: count - 1], *every]))[:count]
    draw.shuffle(found)
    return found


def questions(count: int, seed: int) -> list[QuestionRow]:
    """Draw questions that have answers."""
    path = Path(os.environ["PUNA_DATA"]) / "squad20/dev_a.jsonl.gz"
    return sample([row for row in read_rows(path, question_row) if row.answers], count, seed)


def rankings(engines: Engines, count: int, known: set[str]) -> Iterator[Record]:
    """Rank candidates by both."""
    for row in questions(count, 0):
        if row.id not in known:
            given = candidates_of(row.context, row.answers, row.id)
            ours, theirs = (
                engines[name].ask(row.question, row.context, given, top=len(given)).answers
                for name in ("default", "fp32")
            )
            scores = {answer.text: answer.log_probability for answer in theirs}
            yield {"id": row.id, "default": [answer.text for answer in ours], "fp32": [*scores], "scores": scores}


def searches(engines: Engines, count: int, known: set[str]) -> Iterator[Record]:
    """Search all spans by both; fp32 says what the answers of either are worth."""
    for row in questions(count, 1):
        if row.id not in known:
            found = {
                name: engines[name].ask(row.question, row.context, exact=True, group=False, top=TOP)
                for name in ("default", "fp32")
            }
            orders = {name: [answer.text for answer in answers] for name, answers in found.items()}
            every = list(dict.fromkeys([*orders["default"], *orders["fp32"]]))
            judged = engines["fp32"].ask(row.question, row.context, every, top=len(every))
            scores = {answer.text: answer.log_probability for answer in judged}
            proven = all(answers.certificate and answers.certificate.exact for answers in found.values())
            yield {"id": row.id, **orders, "scores": scores, "proven": proven}


def swaps(order: Sequence[str], reference: Sequence[str], scores: Mapping[str, float]) -> list[float]:
    """Give the reference's gaps (nats) between any two texts that the orders put the other way round.

    What an order does not hold stands behind all that it holds.
    """
    ours, theirs = ({text: place for place, text in enumerate(each)} for each in (order, reference))
    gaps = []
    for a, b in combinations(scores, 2):
        here = ours.get(a, len(order)) - ours.get(b, len(order))
        there = theirs.get(a, len(reference)) - theirs.get(b, len(reference))
        if here * there < 0:
            gaps.append(abs(scores[a] - scores[b]))
    return gaps


def change(records: Sequence[Record]) -> tuple[float, float]:
    """Give by what share the default engine's perplexity is above fp32's, and the standard error of that."""
    tokens = sum(record["tokens"] for record in records)
    total = sum(record["default"] - record["fp32"] for record in records) / tokens
    means = [(record["default"] - record["fp32"]) / record["tokens"] for record in records]
    error = stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return math.expm1(total), math.exp(total) * error


def decided(record: Record, name: str, *, by_byte: bool = False) -> int:
    """Give the candidate that an engine chooses."""
    scores = record[name]
    return best([value / size for value, size in zip(scores, record["bytes"], strict=True)] if by_byte else scores)


def accuracy(records: Sequence[Record], name: str, *, by_byte: bool = False) -> float:
    """Give the share of rows that an engine decides rightly."""
    return fmean(decided(record, name, by_byte=by_byte) == record["right"] for record in records)


def met(aim: bool) -> str:
    """Say whether an aim is reached."""
    return "yes" if aim else "**no**"


def perplexity_rows(name: str, records: Sequence[Record]) -> str:
    """Write a row of the table of perplexities."""
    tokens = sum(record["tokens"] for record in records)
    ours, theirs = (math.exp(sum(r[name] for r in records) / tokens) for name in ("default", "fp32"))
    above, error = change(records)
    moved, largest = sum(r["moved"] for r in records) / tokens, max(r["largest"] for r in records)
    cells = [name, f"{tokens:,}", f"{theirs:.3f}", f"{ours:.3f}", f"{100 * above:+.2f} % ± {100 * error:.2f}"]
    return "| " + " | ".join([*cells, f"{moved:.3f}", f"{largest:.2f}", met(abs(above) <= 0.005)]) + " |"


def ranking_row(name: str, records: Sequence[Record]) -> str:
    """Write a row of the table of rankings."""
    gaps = [swaps(record["default"], record["fp32"], record["scores"]) for record in records]
    every = [gap for each in gaps for gap in each]
    first = sum(record["default"][0] != record["fp32"][0] for record in records)
    untied = [gap for gap in every if gap >= TIE]
    cells = [name, len(records), sum(not each for each in gaps), sum(max(each, default=0) < TIE for each in gaps)]
    cells += [first, len(every), len(untied), f"{max(every, default=0):.3f}", met(not untied)]
    return "| " + " | ".join(map(str, cells)) + " |"


def page(records: Mapping[str, Sequence[Record]], command: str, engine: str) -> str:
    """Write the results as Markdown."""
    about = machine(torch.get_num_threads())
    lines = [
        "# Measured: what speed costs in accuracy",
        "",
        f"Written by `{command}`; {about['processor']}, {about['threads']} threads, Python {about['python']}, torch "
        f"{torch.__version__}. The default model. *Default*: {engine}. *fp32*: the same file unpacked to fp32, torch's "
        "own products. All draws are random with a fixed seed.",
        "",
        "## Perplexity",
        "",
        f"Aim: within 0.5 % of fp32. Windows of {WINDOW:,} tokens, each read from nothing, its first token not scored; "
        "*read*: in forwards of 512 tokens, as texts are; *written*: token by token, as text is written, by the kernels "
        "of single rows. ±: standard error over windows. *Moved*: how far a token's log-probability is from fp32's "
        "(nats). WikiText-2's test part as it is distributed (tokenised words, `<unk>`); 《红楼梦》 (the model knows "
        "hardly any Chinese).",
        "",
        "| text | tokens | fp32 | default | difference | moved: mean | largest | aim met |",
        "|---|---|---|---|---|---|---|---|",
        *(perplexity_rows(name, each) for name, each in records.items() if "tokens" in each[0]),
        "",
        "## HellaSwag",
        "",
    ]
    rows = records["HellaSwag"]
    lines += [
        f"Aim: accuracy within 0.5 points of fp32. {len(rows):,} rows of the validation set, as `puna eval choice` "
        "scores them. *Other choice*: rows where another candidate has the highest score; *no tie*: those of them "
        f"between whose candidates fp32 sees {TIE} nats or more (for scores per byte no such line is drawn); *gap*: the "
        "largest, in nats (per byte).",
        "",
        "| score | fp32 | default | difference, points | other choice | no tie | gap | aim met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, by_byte in (("log-probability", False), ("log-probability per byte", True)):
        theirs, ours = (100 * accuracy(rows, each, by_byte=by_byte) for each in ("fp32", "default"))
        gaps = []
        for row in rows:
            chosen, wanted = (decided(row, each, by_byte=by_byte) for each in ("default", "fp32"))
            if chosen != wanted:
                sizes = row["bytes"] if by_byte else [1] * len(row["bytes"])
                gaps.append(row["fp32"][wanted] / sizes[wanted] - row["fp32"][chosen] / sizes[chosen])
        untied = "–" if by_byte else sum(gap >= TIE for gap in gaps)
        cells = [name, f"{theirs:.1f} %", f"{ours:.1f} %", f"{ours - theirs:+.2f}", len(gaps), untied]
        cells += [f"{max(gaps, default=0):.2g}", met(abs(ours - theirs) <= 0.5)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    proven = sum(record["proven"] for record in records["all spans"])
    lines += [
        "",
        "## Rankings",
        "",
        f"Aim: equal but for ties (fp32 sees less than {TIE} nats between the two). Answerable questions of SQuAD 2.0. "
        f"*Candidates*: the right answer and names, numbers and spans of the text, {CANDIDATES} in all, the whole order. "
        f"*All spans*: the {TOP} best of an exact search, overlapping ones apart; {proven} of "
        f"{len(records['all spans'])} proven by both. An answer that only one list holds stands behind the other's. "
        "*Swaps*: pairs of answers in the other order.",
        "",
        "| ranking | questions | equal | but for ties | other first | swaps | no tie | largest gap, nats | aim met |",
        "|---|---|---|---|---|---|---|---|---|",
        *(ranking_row(name, records[name]) for name in ("candidates", "all spans")),
        "",
    ]
    return "\n".join(lines)


def collect(engines: Engines, counts: Mapping[str, int], output: Path) -> dict[str, list[Record]]:
    """Measure what the output file does not hold yet; give all."""
    source = digest()
    parts = {
        "HellaSwag": lambda count, known: hellaswag(engines, count, known),
        "candidates": lambda count, known: rankings(engines, count, known),
        "all spans": lambda count, known: searches(engines, count, known),
    }
    for text in TEXTS:
        for how, step in (("read", CHUNK), ("written", 1)):
            parts[f"{text}, {how}"] = lambda count, known, text=text, step=step: perplexity(
                engines, text, count, step, known
            )
    lines = output.read_text("utf-8").splitlines() if output.exists() else []
    kept = [record for line in lines if (record := json.loads(line))["source"] == source]
    found = {}
    for part, count in counts.items():
        found[part] = [record for record in kept if record["part"] == part][:count]
        for record in parts[part](count, {record["id"] for record in found[part]}):
            found[part].append({"part": part, "source": source, **record})
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found[part][-1], ensure_ascii=False) + "\n")
            print(f"\r{part}: {len(found[part])} of {count} ", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="another model than the default one")
    parser.add_argument("--limit", type=int, help="at most so many of each: to try it out")
    parser.add_argument("--searches", type=int, default=100, help="questions of which all spans are searched")
    parser.add_argument("--output", type=Path, default=Path("build/accuracy.jsonl"), help="records, as they come")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    path = resolve(arguments.model)
    checkpoint = open_checkpoint(path)
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata or {})
    engines = {
        "default": Reader(load(checkpoint), tokenizer, path.stem),
        "fp32": Reader(load(checkpoint, dtype=torch.float32, kernels=False), tokenizer, path.stem),
    }
    model = engines["default"].model
    products = "products in bf16" if model.dtype == torch.bfloat16 else "products in fp32"
    engine = f"{products}, {'the kernels of `puna.native`' if model.packed else 'by torch'}"
    counts = {"WikiText-2, read": 40, "WikiText-2, written": 4, "红楼梦, read": 15, "红楼梦, written": 2}
    counts |= {"HellaSwag": 1000, "candidates": 200, "all spans": arguments.searches}
    if arguments.limit:
        counts = {part: min(count, arguments.limit) for part, count in counts.items()}
    limited = f"--limit {arguments.limit} " if arguments.limit else ""
    command = (
        f"python bench/accuracy.py {limited}--searches {arguments.searches} --markdown docs/measured-accuracy.md"
    )
    text = page(collect(engines, counts, arguments.output), command, engine)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

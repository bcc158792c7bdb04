"""What length costs: reading up to the model's whole context, and documents that are read window by window.

    pip install -c constraints.txt -e '.[plot]'
    python bench/lengths.py --markdown docs/measured-lengths.md --plot docs/measured-lengths.png

Needs the default model (`puna pull`), PUNA_DATA and Linux, which tells a process's memory; run it on a machine that does
nothing else. Every length is measured in a process of its own.
"""

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import puna
from puna.answer.reader import Reader
from puna.answer.windows import WINDOW
from puna.bench.machine import machine
from puna.llama.model import CHUNK, Llama
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from puna.weights.store import resolve

LENGTHS = (256, 512, 1024, 2048, 3072, 4096, 6144, 8160)  # and WRITTEN more: the context is 8,192
DOCUMENTS = (1_000, 10_000, 30_000, 100_000)
WRITTEN = 32
BOOK = "text_lm/war_and_peace_en.txt.gz"
QUESTION = "Who is Natasha in love with?"
CANDIDATES = ("Prince Andrew", "Pierre", "Anatole Kuragin", "Boris", "Denisov")
JOBS = {"spans": None, "candidates": CANDIDATES}
MEGA = 10**6
Row = dict[str, Any]


def memory(field: str) -> int:
    """Give VmRSS (now) or VmHWM (the most there was) of this process in bytes."""
    found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return 1024 * int(found[1]) if found else 0


def forget_peak() -> int:
    """Let VmHWM begin anew from the memory in use now, which is given: loading has a peak of its own."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return memory("VmRSS")


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def book(tokenizer: Tokenizer, tokens: int) -> tuple[str, list[int]]:
    """Give the beginning of the book, so many tokens long, and the tokens."""
    with gzip.open(Path(os.environ["PUNA_DATA"]) / BOOK, "rt", encoding="utf-8") as file:
        text = file.read(8 * tokens)
    ids, offsets = tokenizer.encode_with_offsets(text)
    return text[: offsets[tokens][0]], ids[:tokens]


def write(model: Llama, hidden: torch.Tensor, cache: Any) -> None:
    """Write the most probable tokens."""
    for _ in range(WRITTEN):
        token = model.logits(hidden).argmax(-1)
        hidden = model(token, torch.tensor([cache.length]), cache, None)


@torch.inference_mode()
def reading(reader: Reader, ids: Sequence[int], repeats: int) -> Row:
    """Read tokens at once, then write."""
    model, length = reader.model, len(ids)
    model.read(ids[:CHUNK], model.new_cache(CHUNK))  # the kernels' own memory belongs to every length
    before = forget_peak()
    read, wrote, above = [], [], 0
    for number in range(repeats):
        cache = model.new_cache(length + WRITTEN, span=model.config.context)
        began = time.perf_counter()
        hidden = model.read(ids, cache)
        read.append(time.perf_counter() - began)
        if not number:
            above = memory("VmHWM") - before
        wrote.append(seconds(lambda: write(model, hidden, cache)))  # noqa: B023
    keys, values = cache.stores
    held = keys.nbytes + values.nbytes
    return {"read": min(read), "write": min(wrote), "above": above, "cache": held}


def asking(reader: Reader, text: str, candidates: Sequence[str] | None) -> Row:
    """Ask about a document."""
    reader.ask(QUESTION, "Natasha is in love with Boris.", candidates)
    before = forget_peak()
    began = time.perf_counter()
    found = reader.ask(QUESTION, text, candidates)
    row = {"seconds": time.perf_counter() - began, "windows": found.coverage.windows}
    whole = found.coverage.read == found.coverage.characters
    return {**row, "above": memory("VmHWM") - before, "whole": whole, "best": found.answers[0].text}


def child(model: str | None, job: Row) -> Row:
    """Do a job in a process of its own, which never held more than the job's text before it measures."""
    command = [sys.executable, __file__, "--child", *(["--model", model] if model else [])]
    done = subprocess.run(command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def work(model: str | None, job: Row) -> Row:
    """Do what a child is for."""
    reader = puna.load(model, memory=0)  # as `puna ask` does for one question: what is read is not kept for another
    if "tokens" in job:
        return reading(reader, job["tokens"], job["repeats"])
    return asking(reader, job["text"], job["candidates"])


def fit(lengths: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """Give a and b of time = a·n + b·n² with the least squares of relative errors, so that every length counts alike."""
    rows = [(n / t, n * n / t) for n, t in zip(lengths, times, strict=True)]
    xx, xy, yy = (sum(p[i] * p[j] for p in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    x, y = (sum(p[i] for p in rows) for i in (0, 1))
    spread = xx * yy - xy * xy
    return (x * yy - y * xy) / spread, (y * xx - x * xy) / spread


def page(found: Row, command: str, picture: str) -> str:
    """Write the results as Markdown."""
    about, rows = found["machine"], found["read"]
    a, b = fit([row["length"] for row in rows], [row["read"] for row in rows])
    off = max(abs(a * r["length"] + b * r["length"] ** 2 - r["read"]) / r["read"] for r in rows)
    last = rows[-1]
    rest = [row["above"] - row["cache"] for row in rows]
    lines = [
        "# Measured: what length costs",
        "",
        f"Written by `{command}`; {about['processor']}, {about['threads']} threads, Python {about['python']}, torch "
        f"{torch.__version__}, load average {about['load_average']} when it began. The default model; the text is the "
        "beginning of *War and Peace*. Each row comes from a process of its own. *Memory*: the most the process had "
        "(VmHWM) above what it had when the model was loaded and had read once; MB of 10⁶ bytes.",
        "",
        f"![time and memory against length]({picture})" if picture else "",
        "",
        "## One reading",
        "",
        f"Reading so many tokens at once, then writing {WRITTEN}: the shortest of {found['repeats']} times. The model's "
        "context is 8,192. Least squares of relative errors give time = "
        f"{1e6 * a:.1f} µs·n + {1e9 * b:.2f} ns·n², at most {100 * off:.0f} % off: matrix products and the rest are "
        f"linear, attention is quadratic; it takes as long as the rest at {a / b:,.0f} tokens. *Memory*: the cache takes "
        f"{last['cache'] / last['length'] / 1000:.1f} KB a token for keys and values; what is beside it stays within "
        f"{max(rest) / MEGA:.0f} MB.",
        "",
        "| tokens | reading, s | tokens/s | linear part, s | quadratic part, s | writing, tokens/s | memory, MB "
        "| of that cache |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        n = row["length"]
        cells = [f"{n:,}", f"{row['read']:.3f}", f"{n / row['read']:,.0f}", f"{a * n:.3f}", f"{b * n * n:.3f}"]
        cells += [f"{WRITTEN / row['write']:.0f}", f"{row['above'] / MEGA:.1f}", f"{row['cache'] / MEGA:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Documents",
        "",
        f'`Reader.ask("{QUESTION}", text)` on documents of so many tokens, read in windows of at most {WINDOW:,} that '
        f"overlap: over all spans, and over {len(CANDIDATES)} candidates; with `puna.load(memory=0)`, for kept windows "
        "would add up to its bound. Measured once.",
        "",
        "| tokens | | windows | s | s for 1,000 tokens | memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for how in JOBS:
        for row in found[how]:
            n, each = row["length"], 1000 * row["seconds"] / row["length"]
            name = "all spans" if how == "spans" else f"{len(CANDIDATES)} candidates"
            cells = [f"{n:,}", name, str(row["windows"]), f"{row['seconds']:.2f}", f"{each:.3f}"]
            lines.append("| " + " | ".join([*cells, f"{row['above'] / MEGA:.1f}"]) + " |")
    unread = [row["length"] for how in JOBS for row in found[how] if not row["whole"]]
    lines += ["", f"Not read to the end: {unread}." if unread else "Every character was read.", ""]
    return "\n".join(lines)


def draw(found: Row, path: Path) -> None:
    """Draw time and memory against length."""
    from matplotlib.figure import Figure

    rows = found["read"]
    lengths = [row["length"] for row in rows]
    a, b = fit(lengths, [row["read"] for row in rows])
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    times, memories = figure.subplots(1, 2)
    dense = [lengths[0] * (lengths[-1] / lengths[0]) ** (n / 60) for n in range(61)]
    thin = {"color": "0.45", "linewidth": 1}
    dots = {"color": "tab:blue", "marker": "o", "markersize": 4}
    times.plot(lengths, [row["read"] for row in rows], linestyle="", label="one reading, and the fit", **dots)
    times.plot(dense, [a * n + b * n * n for n in dense], color="tab:blue", linewidth=1)
    times.plot(dense, [a * n for n in dense], linestyle="--", label="its linear part", **thin)
    times.plot(dense, [b * n * n for n in dense], linestyle=":", label="its quadratic part", **thin)
    memories.plot(lengths, [row["above"] / MEGA for row in rows], label="one reading", **dots)
    memories.plot(
        lengths, [row["cache"] / MEGA for row in rows], linestyle="--", label="its keys and values", **thin
    )
    for how, name, color in (
        ("spans", "document, all spans", "tab:orange"),
        ("candidates", f"document, {len(CANDIDATES)} candidates", "tab:green"),
    ):
        places = [row["length"] for row in found[how]]
        style = {"marker": "s", "markersize": 4, "color": color, "label": name}
        times.plot(places, [row["seconds"] for row in found[how]], **style)
        memories.plot(places, [row["above"] / MEGA for row in found[how]], **style)
    for axes in (times, memories):
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="tokens")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    times.set(ylabel="seconds", ylim=(a * lengths[0] / 4, None))
    memories.set(ylabel="memory above the loaded model, MB")
    figure.suptitle("What length costs: one reading, and documents in windows", fontsize=11)
    figure.savefig(path, dpi=144, format="png")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="another model than the default one")
    parser.add_argument("--longest", type=int, help="no reading and no document longer than this: to try it out")
    parser.add_argument("--repeats", type=int, default=3, help="of each reading")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--plot", type=Path, help="draw this PNG file")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(work(arguments.model, json.load(sys.stdin))))
        return
    tokenizer = Tokenizer.from_gguf(open_checkpoint(resolve(arguments.model)).tokenizer_metadata or {})
    found: Row = {"machine": machine(torch.get_num_threads()), "repeats": arguments.repeats}
    for what, lengths in (("read", LENGTHS), *((how, DOCUMENTS) for how in JOBS)):
        found[what] = []
        for length in lengths:
            if not arguments.longest or length <= arguments.longest:
                print(f"\r{what}: {length:,} tokens ", end="", file=sys.stderr, flush=True)
                text, tokens = book(tokenizer, length)
                job: Row = {"tokens": tokens, "repeats": arguments.repeats}
                if what != "read":
                    job = {"text": text, "candidates": JOBS[what]}
                found[what].append({"length": length, **child(arguments.model, job)})
        print(file=sys.stderr)
    command = [f"python bench/lengths.py --repeats {arguments.repeats}"]
    if arguments.longest:
        command.append(f"--longest {arguments.longest}")
    if arguments.plot:
        command.append(f"--plot docs/{arguments.plot.name}")
        draw(found, arguments.plot)
    picture = arguments.plot.name if arguments.plot else ""
    text = page(found, " ".join([*command, "--markdown docs/measured-lengths.md"]), picture)
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

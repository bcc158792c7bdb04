"""What `puna ask` does in a fresh shell, from the interpreter's start to the process's end, part by part.

    python bench/cold_start.py --markdown docs/measured-start.md

Needs the default model (`puna pull`); run it on a machine that does nothing else. The whole is the command as it is
installed. The parts come from processes that do the same in the same order and note the time in between.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

COMMAND = "from puna.cli.main import main; main()"  # what the installed script does
AIM = 3.5
MEGA = 10**6
Times = tuple[
    float, float
]  # wall time and that of all threads together, which other work on the machine moves less
PARTS = {
    "started": "the interpreter starts",
    "command": "imports: the command (click)",
    "torch": "imports: torch",
    "others": "imports: all others",
    "options": "options and text",
    "file": "loading: the file's metadata",
    "tokenizer": "loading: the tokenizer",
    "model": "loading: the model",
    "answered": "reading and searching",
    "printed": "printing",
    "ended": "the process ends",
}


def now() -> Times:
    """Give wall time, and what all threads of this process have computed."""
    return time.monotonic(), time.process_time()


def child(place: Path, arguments: Sequence[str]) -> None:
    """Do what the command does and note when each part was done."""
    stamps = {"started": now()}
    import puna.cli.ask  # noqa: F401
    from puna.cli.main import main

    stamps["command"] = now()
    import torch  # noqa: F401

    stamps["torch"] = now()
    import puna.answer.reader as reader
    from puna.tokens.tokenizer import Tokenizer

    stamps["others"] = now()

    def noted(owner: Any, name: str, before: str, after: str) -> None:
        """Note when a function begins and ends; what is between two functions counts for the latter."""
        wrapped = getattr(owner, name)

        def replacement(*given: Any, **named: Any) -> Any:
            stamps.setdefault(before, now())
            result = wrapped(*given, **named)
            stamps[after] = now()
            return result

        setattr(owner, name, replacement)

    noted(reader, "open_checkpoint", "options", "file")
    noted(Tokenizer, "from_gguf", "file", "tokenizer")
    noted(reader, "load_model", "tokenizer", "model")
    noted(reader.Reader, "ask", "model", "answered")
    try:
        main(list(arguments))
    finally:
        stamps["printed"] = now()
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
        place.write_text(json.dumps({"stamps": stamps, "peak": 1024 * int(peak[1]) if peak else 0}), "utf-8")


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> tuple[float, Times]:
    """Run a process; give when it began, and when it ended with what it has computed."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # answered, or not in the text
        sys.exit(f"{command[-1]} ended with {process.returncode}:\n{said.decode()}")
    return began, (ended, usage.ru_utime + usage.ru_stime)


def parts(arguments: Sequence[str]) -> tuple[dict[str, Times], int]:
    """Run the command with notes; give the seconds of each part, which add up to the whole, and the most memory."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "stamps.json"
        began, ended = run([sys.executable, __file__, "--child", str(place), *arguments])
        noted = json.loads(place.read_text("utf-8"))
    return between((began, 0.0), {**noted["stamps"], "ended": ended}), noted["peak"]


def between(began: Times, stamps: Mapping[str, Times]) -> dict[str, Times]:
    """Give how long each part took, in the order of PARTS."""
    found = {}
    for part in PARTS:
        wall, computed = stamps[part]
        found[part] = wall - began[0], computed - began[1]
        began = wall, computed
    return found


def page(found: dict[str, Any], command: str) -> str:
    """Write the results as Markdown."""
    about, wholes = found["machine"], found["asked"]
    shown = {name: median(each["seconds"]) for name, each in wholes.items()}
    slowest = max(shown.values())
    lines = [
        "# Measured: from a cold shell",
        "",
        f"Written by `{command}`; {about['processor']}, {about['threads']} threads, Python {about['python']}, torch "
        f"{found['torch']}, load average {about['load_average']} when it began. `puna ask` with the default model, each "
        f"time a new process; medians of {found['runs']} runs after one that is not counted. *Not compiled*: one run "
        "in which no module had its bytecode yet (installing with pip compiles them).",
        "",
        f"Aim: the whole second run under {AIM} s, a text of 1,000 tokens included: {slowest:.2f} s, "
        f"{'met' if slowest < AIM else '**not met**'}.",
        "",
        "| | whole, s | slowest, s | not compiled, s | memory, MB |",
        "|---|---|---|---|---|",
    ]
    for name, each in wholes.items():
        cells = [name, f"{shown[name]:.2f}", f"{max(each['seconds']):.2f}", f"{each['first']:.2f}"]
        peak = f"{max(each['peaks']) / MEGA:.0f}" if "peaks" in each else "–"
        lines.append("| " + " | ".join([*cells, peak]) + " |")
    texts = [name for name in wholes if "parts" in wholes[name]]
    lines += [
        "",
        "The parts, of runs that note the time (medians of each part). *CPU*: of all threads together, which other work "
        "on the machine moves less.",
        "",
        "| | " + " | ".join(f"{name}, s | CPU, s" for name in texts) + " |",
        "|---" * (2 * len(texts) + 1) + "|",
    ]
    for part, label in PARTS.items():
        values = [median(run[part][n] for run in wholes[name]["parts"]) for name in texts for n in (0, 1)]
        lines.append(f"| {label} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    sums = [
        median(sum(v[n] for v in run.values()) for run in wholes[name]["parts"]) for name in texts for n in (0, 1)
    ]
    lines += ["| together | " + " | ".join(f"{value:.3f}" for value in sums) + " |", ""]
    return "\n".join(lines)


def measure(runs: int, model: str | None) -> dict[str, Any]:
    """Run everything."""
    import torch

    from puna.bench.machine import machine
    from puna.bench.texts import Made, text_of
    from puna.tokens.tokenizer import Tokenizer
    from puna.weights.checkpoint import open_checkpoint
    from puna.weights.store import resolve

    about, made = machine(torch.get_num_threads()), Made(0)
    tokenizer = Tokenizer.from_gguf(open_checkpoint(resolve(model)).tokenizer_metadata or {})
    question, chosen = made.questions()[0], ["--model", model] if model else []
    commands = {
        "puna --help": ["--help"],
        "a short text": ["ask", question, "--text", made.sentence(), *chosen],
        "a text of 1,000 tokens": ["ask", question, "--text", text_of(made, tokenizer, 1000), *chosen],
    }
    found = {}
    for name, arguments in commands.items():
        whole = [sys.executable, "-c", COMMAND, *arguments]
        with tempfile.TemporaryDirectory() as empty:
            began, (ended, _) = run(whole, {"PYTHONPYCACHEPREFIX": empty})
        times = [run(whole) for _ in range(runs + 1)][1:]
        one: dict[str, Any] = {"first": ended - began, "seconds": [end - start for start, (end, _) in times]}
        if arguments[0] == "ask":
            one["parts"], one["peaks"] = zip(*(parts(arguments) for _ in range(runs)), strict=True)
        found[name] = one
        print(f"{name}: {median(one['seconds']):.2f} s", file=sys.stderr)
    return {"machine": about, "torch": torch.__version__, "runs": runs, "asked": found}


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["--child"]:  # nothing else is imported or done before the first note
        child(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="another model than the default one")
    parser.add_argument("--runs", type=int, default=5, help="of each command")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    arguments = parser.parse_args()
    found = measure(arguments.runs, arguments.model)
    text = page(found, f"python bench/cold_start.py --runs {arguments.runs} --markdown docs/measured-start.md")
    print(text)
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

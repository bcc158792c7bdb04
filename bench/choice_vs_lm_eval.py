"""Multiple choice by lm-evaluation-harness and by Puna: the same rows, file and machine, one run.

    pip install -c constraints.txt -e '.[bench]'
    python bench/choice_vs_lm_eval.py --markdown docs/measured-choice.md

Needs the default model (`puna pull`) and PUNA_DATA; nothing is fetched. The harness runs its own tasks (prompts, choices,
metrics) with its Transformers backend on the same GGUF file; Puna runs `puna eval choice` without priors. Speed is
questions over the wall time from text to scores; loading is not counted, and both get a batch to warm up.
"""

import argparse
import gzip
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", LOGLEVEL="ERROR", TOKENIZERS_PARALLELISM="true")

import lm_eval
import torch
import transformers
from datasets import Dataset, DatasetDict
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as Steps
from transformers import AutoTokenizer

from puna.answer.reader import Reader
from puna.evaluate.choice import best, choose
from puna.evaluate.choice_rows import ChoiceRow, choice_row
from puna.evaluate.rows import read_rows, sample
from puna.llama.linear import default_dtype
from puna.llama.load import load
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from puna.weights.store import resolve

TIE = 0.05  # nats between two candidates that are as good as equal
REFERENCE = "lm_eval fp32"
Raw = dict[str, Any]


def hellaswag(row: Raw) -> Raw:
    """Part the context again: the last sentence, begun in lower case, is `ctx_b`."""
    found = re.fullmatch(r"(.*?[.!?][\"')\]]*) ([a-z][^.!?]*)", row["context"], re.DOTALL)
    ctx_a, ctx_b = found.groups() if found else (row["context"], "")
    names = {"activity_label": row["activity_label"], "label": str(row["answer_index"])}
    return {"ctx_a": ctx_a, "ctx_b": ctx_b, "endings": row["candidates"], **names}


def arc(row: Raw) -> Raw:
    """The dataset's own columns."""
    labels = [chr(ord("A") + n) for n in range(len(row["candidates"]))]
    choices = {"text": row["candidates"], "label": labels}
    return {"question": row["question"], "choices": choices, "answerKey": labels[row["answer_index"]]}


def piqa(row: Raw) -> Raw:
    """The dataset's own columns."""
    first, second = row["candidates"]
    return {"goal": row["question"], "sol1": first, "sol2": second, "label": row["answer_index"]}


SETS: dict[str, tuple[str, str, Callable[[Raw], Raw]]] = {
    "HellaSwag": ("hellaswag", "hellaswag/val_a", hellaswag),
    "ARC easy": ("arc_easy", "arc_easy/test", arc),
    "ARC challenge": ("arc_challenge", "arc_challenge/test", arc),
    "PIQA": ("piqa", "piqa/val", piqa),
}


@dataclass
class Rows:
    """The rows of a set, as Puna and as the harness take them."""

    rows: list[ChoiceRow]
    task: Any


@dataclass
class Run:
    """What a system gave for a set: a log-probability for each candidate of each row, and the time it took."""

    scores: list[list[float]]
    seconds: float
    processor_seconds: float


def clocks() -> tuple[float, float]:
    """Wall time, and that of all threads together, which other work on the machine moves less."""
    return time.perf_counter(), time.process_time()


class Timed(HFLM):
    """The harness's backend with a stopwatch around its work."""

    seconds = processor_seconds = 0.0

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Tokenize and score."""
        began = clocks()
        found = super().loglikelihood(requests, disable_tqdm)
        self.seconds, self.processor_seconds = (b - a for a, b in zip(began, clocks(), strict=True))
        return found


def gather(limit: int, seed: int) -> dict[str, Rows]:
    """Draw the rows and put them into the harness's tasks."""
    found = {}
    for name, (task, place, document) in SETS.items():
        path = Path(os.environ["PUNA_DATA"]) / f"{place}.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            raw = [json.loads(line) for line in lines]
        chosen = sample(list(zip(read_rows(path, choice_row), raw, strict=True)), limit, seed)
        dataset = Dataset.from_list([document(each) for _, each in chosen])
        splits = DatasetDict(dict.fromkeys(("train", "validation", "test"), dataset))
        # A group's members may change a registered task: here its data, and nothing else.
        member = {"task": task, "custom_dataset": lambda splits=splits, **_: splits}
        tasks = TaskManager().load([{"group": f"rows of {task}", "task": [member]}])["tasks"]
        found[name] = Rows([row for row, _ in chosen], tasks[task])
    return found


def harness(path: Path, dtype: str, batch: int, sets: dict[str, Rows]) -> dict[str, Run]:
    """Run the harness on all sets."""
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    # Transformers' reading of GGUF leaves out that each digit is a word of its own, as the model's own files say.
    steps = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = Steps(steps)
    model = Timed(
        pretrained=str(path.parent),
        gguf_file=path.name,
        tokenizer=tokenizer,
        dtype=dtype,
        device="cpu",
        batch_size=batch,
    )
    found = {}
    for name, one in [("", next(iter(sets.values()))), *sets.items()]:
        done = lm_eval.simple_evaluate(
            model, tasks=[one.task], limit=None if name else 4, bootstrap_iters=0, log_samples=True
        )
        task = one.task.task_name
        samples = sorted(done["samples"][task], key=lambda each: each["doc_id"])
        scores = [[float(value[0]) for value in each["filtered_resps"]] for each in samples]
        run = Run(scores, model.seconds, model.processor_seconds)
        if name:
            found[name] = run
            for metric, value in zip(("acc", "acc_norm"), shares(one.rows, run), strict=True):
                theirs = done["results"][task][f"{metric},none"]
                if abs(theirs - value) > 1e-9:
                    sys.exit(f"{name}: the harness says {metric} {theirs}, its scores say {value}")
    return found


def puna(path: Path, dtype: torch.dtype, sets: dict[str, Rows]) -> dict[str, Run]:
    """Run Puna on all sets."""
    checkpoint = open_checkpoint(path)
    tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata or {})
    reader = Reader(load(checkpoint, dtype=dtype), tokenizer, path.stem)
    list(choose(reader, next(iter(sets.values())).rows[:4], priors=False))
    found = {}
    for name, one in sets.items():
        began = clocks()
        done = list(choose(reader, one.rows, priors=False))
        times = (b - a for a, b in zip(began, clocks(), strict=True))
        found[name] = Run([list(each.log_probabilities) for each in done], *times)
    return found


def per_character(row: ChoiceRow, scores: Sequence[float]) -> list[float]:
    """What acc_norm compares."""
    return [value / len(text) for value, text in zip(scores, row.candidates, strict=True)]


def shares(rows: Sequence[ChoiceRow], run: Run) -> tuple[float, float]:
    """Give acc and acc_norm."""
    pairs = list(zip(rows, run.scores, strict=True))
    return (
        fmean(best(scores) == row.answer_index for row, scores in pairs),
        fmean(best(per_character(row, scores)) == row.answer_index for row, scores in pairs),
    )


def compare(rows: Sequence[ChoiceRow], run: Run, reference: Run) -> Raw:
    """Give the metrics, and the rows where another candidate is chosen than by the reference, with its gap there."""
    accuracy, normed = shares(rows, run)
    differing, normed_differing = [], []
    for row, ours, theirs in zip(rows, run.scores, reference.scores, strict=True):
        if (mine := best(ours)) != (other := best(theirs)):
            differing.append({"id": row.id, "gap": theirs[other] - theirs[mine]})
        a, b = per_character(row, ours), per_character(row, theirs)
        if best(a) != best(b):
            normed_differing.append({"id": row.id, "gap": b[best(b)] - b[best(a)]})
    moved = [
        abs(a - b) for x, y in zip(run.scores, reference.scores, strict=True) for a, b in zip(x, y, strict=True)
    ]
    return {
        "acc": accuracy,
        "acc_norm": normed,
        "questions_per_second": len(rows) / run.seconds,
        "to_reference": reference.seconds / run.seconds,
        "processor_seconds_per_question": run.processor_seconds / len(rows),
        "differing": differing,
        "differing_acc_norm": normed_differing,
        "mean_change": fmean(moved),
        "largest_change": max(moved),
    }


def other_texts(one: Rows) -> int:
    """Count rows for which the harness's task has another prompt or other choices than Puna."""
    documents = one.task.test_docs() if one.task.has_test_docs() else one.task.validation_docs()
    theirs = [
        (one.task.doc_to_text(each), tuple(f" {text}" for text in one.task.doc_to_choice(each)))
        for each in documents
    ]
    return sum(row.asked() != asked for row, asked in zip(one.rows, theirs, strict=True))


def processor() -> str:
    """The CPU's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text("utf-8")) if info.exists() else []
    return names[0] if names else platform.machine()


def page(found: Raw, command: str) -> str:
    """Write the results as Markdown."""
    lines = [
        "# Measured: multiple choice beside lm-evaluation-harness",
        "",
        f"Written by `{command}`; {found['machine']}, {found['threads']} threads, torch {torch.__version__}, lm_eval "
        f"{lm_eval.__version__} on Transformers {transformers.__version__} (batches of {found['batch']}). "
        f"{found['rows']} random rows of each set (seed {found['seed']}), the default model, zero-shot; the "
        "harness's own tasks. Loading is not counted.",
        "",
        f"*Other choice*: rows where another candidate is chosen than by {REFERENCE}, by log-probability (acc) and by "
        f"log-probability per character (acc_norm); *no tie*: those of the former between whose candidates {REFERENCE} "
        f"sees {TIE} nats or more, and the largest such gap. *Change*: how far a candidate's log-probability is from "
        f"{REFERENCE}'s. *CPU*: of all threads together.",
        "",
        "| set | | acc | acc_norm | other choice | no tie | change: mean | largest | questions/s | speed "
        "| CPU s/question |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, systems in found["sets"].items():
        for system, one in systems.items():
            gaps = [row["gap"] for row in one["differing"] if row["gap"] >= TIE]
            untied = f"{len(gaps)} (up to {max(gaps):.2f})" if gaps else "0"
            others = f"{len(one['differing'])}, {len(one['differing_acc_norm'])}"
            cells = [name, system, f"{100 * one['acc']:.1f} %", f"{100 * one['acc_norm']:.1f} %"]
            cells += ["–"] * 4 if system == REFERENCE else [others, untied]
            if system != REFERENCE:
                cells += [f"{one['mean_change']:.2g}", f"{one['largest_change']:.2g}"]
            cells += [f"{one['questions_per_second']:.2f}", f"{one['to_reference']:.2f} ×"]
            cells.append(f"{one['processor_seconds_per_question']:.2f}")
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "Rows with other texts than the harness's: "
        + ", ".join(f"{name} {count}" for name, count in found["other_texts"].items())
        + ".",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=200, help="rows of each set")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other rows")
    parser.add_argument("--batch", type=int, default=16, help="the harness's batch size")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch, for both")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    path, sets = resolve(None), gather(arguments.limit, arguments.seed)
    runs = {
        REFERENCE: harness(path, "float32", arguments.batch, sets),
        "lm_eval bf16": harness(path, "bfloat16", arguments.batch, sets),
        "Puna fp32": puna(path, torch.float32, sets),
    }
    if default_dtype() == torch.bfloat16:
        runs["Puna bf16"] = puna(path, torch.bfloat16, sets)
    found = {
        "machine": processor(),
        "threads": arguments.threads,
        "batch": arguments.batch,
        "rows": arguments.limit,
        "seed": arguments.seed,
        "other_texts": {name: other_texts(one) for name, one in sets.items()},
        "sets": {
            name: {system: compare(one.rows, run[name], runs[REFERENCE][name]) for system, run in runs.items()}
            for name, one in sets.items()
        },
    }
    text = page(
        found, f"python bench/choice_vs_lm_eval.py --limit {arguments.limit} --markdown docs/measured-choice.md"
    )
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

"""How fast training is, beside Transformers with PEFT on the same rows, model and machine, in turns.

    python bench/training_speed.py [--rows ROWS.jsonl] [--repeats 3] [--markdown docs/measured-training-speed.md]

Rows are made of Puna's own pages (`puna make-rows`) unless named. Everybody learns the answers of the same questions
about the same texts, forward, backward and an AdamW step for every 8,192 tokens or so. Puna reads a text once for all
its questions; Transformers has text, question and answer in a row for each, sorted by length so that there is little
padding, and takes logits at the answers alone. The best of the repeats counts. Needs `.[dev]` and `puna pull`.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # as `puna train` has it

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from puna.bench.machine import machine
from puna.llama.linear import default_dtype
from puna.train.lesson import lessons
from puna.train.make_rows import Made, make_rows
from puna.train.matrices import TARGETS
from puna.train.network import LoRA, Network
from puna.train.rows import SpanRow, read_spans
from puna.train.session import Base
from puna.train.student import Student
from puna.train.trees import Passage, grow
from puna.weights.store import resolve

Item = TypeVar("Item")
STEP = 8192  # tokens
FORWARD = 2048  # tokens that Transformers takes at once: with 8,192 the full training needs more than 20 GB
ROOT = Path(__file__).parents[1]
WHAT = (
    "learned by the default model: forward, backward and an AdamW step for every 8,192 tokens or so. LoRA: rank 32, all "
    "seven kinds of matrices. Puna reads a text once for all its questions; Transformers has text, question and answer "
    "in a row for each, sorted by length, and takes logits at the answers alone. The best of the turns, in one process."
)


def rows_of(named: Path | None) -> list[SpanRow]:
    """Rows of a file, or of Puna's pages."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        if named is None:
            made = make_rows([ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], Made(), unanswerable=0)
            path.write_text("\n".join(json.dumps(row) for row in made), "utf-8")
        return read_spans([named or path])[0]


def batches(items: Sequence[Item], size: Callable[[Item], int], most: int = STEP) -> Iterator[list[Item]]:
    """Items in their order, about so many tokens at a time."""
    batch: list[Item] = []
    tokens = 0
    for item in items:
        batch.append(item)
        tokens += size(item)
        if tokens >= most:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch


def optimizer(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW([each for each in parameters if each.requires_grad], lr=1e-5, fused=True)


def of_puna(base: Base, passages: Sequence[Passage], lora: LoRA | None) -> Callable[[], int]:
    """Give an epoch, which gives its tokens."""
    student = Student(Network(base.weights, default_dtype(), lora), 0)
    adamw = optimizer(student.parameters())

    def epoch() -> int:
        tokens = 0
        for batch in batches([grow(each) for each in passages], lambda tree: len(tree.tokens)):
            found = student(batch)
            (found["answer"] + 0.5 * found["pointer"]).backward()
            adamw.step()
            adamw.zero_grad()
            student.network.changed()
            tokens += sum(len(tree.tokens) for tree in batch)
        return tokens

    return epoch


def of_transformers(path: Path, passages: Sequence[Passage], lora: LoRA | None, fast: bool) -> Callable[[], int]:
    """Give an epoch, which gives its tokens without padding; `fast`: bf16 as far as Transformers has it."""
    dtype = torch.bfloat16 if fast and lora else torch.float32  # trained in bf16 alone, small changes would be lost
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=dtype)
    for weight in model.parameters():  # memory of its own, as a folder's weights have
        weight.data = weight.data.clone(memory_format=torch.contiguous_format)
    whole = model
    if lora:
        config = LoraConfig(r=lora.rank, lora_alpha=int(lora.alpha), target_modules=list(lora.targets))
        whole = get_peft_model(model, config)  # A and B are fp32
    whole.train()
    adamw = optimizer(whole.parameters())
    items = sorted(
        ((each.tokens, asked.tokens, asked.candidates[0]) for each in passages for asked in each.questions),
        key=length,
    )

    def epoch() -> int:
        for step in batches(items, length):
            for batch in batches(step, length, FORWARD):
                longest = max(map(length, batch))
                ids = torch.zeros(len(batch), longest, dtype=torch.long)
                wanted = torch.zeros(len(batch), longest, dtype=torch.bool)
                for n, parts in enumerate(batch):
                    ids[n, : length(parts)] = torch.tensor([token for part in parts for token in part])
                    wanted[n, length(parts) - len(parts[-1]) : length(parts)] = True
                mask = torch.arange(longest)[None] < torch.tensor([length(parts) for parts in batch])[:, None]
                with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                    hidden = model.model(input_ids=ids, attention_mask=mask.long(), use_cache=False)
                    logits = model.lm_head(hidden.last_hidden_state[:, :-1][wanted[:, 1:]])
                loss = cross_entropy(logits.float(), ids[wanted], reduction="sum") / len(step)
                loss.backward()  # type: ignore[no-untyped-call]
            adamw.step()
            adamw.zero_grad()
        return sum(map(length, items))

    return epoch


def length(parts: tuple[list[int], ...]) -> int:
    return sum(map(len, parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--limit", type=int, default=200, help="rows at most")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    about = machine(torch.get_num_threads())
    base, lora = Base.opened(None), LoRA(32, 32.0, TARGETS)
    passages = list(lessons(rows_of(given.rows)[: given.limit], base.tokenizer, 2048))
    questions = sum(len(each.questions) for each in passages)
    path = resolve(None)
    epochs = {
        "Puna, LoRA": of_puna(base, passages, lora),
        "Transformers + PEFT, LoRA, bf16": of_transformers(path, passages, lora, fast=True),
        "Puna, full": of_puna(base, passages, None),
        "Transformers, full, bf16 autocast": of_transformers(path, passages, None, fast=True),
        "Transformers, full, fp32": of_transformers(path, passages, None, fast=False),
    }
    best: dict[str, tuple[float, int]] = {}
    for turn in range(given.repeats):
        for name, epoch in epochs.items():
            began = time.perf_counter()
            tokens = epoch()
            best[name] = min(best.get(name, (float("inf"), 0)), (time.perf_counter() - began, tokens))
            print(f"{turn + 1} of {given.repeats}: {name}", file=sys.stderr)
    lines = [
        "# Measured: how fast training is",
        "",
        f"Written by `python bench/training_speed.py {shlex.join(sys.argv[1:])}`; {about['processor']}, "
        f"{about['threads']} threads, Python {about['python']}, torch {torch.__version__}, load average "
        f"{about['load_average']} when it began. {questions} questions about {len(passages)} texts, {WHAT}",
        "",
        "| | tokens | tokens/s | questions/s | as fast as Puna's LoRA |",
        "|---|---|---|---|---|",
    ]
    for name, (seconds, tokens) in best.items():
        ratio = best["Puna, LoRA"][0] / seconds
        lines.append(f"| {name} | {tokens:,} | {tokens / seconds:,.0f} | {questions / seconds:.1f} | {ratio:.2f} |")
    page = "\n".join(lines) + "\n"
    print(page)
    if given.markdown:
        given.markdown.write_text(page, "utf-8")


if __name__ == "__main__":
    main()

"""`puna eval choice`: the right one of several candidates, measured."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import adapter_option, device_option, json_option, limit_option, model_option, seed_option
from puna.cli.output import counting, language, print_json, print_metrics, say

if TYPE_CHECKING:
    from puna.evaluate.choice import Choice, ChoiceSummary

_WORDS = {
    "en": {
        "n": "questions",
        "accuracy": "accuracy",
        "accuracy_per_byte": "accuracy, per byte",
        "accuracy_per_token": "accuracy, per token",
        "accuracy_prior_corrected": "accuracy, less the prior",
        "questions_per_second": "questions a second",
        "what": "{n} of {every} rows of {file}, seed {seed}, {model}",
        "choosing": "choosing",
        "failed": "{count} of {n} questions are longer than the model's context and count as wrong",
        "stopped": "stopped after {n} of {rows} questions",
    },
    "zh": {
        "n": "问题数",
        "accuracy": "准确率",
        "accuracy_per_byte": "准确率（按字节平均）",
        "accuracy_per_token": "准确率（按词元平均）",
        "accuracy_prior_corrected": "准确率（减去先验）",
        "questions_per_second": "每秒问题数",
        "what": "{file} 共 {every} 行，取 {n} 行，种子 {seed}，{model}",
        "choosing": "选择中",
        "failed": "{n} 个问题中有 {count} 个超出模型的上下文长度，按答错计算",
        "stopped": "已停止：完成 {rows} 个问题中的 {n} 个",
    },
}


@click.command(short_help="Multiple choice: accuracy.")
@click.argument("rows", metavar="ROWS.jsonl")
@limit_option
@seed_option
@model_option
@adapter_option
@device_option
@json_option
def choice(
    rows: str,
    limit: int | None,
    seed: int,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> int:
    """Choose among the candidates of each of ROWS.jsonl and compare with the right one.

    Each line, plain or gzipped, is an object such as

    \b
      {"question": "Which gives light?", "candidates": ["a stone", "a star"],
       "answer_index": 1, "context": null, "id": "7"}

    on one line; "id", "question" and "context" may be left out. Without a question the candidates continue the
    context, without both they are judged as they stand.

    The prompts are those of lm-evaluation-harness, and so are the first two metrics, acc and acc_bytes: a candidate's
    score is its log-probability, as it is, over its bytes, over its tokens, or minus its log-probability without context
    and question.

    With --json: file, model, rows, seed; n, failed; accuracy, accuracy_per_byte, accuracy_per_token,
    accuracy_prior_corrected as fractions; questions_per_second. What a set cannot tell is null.

    Ctrl-C ends it with the metrics so far. Exits 0 if all was done, 2 on bad input, 130 if it was stopped.

    \b
    Examples:
      puna eval choice arc.jsonl.gz --limit 100
      puna eval choice arc.jsonl.gz --adapter my-adapter
    """
    from puna.evaluate.choice import choose, summarise_choices
    from puna.evaluate.choice_rows import choice_row
    from puna.evaluate.rows import read_rows, sample

    every = read_rows(Path(rows), choice_row)
    chosen = sample(every, limit, seed)
    import puna

    reader = puna.load(model, adapter=adapter, device=device)
    words, done = _WORDS[language()], list["Choice"]()
    began = time.perf_counter()
    try:
        with counting(words["choosing"], len(chosen)) as report:
            done.extend(choose(reader, chosen, report=report))
    except KeyboardInterrupt:
        pass
    if done:
        found = summarise_choices(done, time.perf_counter() - began)
        if as_json:
            print_json({"file": rows, "model": reader.name, "rows": len(chosen), "seed": seed, **asdict(found)})
        else:
            _print(words, found)
            say(words["what"].format(n=found.n, every=len(every), file=rows, seed=seed, model=reader.name))
        if found.failed:
            say(words["failed"].format(count=found.failed, n=found.n))
    if len(done) == len(chosen):
        return 0
    say(words["stopped"].format(n=len(done), rows=len(chosen)))
    return 130


def _print(words: dict[str, str], found: "ChoiceSummary") -> None:
    """Print one line a metric."""
    lines = [(words["n"], str(found.n))]
    for name, value in asdict(found).items():
        if name.startswith("accuracy") and value is not None:
            lines.append((words[name], f"{100 * value:.1f} %"))
    lines.append((words["questions_per_second"], f"{found.questions_per_second:.1f}"))
    print_metrics(lines)

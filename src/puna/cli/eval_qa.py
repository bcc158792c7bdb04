"""`puna eval qa`: answers to labelled questions about texts, measured."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.eval_words import WORDS
from puna.cli.inputs import (
    calibration_option,
    device_option,
    json_option,
    limit_option,
    model_option,
    normalise_option,
    reader_option,
    seed_option,
)
from puna.cli.output import counting, language, print_json, print_metrics, say

if TYPE_CHECKING:
    from puna.evaluate.observation import Observation
    from puna.evaluate.summary import Summary

_PERCENT = ("em", "f1", "top5_em", "top5_f1", "has_answer_em", "has_answer_f1", "no_answer_accuracy")
_DECIMALS = {"ece": 3, "brier": 3, "aurc": 3, "no_answer_auroc": 3, "seconds_per_question": 2}


@click.command(short_help="Questions about texts: exact match, F1, calibration.")
@click.argument("rows", metavar="ROWS.jsonl")
@limit_option
@seed_option
@click.option("--output", metavar="FILE", help="Keep what comes of each row; the next run goes on from there.")
@normalise_option
@calibration_option
@model_option
@reader_option
@device_option
@json_option
def qa(
    rows: str,
    limit: int | None,
    seed: int,
    output: str | None,
    normalise: str,
    calibration: str | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> int:
    """Ask the questions of ROWS.jsonl about their contexts and compare the answers with the accepted ones.

    Each line, plain or gzipped, is an object such as

    \b
      {"context": "Ann led the walk.", "question": "Who led it?",
       "answers": [{"text": "Ann", "start": 0}], "id": "7", "unanswerable": false}

    on one line; "id", "start" and "unanswerable" may be left out, and "answers" is [] where the context holds none.

    Exact match and F1 are those of the official scripts: CMRC 2018's for Chinese, SQuAD's for all else. If any row of the
    file is unanswerable, "not in the text" is the prediction where it is more probable than not; otherwise the prediction
    is always the first answer, and ece, brier and aurc judge its probability given that there is one.

    With --json: file, model, rows, seed; n, failed; em, f1, top5_em, top5_f1, has_answer_em, has_answer_f1,
    no_answer_accuracy in percent; ece, brier, aurc, no_answer_auroc, exact_share as fractions; seconds_per_question,
    nodes_per_question, passes_per_question. What a set cannot tell is null.

    Ctrl-C ends it with the metrics so far. Exits 0 if all was asked, 2 on bad input, 130 if it was stopped.

    \b
    Examples:
      puna eval qa dev.jsonl.gz --limit 100 --output dev.answers.jsonl
      puna eval qa dev.jsonl.gz --limit 100 --adapter my-reader
    """
    from puna.answer.calibration import load_calibration
    from puna.answer.settings import Options, Settings
    from puna.evaluate.observation import kept
    from puna.evaluate.qa import Run
    from puna.evaluate.rows import question_row, read_rows, sample
    from puna.evaluate.summary import summarise

    every = read_rows(Path(rows), question_row)
    chosen, refusing = sample(every, limit, seed), any(row.unanswerable for row in every)
    options: Options = {"normalise": normalise}
    if calibration:
        options["calibration"] = load_calibration(calibration)
    Settings(**options)
    if output:
        kept(Path(output))  # what is wrong with it is told before a model is loaded
    import puna

    reader = puna.load(model, adapter=adapter, device=device)
    if fitted := options.get("calibration") or reader.own_calibration(normalise):
        fitted.check(reader.name)
        options["calibration"] = fitted
    run = Run(chosen, refusing, Path(output) if output else None, options)
    words = WORDS[language()]
    try:
        with _progress(words, len(chosen), run.observations) as report:
            run.go(reader, report)
    except KeyboardInterrupt:
        pass
    done = run.observations
    if done:
        found = summarise(done, refusing)
        if as_json:
            print_json({"file": rows, "model": reader.name, "rows": len(chosen), "seed": seed, **asdict(found)})
        else:
            _print(words, found)
            say(words["what"].format(n=found.n, every=len(every), file=rows, seed=seed, model=reader.name))
        if codes := sorted({one.error for one in done if one.error}):
            say(words["failed"].format(count=found.failed, n=found.n, codes=", ".join(codes)))
    if len(done) == len(chosen):
        return 0
    say(words["stopped"].format(n=len(done), rows=len(chosen)) + words["resume" if output else "lost"])
    return 130


@contextmanager
def _progress(
    words: dict[str, str], total: int, done: "Sequence[Observation]"
) -> "Iterator[Callable[[Sequence[Observation]], None]]":
    """A bar over questions with the metrics so far."""
    with counting(words["asking"], total) as update:

        def report(found: "Sequence[Observation]") -> None:
            em, f1 = (100 * sum(values) / len(found) for values in zip(*((o.em, o.f1) for o in found), strict=True))
            update(len(found), f"  EM {em:.1f}  F1 {f1:.1f}")

        if done:
            report(done)
        yield report


def _print(words: dict[str, str], found: "Summary") -> None:
    """Print one line a metric."""
    lines = [(words["n"], str(found.n))]
    for name, value in asdict(found).items():
        if name in ("n", "failed") or value is None:
            continue
        if name in _PERCENT or name == "exact_share":
            text = f"{value if name in _PERCENT else 100 * value:.1f} %"
        else:
            text = f"{value:.{_DECIMALS.get(name, 1)}f}"
        lines.append((words[name], text))
    print_metrics(lines)

"""`puna ask-many`: many questions at once, each about a text of its own."""

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from puna.answer.spans import MAX_CHARS, MAX_WORDS
from puna.cli.inputs import (
    calibration_option,
    device_option,
    json_option,
    model_option,
    normalise_option,
    reader_option,
)
from puna.cli.interrupt import stopping
from puna.cli.output import counting, language, print_json, say
from puna.errors import InputError

_WORDS = {
    "en": {
        "asking": "asking",
        "written": "{rows} rows, {speed:.2f} questions a second; written to {output}",
        "failed": "{failed} row(s) have an error instead of answers: {errors}",
        "stopped": "stopped after {done} of {rows} rows; the same command goes on from there",
    },
    "zh": {
        "asking": "提问中",
        "written": "共 {rows} 行，每秒 {speed:.2f} 个问题；结果写入 {output}",
        "failed": "有 {failed} 行没有答案而是错误：{errors}",
        "stopped": "已停止：完成 {rows} 行中的 {done} 行；再次运行同一命令会接着做",
    },
}


@click.command(short_help="Answer a file of questions; resumable, on one machine or many.")
@click.argument("rows", metavar="QUESTIONS.jsonl")
@click.option(
    "-o", "--output", required=True, metavar="OUT.jsonl", help="Where the answers go; a stopped run goes on."
)
@click.option(
    "--library", metavar="WHERE", help="Ask a library, its folder or postgresql://…, not the rows' texts."
)
@click.option("--passages", type=int, help="How many passages of the library to read; default: as in puna ask.")
@click.option("--top", default=5, show_default=True, help="How many answers to give to each question.")
@click.option("--max-words", default=MAX_WORDS, show_default=True, help="Longest answer, in words.")
@click.option("--max-chars", default=MAX_CHARS, show_default=True, help="Longest answer in Chinese, in characters.")
@normalise_option
@calibration_option
@model_option
@reader_option
@device_option
@click.option("--keep", is_flag=True, help="Keep what is read on disk, for later runs.")
@click.option(
    "--engine", type=click.Choice(["here", "ray"]), default="here", show_default=True, help="Where to ask."
)
@click.option(
    "--workers",
    type=int,
    help="With --engine ray: processes that hold the model.  [default: 2, or one for each machine]",
)
@click.option(
    "--address", metavar="ADDRESS", help="With --engine ray: a cluster that runs; default: one is started here."
)
@json_option
def ask_many(
    rows: str,
    output: str,
    library: str | None,
    passages: int | None,
    top: int,
    max_words: int,
    max_chars: int,
    normalise: str,
    calibration: str | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    keep: bool,
    engine: str,
    workers: int | None,
    address: str | None,
    as_json: bool,
) -> int:
    """Answer every question of QUESTIONS.jsonl (plain or gzipped), each about its row's own text or all of a library.

    Each line is an object such as

    \b
      {"question": "Who led it?", "text": "Ann led the walk.", "id": "7",
       "candidates": ["Ann", "Bob"]}

    on one line. "id" and "candidates" may be left out; "context" may stand for "text", or "texts", a list. Other fields
    do not count, nor do texts with --library. A text that several rows have is read once, wherever they stand.

    OUT.jsonl has a line for each, in the same order: row (the number of its line), then id, question, answers,
    no_answer_probability, coverage and certificate as in puna ask --json, and of a library passages without their text;
    or row and error (code, message) where the row cannot be asked, and the rest is done all the same.

    What is done is kept in OUT.jsonl.part: after Ctrl-C, a crash or kill -9 the same command goes on from there, also
    with another --engine. It refuses to where the rows, the model or the options have changed.

    --engine ray (pip install 'puna[scale]') asks on a Ray cluster, with the same result to the byte: on one that it
    starts on this machine, closed to others, or on that of --address.

    With --json: output, model, rows, failed, errors (how often each code), rows_per_second (of this run).

    Exits 0 if every row was asked, 1 if some have errors, 2 on bad input, 130 if it was stopped.

    \b
    Examples:
      puna ask-many questions.jsonl -o answers.jsonl
      puna ask-many questions.jsonl -o answers.jsonl --library notes.library
      puna ask-many questions.jsonl.gz -o answers.jsonl --engine ray --workers 4
    """
    from puna.answer.calibration import load_calibration
    from puna.answer.settings import Options, Settings
    from puna.library.retrieve import PASSAGES
    from puna.tasks.ray_cluster import check_ray

    options: Options = {"top": top, "max_words": max_words, "max_chars": max_chars, "normalise": normalise}
    if calibration:
        options["calibration"] = load_calibration(calibration)
    Settings(**options)
    if passages is not None and library is None:
        raise InputError("E-LIBRARY-ASK-NONE")
    if passages is not None and passages < 1:
        raise InputError("E-LIBRARY-ASK-PASSAGES", value=passages)
    for name, value in (("--workers", workers), ("--address", address)):
        if value is not None and engine != "ray":
            raise InputError("E-WORKERS-ENGINE", option=name)
    if workers is not None and workers < 1:
        raise InputError("E-WORKERS", value=workers)
    if engine == "ray":
        check_ray()
    from puna.tasks.ask_many import Run, ask_here
    from puna.tasks.ask_row import How
    from puna.tasks.many_rows import ManyRows

    how = How(rows, model, adapter, device, keep, options, library, PASSAGES if passages is None else passages)
    every = ManyRows(Path(rows), Path(output).parent, library=library is not None)
    asker = how.asker()
    name, run = asker.model, Run(every, Path(output), asker.identity)
    words, before, began = _WORDS[language()], run.done, time.perf_counter()
    if engine == "ray":
        from puna.tasks.ask_ray import ask_on_ray

        asked = ask_on_ray(run, how, workers, address)
    else:
        asked = ask_here(run, asker)
    del asker  # the workers of a cluster have their own
    with counting(words["asking"], len(every)) as report, stopping() as stop, closing(asked):
        report(before)
        while run.done < len(every) and not stop() and next(asked, None) is not None:
            report(run.done)
    if run.done < len(every):
        say(words["stopped"].format(done=run.done, rows=len(every)))
        return 130
    found = run.finish()
    speed = (found.rows - before) / max(time.perf_counter() - began, 1e-9)
    if as_json:
        print_json({"output": output, "model": name, **asdict(found), "rows_per_second": round(speed, 3)})
    if found.failed:
        errors = ", ".join(f"{count} × {code}" for code, count in found.errors.items())
        say(words["failed"].format(failed=found.failed, errors=errors))
    say(words["written"].format(rows=found.rows, speed=speed, output=output))
    return 1 if found.failed else 0

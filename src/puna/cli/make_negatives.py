"""`puna make-negatives`: rows with the wrong answers that a reader finds most probable."""

from pathlib import Path

import click

from puna.cli.inputs import device_option, json_option, model_option, reader_option
from puna.cli.interrupt import stopping
from puna.cli.output import counting, language, print_json, say

_WORDS = {
    "en": {
        "searching": "searching",
        "written": "{rows} rows with {count} wrong answers written to {output}",
        "stopped": "stopped; the same command goes on from there",
    },
    "zh": {
        "searching": "搜索中",
        "written": "{rows} 行、{count} 个错误答案已写入 {output}",
        "stopped": "已停止；再次运行同一命令会接着做",
    },
}


@click.command(name="make-negatives", short_help="Add a reader's most probable wrong answers to rows.")
@click.argument("rows", metavar="ROWS.jsonl...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to write the rows.")
@click.option(
    "--count", type=click.IntRange(min=1), default=4, show_default=True, help="Wrong answers of a row at most."
)
@reader_option
@click.option("--strict", is_flag=True, help="Refuse rows that are not right, instead of leaving them out.")
@model_option
@device_option
@json_option
def make_negatives(
    rows: tuple[str, ...],
    output: str,
    count: int,
    adapter: Path | str | None,
    strict: bool,
    model: str | None,
    device: str,
    as_json: bool,
) -> int:
    """Ask the questions of ROWS.jsonl and write the rows again, each with the wrong answers that come out on top.

    They stand in the field "wrong", where puna train reader --among learns to tell them from the right ones.

    With --json: output, model, rows, wrong (how many in all). Exits 130 if it was stopped; it goes on from there.

    \b
    Example:
      puna make-negatives train.jsonl --adapter reader/ -o hard.jsonl
      puna train reader hard.jsonl --init reader/ --among 1 -o better/
    """
    import puna
    from puna.cli.train_run import warn_of
    from puna.train.negatives import find_negatives
    from puna.train.rows import read_spans

    words = _WORDS[language()]
    found, wrong = read_spans([Path(name) for name in rows], strict=strict)
    warn_of([each.error for each in wrong])
    reader = puna.load(model, device=device, adapter=adapter)
    with stopping() as stop, counting(words["searching"], len(found)) as report:
        total = find_negatives(reader, found, count, Path(output), report, stop)
    if total is None:
        say(words["stopped"])
        return 130
    if as_json:
        print_json({"output": output, "model": reader.name, "rows": len(found), "wrong": total})
    else:
        say(words["written"].format(rows=len(found), count=total, output=output))
    return 0

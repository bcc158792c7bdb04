"""`puna lab`: the studies."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import json_option
from puna.cli.output import counting, language, print_json, print_table, say

if TYPE_CHECKING:
    from puna.lab.runner import Report

_WORDS = {
    "en": {
        "study": "study",
        "asks": "asks",
        "running": "running",
        "done": "{number}/{total} {piece}",
        "written": "written to {files}",
        "no picture": "no picture: pip install matplotlib (the extra plot), then run it again; nothing is done twice",
        "stopped": "stopped; the same command goes on",
    },
    "zh": {
        "study": "研究",
        "asks": "问题",
        "running": "进行中",
        "done": "{number}/{total} {piece}",
        "written": "已写入 {files}",
        "no picture": "没有画图：请先 pip install matplotlib（即 plot 附加项），再运行一次；已完成的部分不会重做",
        "stopped": "已停止；再次运行同一命令会接着做",
    },
}


@click.command(short_help="Run a study of the articles' variants.")
@click.argument("name", required=False)
@click.option("-o", "--output", metavar="DIR", default="build/lab", show_default=True, help="Where results go.")
@click.option(
    "--size", type=click.Choice(["small", "large"]), default="small", show_default=True,
    help="small: minutes on two cores; large: hours, or a GPU.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), help="Runs of each kind; default: the study's.")
@click.option("--device", metavar="DEVICE", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--data", metavar="DIR", help="The folder of data sets; default: PUNA_DATA.")
@click.option("--model", metavar="MODEL", help="For studies of a model: a file, a folder or a pulled name.")
@json_option
def lab(
    name: str | None,
    output: str,
    size: str,
    seeds: int | None,
    device: str,
    data: str | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Run the study NAME; without a name, list the studies.

    A study is many independent runs. Each that is finished is kept in DIR/NAME.pieces.jsonl, so that a stopped study goes
    on; at the end DIR/NAME.json holds setting, machine, every run and the summary, DIR/NAME.png (with Matplotlib) the
    picture.

    \b
    Fields of the JSON object, which is also what DIR/NAME.json holds:
      study, setting, machine, versions
      pieces    a list: piece (what was run), found, seconds
      summary   what the study's page describes
    Without a name: studies {name: title}.

    Exits 0 at the end, 2 on bad input, 130 if it was stopped.

    \b
    Examples:
      puna lab
      puna lab convergence --data data/ -o results
    """
    from puna.lab.studies import STUDIES, open_study

    words = _WORDS[language()]
    if name is None:
        titles = {known: study.title(language()) for known, study in STUDIES.items()}
        if as_json:
            print_json({"studies": titles})
        else:
            print_table([words["study"], words["asks"]], [[known, title] for known, title in titles.items()])
        return 0
    from puna.lab.runner import run_study
    from puna.lab.study import Setting
    from puna.weights.write import told

    study = open_study(name)
    if model is not None and not study.takes_model:
        raise click.UsageError(f"{name} is no study of a model: leave --model out")
    folder = Path(output)
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    setting = Setting(seeds or study.seeds, size, device, Path(data) if data else None, model)
    try:
        with _reporting(words) as report:
            outcome = run_study(name, study, setting, folder, report)
    except KeyboardInterrupt:
        say(words["stopped"])
        return 130
    if as_json:
        print_json(outcome.result)
    else:
        print_table(*study.table(outcome.summary, language()))
    say(words["written"].format(files=", ".join(map(str, outcome.files))))
    if len(outcome.files) < 2:
        say(words["no picture"])
    return 0


@contextmanager
def _reporting(words: dict[str, str]) -> "Iterator[Report]":
    """Show a bar over pieces on a terminal, elsewhere a line on stderr for each that is finished."""
    from puna.lab.study import label

    with counting(words["running"], 1) as bar:

        def report(number: int, total: int, piece: dict[str, object], share: float) -> None:
            if sys.stderr.isatty():
                bar(number if share == 1 else number + share, f" {label(piece)}", total)
            elif share == 1:
                say(words["done"].format(number=number, total=total, piece=label(piece)))

        yield report  # type: ignore[misc]

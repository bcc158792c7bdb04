"""`puna pull`: fetch a model and say what came."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import json_option
from puna.cli.output import language, print_json

if TYPE_CHECKING:
    from puna.weights.digest import Progress, Step
    from puna.weights.pull import HubSource

_WORDS = {
    "en": {
        "download": "fetching {name}",
        "check": "checking {name}",
        "copy": "copying {name}",
        "wait": "waiting for another pull of {name}",
        "retry": "connection lost, trying again: {name}",
        "done": "done: {name}",
        "unknown": "size unknown",
        "there": "{name} (already there)",
        "dry": "{name} (would be fetched)",
        "fetched": "{name} (fetched)",
        "source": "source",
        "size": "size",
        "path": "path",
    },
    "zh": {
        "download": "下载 {name}",
        "check": "校验 {name}",
        "copy": "复制 {name}",
        "wait": "等待另一个进程下载 {name}",
        "retry": "连接中断，重试：{name}",
        "done": "完成：{name}",
        "unknown": "大小未知",
        "there": "{name}（已存在）",
        "dry": "{name}（将会下载）",
        "fetched": "{name}（已下载）",
        "source": "来源",
        "size": "大小",
        "path": "路径",
    },
}


@click.command(short_help="Fetch a model.")
@click.argument("model", required=False)
@click.option(
    "--source",
    type=click.Choice(["auto", "hf", "hf-mirror", "modelscope", "url", "file"]),
    default="auto",
    show_default=True,
    help="Where to fetch from; auto decides by the form of MODEL, a hub id meaning hf.",
)
@click.option("--name", metavar="NAME", help="Name in the store, instead of one made from MODEL.")
@click.option("--sha256", metavar="HEX", help="Refuse anything with another sha256.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit on a hub.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be fetched.")
@json_option
def pull(
    model: str | None,
    source: "HubSource",
    name: str | None,
    sha256: str | None,
    revision: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch a model into the store, once; without MODEL the default one (98 MB).

    MODEL is a hub id (owner/name, or owner/name:file.gguf), a URL of a GGUF file, or a file or folder on
    this machine. An interrupted pull goes on where it stopped. HF_ENDPOINT, HF_TOKEN, PIP_INDEX_URL,
    HTTPS_PROXY and PUNA_CACHE count. To fetch a model again, delete it at its path first.

    \b
    Examples:
      puna pull
      puna pull HuggingFaceTB/SmolLM2-360M-Instruct
      puna pull --source modelscope Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen2.5-0.5b-instruct-q8_0.gguf
      puna pull ./my-model.gguf --name mine
    """
    from puna.errors import PullError
    from puna.weights.pull import pull as fetch

    try:
        with _reporter() as progress:
            found = fetch(
                model,
                name=name,
                sha256=sha256,
                revision=revision,
                hub_source=source,
                dry_run=dry_run,
                progress=progress,
            )
    except KeyboardInterrupt:
        raise PullError("E-PULL-STOPPED") from None
    facts = {
        "name": found.name,
        "path": str(found.path),
        "source": found.source,
        "origin": found.origin,
        "size": found.size,
        "sha256": found.sha256,
        "already_there": found.already_there,
        "dry_run": dry_run,
    }
    if as_json:
        print_json(facts)
        return
    words = _WORDS[language()]
    click.echo(words["there" if found.already_there else "dry" if dry_run else "fetched"].format(name=found.name))
    origin = f" ({found.origin})" if found.origin not in {None, found.source} else ""
    for label, value in (("source", f"{found.source}{origin}"), ("size", found.line()), ("path", found.path)):
        click.echo(f"{words[label]:<8}{value}")


@contextlib.contextmanager
def _reporter() -> Iterator["Progress"]:
    """Report on stderr: a bar on a terminal, else a line where a download or copy begins and one where it ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Bars(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks = {}

        def report(step: "Step") -> None:
            words = _WORDS[language()][step.what].format(name=step.name)
            if step.what in {"wait", "retry"}:
                bars.console.print(words, markup=False, highlight=False)
                return
            if words not in tasks:
                tasks[words] = bars.add_task(words, total=step.total)
            bars.update(tasks[words], completed=step.done, total=step.total)

        yield report


class _Lines:
    """Progress in plain lines."""

    def __init__(self) -> None:
        self.begun: set[tuple[str, str]] = set()

    def __call__(self, step: "Step") -> None:
        """Print the first and the last step of each piece of work that takes long."""
        words = _WORDS[language()]
        total = words["unknown"] if step.total is None else f"{step.total / 1e6:,.1f} MB"
        key = (step.what, step.name)
        if step.what in {"wait", "retry"}:
            click.echo(words[step.what].format(name=step.name), err=True)
        elif step.what != "check" and key not in self.begun:
            self.begun.add(key)
            click.echo(f"{words[step.what].format(name=step.name)} ({total})", err=True)
        if step.what in {"download", "copy"} and step.done == step.total:
            click.echo(words["done"].format(name=step.name), err=True)

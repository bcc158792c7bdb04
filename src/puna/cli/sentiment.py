"""`puna sentiment`: whether texts are positive or negative, in English and Chinese."""

from pathlib import Path

import click

from puna.cli.classify_run import classified, texts_of
from puna.cli.inputs import device_option, json_option, model_option, sentiment_option

_NAMES = {"positive": "正面", "negative": "负面"}  # as printed where Puna speaks Chinese


@click.command(short_help="Tell whether texts are positive or negative.")
@click.argument("text", required=False)
@click.option("--file", metavar="FILE", help="Many texts: .txt (a line each), .csv or .jsonl, plain or gzipped.")
@click.option("--column", default="text", show_default=True, help="The texts' column or field in FILE.")
@click.option("-o", "--output", metavar="OUT.jsonl", help="Where the labels of FILE go; a stopped run goes on.")
@click.option("--prior/--no-prior", default=None, help="Divide out what a label gets behind an empty text, or not.")
@model_option
@sentiment_option
@device_option
@json_option
def sentiment(
    text: str | None,
    file: str | None,
    column: str,
    output: str | None,
    prior: bool | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> int:
    """Tell whether TEXT ("-" is standard input), or each text of a FILE, is positive or negative.

    This is puna classify with two labels and prompts made for them, in English or Chinese by the script of each text; the
    fields of --json, the form of FILE and the exit codes are the same, and labels there are "positive" and "negative" in
    either language.

    \b
    Examples:
      puna sentiment "A warm and funny film."
      puna sentiment 房间很干净，服务也好。
      puna sentiment --file reviews.csv --column review -o sentiment.jsonl
    """
    texts = texts_of(text, file, column, output)
    import puna
    from puna.tasks.sentiment import Sentiment

    found = Sentiment(puna.load(model, adapter=adapter, device=device), prior=prior)
    return classified(found, texts, output, as_json, _NAMES)

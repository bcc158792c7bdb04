"""`puna ask`: answers from a text, ranked."""

import click

from puna.cli.inputs import json_option, model_option, read_sources
from puna.cli.output import print_answers, print_hidden, print_json, print_reading, progress


@click.command(short_help="Answer a question from text, ranked.")
@click.argument("question")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--text", "texts", multiple=True, help="A text to read; may be given again.")
@click.option("--file", "more_files", multiple=True, metavar="FILE", help="A file to read; may be given again.")
@click.option(
    "--candidate", "candidates", multiple=True, help="An answer to judge, instead of all spans of the text."
)
@click.option("--top", default=5, show_default=True, help="How many answers to give.")
@model_option
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of the files.")
@json_option
def ask(
    question: str,
    files: tuple[str, ...],
    texts: tuple[str, ...],
    more_files: tuple[str, ...],
    candidates: tuple[str, ...],
    top: int,
    model: str | None,
    encoding: str,
    as_json: bool,
) -> int:
    """Answer QUESTION from text: every answer ranked, with its probability and its place.

    The text comes from FILEs ("-" is standard input) or --text. Without --candidate every span of the text is a
    candidate. Exits 0 if answered, 1 if the text probably holds no answer, 2 on bad input.

    \b
    Examples:
      puna ask "Who led the expedition?" --file report.txt
      puna ask 世界上最高的山峰是什么？ --text 珠穆朗玛峰是世界上最高的山峰。 --candidate 珠穆朗玛峰 --candidate 泰山
      cat report.txt | puna ask "When did it end?" - --json
    """
    from puna.answer.checks import check, sources_of

    check(question, candidates or None, top)
    sources = sources_of(read_sources(texts, (*files, *more_files), encoding))
    import puna

    with progress(question) as report:
        found = puna.load(model).ask(question, sources, candidates or None, top, report)
    if as_json:
        print_json(found.to_dict())
    else:
        print_answers(found)
        print_reading(question, found.coverage, found.elapsed_ms, found.model)
        if candidates:
            print_hidden(question, len(found), len(candidates))
    return 0 if found.best else 1

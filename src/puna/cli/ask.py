"""`puna ask`: answers from a text, ranked."""

from pathlib import Path

import click

from puna.answer.spans import MAX_CHARS, MAX_WORDS
from puna.cli.ask_from import asking
from puna.cli.inputs import (
    calibration_option,
    device_option,
    json_option,
    model_option,
    normalise_option,
    reader_option,
    share,
)
from puna.cli.interrupt import stopping
from puna.cli.output import (
    print_answers,
    print_hidden,
    print_json,
    print_passages,
    print_reading,
    print_why,
    progress,
    warn,
)
from puna.library.retrieve import PASSAGES


@click.command(short_help="Answer a question from text, ranked.")
@click.argument("question")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--text", "texts", multiple=True, help="A text to read; may be given again.")
@click.option("--file", "more_files", multiple=True, metavar="FILE", help="A file to read; may be given again.")
@click.option("--library", metavar="WHERE", help="A library to ask: its folder, or postgresql://…")
@click.option("--passages", type=int, help=f"How many passages of the library to read.  [default: {PASSAGES}]")
@click.option(
    "--candidate", "candidates", multiple=True, help="An answer to judge, instead of all spans of the text."
)
@click.option("--top", default=5, show_default=True, help="How many answers to give.")
@click.option("--max-words", default=MAX_WORDS, show_default=True, help="Longest answer, in words.")
@click.option("--max-chars", default=MAX_CHARS, show_default=True, help="Longest answer in Chinese, in characters.")
@click.option("--exact", is_flag=True, help="Search until it is proven that no span of all texts is better.")
@click.option("--max-nodes", type=int, help="Budget of the search in each window of text.  [default: 8192]")
@normalise_option
@click.option("--group/--no-group", default=True, help="Show overlapping wordings as one answer, or each alone.")
@click.option("--why", is_flag=True, help="Hide each sentence in turn and say what the answer loses.")
@calibration_option
@click.option(
    "--max-error",
    metavar="SHARE",
    callback=share,
    help="Answer only where at most this share goes wrong, such as 5%.",
)
@model_option
@reader_option
@device_option
@click.option(
    "--keep", is_flag=True, help="Keep what is read on disk: a further question about it is answered faster."
)
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of the files.")
@json_option
def ask(
    question: str,
    files: tuple[str, ...],
    texts: tuple[str, ...],
    more_files: tuple[str, ...],
    library: str | None,
    passages: int | None,
    candidates: tuple[str, ...],
    top: int,
    max_words: int,
    max_chars: int,
    exact: bool,
    max_nodes: int | None,
    normalise: str,
    group: bool,
    why: bool,
    calibration: str | None,
    max_error: float | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    keep: bool,
    encoding: str,
    as_json: bool,
) -> int:
    """Answer QUESTION from text: every answer ranked, with its probability and its place.

    The text comes from FILEs ("-" is standard input) or --text, or is that of a library (puna index makes one), of which
    the passages are read that match best. Without --candidate every span of the text is a candidate. Ctrl-C ends the
    search with the best answers so far. Exits 0 if answered, 1 if there is probably no answer, 2 on bad input, 130 if it
    was stopped.

    --keep takes up to 4 GiB of the user's cache, 25 MB for each 1,000 tokens with the default model; the text can be
    told from it. puna kept shows it and clears it.

    \b
    Examples:
      puna ask "Who led the expedition?" --file report.txt
      puna ask 世界上最高的山峰是什么？ --text 珠穆朗玛峰是世界上最高的山峰。 --candidate 珠穆朗玛峰 --candidate 泰山
      cat report.txt | puna ask "When did it end?" - --json
      puna ask "Who led the expedition?" --file report.txt --why
      puna ask "Who led the expedition?" --file book.txt --keep
      puna ask "Who led the expedition?" --library archive.library --keep
      puna ask "Who led the expedition?" --file report.txt --calibration calib.json --max-error 5%
      puna ask "Who led the expedition?" --file report.txt --adapter my-reader
    """
    from puna.answer.calibration import load_calibration
    from puna.answer.checks import check
    from puna.answer.settings import Options, Settings

    options: Options = {
        "top": top,
        "max_words": max_words,
        "max_chars": max_chars,
        "exact": exact,
        "max_nodes": max_nodes,
        "normalise": normalise,
        "group": group,
        "why": why,
    }
    if calibration:
        options["calibration"] = load_calibration(calibration)
        options["max_error"] = max_error
    settings = Settings(**options)
    if candidates:
        settings.judging()
    options["max_error"] = max_error  # without a file: for the adapter's own calibration, if it has one
    check(question, candidates or None)
    with asking(texts, (*files, *more_files), encoding, library, passages) as ask_it:
        import puna
        from puna.rank.shelf import MEMORY

        warn(question)
        # One question goes to a window once, unless it goes back to it.
        memory = MEMORY if exact or why else 0
        reader = puna.load(model, adapter=adapter, device=device, memory=memory, keep=keep)
        with progress(question) as report, stopping() as stop:
            found = ask_it(reader, question, candidates or None, progress=report, stop=stop, **options)
    if as_json:
        print_json(found.to_dict())
    else:
        print_answers(found)
        print_passages(found)
        print_why(found)
        print_reading(found, stopped=stop())
        if candidates:
            print_hidden(question, len(found), len(candidates))
    if stop():
        return 130
    return 0 if found.best else 1

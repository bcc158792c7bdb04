"""`puna rank`: candidates ranked by what the model knows, without a text."""

from pathlib import Path

import click

from puna.cli.inputs import adapter_option, device_option, json_option, model_option, normalise_option
from puna.cli.output import print_json, print_ranking


@click.command(short_help="Rank candidates without a text.")
@click.argument("question")
@click.option(
    "--candidate", "-c", "candidates", multiple=True, required=True, help="An answer; may be given again."
)
@click.option("--top", type=int, help="How many to give; default: all.")
@normalise_option
@model_option
@adapter_option
@device_option
@json_option
def rank(
    question: str,
    candidates: tuple[str, ...],
    top: int | None,
    normalise: str,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> None:
    """Rank candidate answers to QUESTION without a text. Probabilities are among the candidates.

    \b
    Examples:
      puna rank "What is the capital of France?" -c Paris -c London -c Berlin
      puna rank "What is the capital of France?" -c Paris -c London --adapter my-adapter
    """
    import puna
    from puna.answer.checks import check
    from puna.answer.settings import Settings

    check(question, candidates)
    Settings(top=1 if top is None else top)
    found = puna.load(model, adapter=adapter, device=device).rank(question, candidates, top, normalise)
    if as_json:
        print_json(found.to_dict())
    else:
        print_ranking(question, found.answers)

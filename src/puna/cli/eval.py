"""`puna eval`: the group of commands that measure on labelled rows, one file each."""

import click

from puna.cli.eval_choice import choice
from puna.cli.eval_classify import classify
from puna.cli.eval_qa import qa
from puna.cli.eval_translate import translate


@click.group(short_help="Measure on labelled rows.")
def eval() -> None:
    """Measure how good the answers are, on labelled rows of your own or of a public set."""


eval.add_command(choice)
eval.add_command(classify)
eval.add_command(qa)
eval.add_command(translate)

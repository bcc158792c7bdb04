"""`puna train`: the group of commands that train, one file each."""

import click

from puna.cli.train_classify import classify
from puna.cli.train_lm import lm
from puna.cli.train_reader import reader
from puna.cli.train_translate import translate


@click.group(short_help="Train a reader, labels, a translator, or a language model.")
def train() -> None:
    """Train a reader, labels or a translator on rows of your own or of a public set, or a language model on plain text.

    Several processes train together with the same command, with the same steps as one:

    \b
      torchrun --nproc-per-node 2 --no-python puna train reader rows.jsonl -o reader/
    """


train.add_command(classify)
train.add_command(lm)
train.add_command(reader)
train.add_command(translate)

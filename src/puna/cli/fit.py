"""`puna fit`: the model fitted to a text."""

from pathlib import Path
from typing import Unpack

import click

from puna.cli.inputs import share
from puna.cli.output import language, say
from puna.cli.train_options import Common, common, order_of
from puna.cli.train_run import run_training

_WORDS = {
    "en": {
        "data": "{tokens} tokens of text and {rows} questions made of it",
        "init": "on top of the adapter {name}",
    },
    "zh": {"data": "{tokens} 个词元的文字，以及由它造出的 {rows} 个问题", "init": "以适配器 {name} 为起点"},
}


@click.command(short_help="Fit the model to a text of yours.")
@click.argument("files", metavar="TEXT...", nargs=-1, required=True)
@click.option(
    "--hold-back", metavar="SHARE", default="0", show_default=True, callback=share,
    help="Last share of each text that is not learned, only measured, such as 50% or 0.5.",
)  # fmt: skip
@click.option("--length", type=click.IntRange(min=2), default=512, show_default=True, help="Tokens of a chain.")
@click.option(
    "--questions", type=click.IntRange(min=1), default=8, show_default=True,
    help="Questions of a step at least; 64 tokens of text count as one.",
)  # fmt: skip
@common(epochs=3.0, rate=3e-4)
def fit(files: tuple[str, ...], hold_back: float, length: int, questions: int, **given: Unpack[Common]) -> int:
    """Fit the model to TEXT, plain text or JSON Lines with a "text", plain or gzipped, in minutes: an adapter for it.

    It learns the text token by token, and questions made of it as puna make-rows makes them; nobody has to label
    anything. It begins with --init, else with the reader that comes with Puna for the model, if any. How many bits a
    byte of the text takes is said before and after, and with --hold-back of its unseen end, too.

    With --json: output, model, steps, best_step, before and after (bits a byte of what is learned), unseen_before and
    unseen_after.

    Checkpoints, log and curves are as with puna train reader. Exits 0 if the adapter was written, 2 on bad input, 130
    if it was stopped.

    \b
    Example:
      puna fit handbook.md -o handbook/
      puna ask "Who signs the form?" --file handbook.md --adapter handbook/
    """
    if not 0 <= hold_back < 1:
        raise click.BadParameter(f"{hold_back} is no share below 1", param_hint="--hold-back")
    if given["full"]:
        raise click.UsageError("puna fit gives an adapter; for --full there is puna train lm")
    order = order_of(given, questions=questions)
    words = _WORDS[language()]
    from puna.train.fit import fit as fitted
    from puna.train.fit import measure, text_of
    from puna.train.ranks import Ranks
    from puna.train.session import Session

    session = Session("fit", order, Ranks(order.device))
    text = text_of(session, [Path(name) for name in files], hold_back, length)
    if session.ranks.first:
        tokens = sum(len(passage.tokens) for passage in text.passages if not passage.questions)
        say(words["data"].format(tokens=tokens, rows=text.rows))
        if session.init is not None:
            say(words["init"].format(name=session.init.name))
    before = measure(session, text)

    def figures() -> dict[str, float]:
        after = measure(session, text)
        names = {"seen": "", "unseen": "unseen_"}
        both = (("before", before), ("after", after))
        return {f"{names[part]}{when}": found[part] for part in before for when, found in both}

    return run_training(session, given, lambda watch: fitted(session, text, watch), figures)

"""`puna train translate`: an adapter that translates, trained on pairs of texts."""

from pathlib import Path
from typing import Unpack

import click

from puna.cli.output import language, say
from puna.cli.train_options import Common, common, order_of
from puna.cli.train_run import run_training, tell_left_out

_WORDS = {
    "en": {
        "data": "{rows} pairs to learn from in both directions, {held} held back",
    },
    "zh": {
        "data": "{rows} 对用于双向学习，{held} 对留作验证",
    },
}


@click.command(short_help="Train a translator on pairs of texts.")
@click.argument("rows", metavar="ROWS.jsonl...", nargs=-1, required=True)
@click.option("--valid", metavar="FILE", help="Rows to choose the best by; default: 2 % of ROWS, 300 at most.")
@click.option(
    "--sentences",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Translations of a step at least.",
)
@click.option(
    "--strict", is_flag=True, help="Refuse rows that cannot be learned from, instead of leaving them out."
)
@common(epochs=3.0, rate=1e-3)
def translate(
    rows: tuple[str, ...], valid: str | None, sentences: int, strict: bool, **given: Unpack[Common]
) -> int:
    """Train the model to translate the pairs of ROWS.jsonl, those of puna eval translate, each in both directions.

    What is learned is the first target and where it ends; the text itself is only read. What is trained are low-rank
    differences (LoRA), for puna translate --adapter. With --full all is trained; the result is a whole model, for puna
    translate --model. --init, checkpoints, log and curves are as with puna train reader.

    With --json: output, model, steps, best_step, and of the rows held back loss and answer (nats a sentence),
    nats_per_token, sentences (two a row).

    Exits 0 if the result was written, 2 on bad input, 130 if it was stopped.

    \b
    Example:
      puna train translate train.jsonl.gz -o translator/
      puna translate "Where is the station?" --to zh --adapter translator/
    """
    order = order_of(given, questions=sentences, pointer=0.0)
    words = _WORDS[language()]
    from puna.train.ranks import Ranks
    from puna.train.session import Session
    from puna.train.translation import pair_passages, read_pairs, train_translation

    ranks = Ranks(order.device)
    found = read_pairs(
        [Path(name) for name in rows], Path(valid) if valid else None, strict=strict, seed=order.recipe.seed
    )
    session = Session("translator", order, ranks)
    tokenizer, context = session.base.tokenizer, session.context
    known = len(found.wrong)
    learned, held = (pair_passages(each, tokenizer, context, found.wrong) for each in (found.rows, found.held))
    if strict and len(found.wrong) > known:
        raise found.wrong[known].error
    if not learned:
        raise found.wrong[-1].error
    if ranks.first:
        tell_left_out([wrong.error for wrong in found.wrong])
        say(words["data"].format(rows=len(learned) // 2, held=len(held) // 2))
    return run_training(session, given, lambda watch: train_translation(session, found, learned, held, watch))

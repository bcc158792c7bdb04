"""`puna train reader`: an adapter that answers questions, trained on labelled rows."""

from pathlib import Path
from typing import Unpack

import click

from puna.cli.output import counting, language, say
from puna.cli.train_options import Common, common, order_of
from puna.cli.train_run import run_training, tell_left_out

_WORDS = {
    "en": {
        "preparing": "preparing",
        "data": "{rows} rows to learn from, {held} held back",
    },
    "zh": {
        "preparing": "准备中",
        "data": "{rows} 行用于学习，{held} 行留作验证",
    },
}


@click.command(short_help="Train a reader on questions with answers.")
@click.argument("rows", metavar="ROWS.jsonl...", nargs=-1, required=True)
@click.option("--valid", metavar="FILE", help="Rows to choose the best by; default: 2 % of ROWS, 300 at most.")
@click.option(
    "--questions", type=click.IntRange(min=1), default=32, show_default=True, help="Questions of a step at least."
)
@click.option(
    "--pointer", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Weight of the pointer's loss."
)
@click.option(
    "--among",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help='Weight of the loss among an answer and the "wrong" ones of its row (puna make-negatives).',
)
@click.option(
    "--strict", is_flag=True, help="Refuse rows that cannot be learned from, instead of leaving them out."
)
@common(epochs=2.0, rate=5e-4)
def reader(
    rows: tuple[str, ...],
    valid: str | None,
    questions: int,
    pointer: float,
    among: float,
    strict: bool,
    **given: Unpack[Common],
) -> int:
    """Train the model to answer the questions of ROWS.jsonl, which are those of puna eval qa, with spans of their texts.

    Rows of several files and languages may be mixed. All questions about one text are learned in a single reading of it.
    What is trained are low-rank differences (LoRA) and a pointer to spans; the result is an adapter in the form of the
    peft library, for puna ask --adapter. With --full all is trained; the result is a whole model, for puna ask --model.

    Beside FOLDER stands FOLDER.training with the log (log.jsonl), the curves (curves.png, with Matplotlib; TensorBoard
    where it is installed), and checkpoints until the end. Ctrl-C keeps one; the same command goes on from there, also
    after a crash, and on a CPU ends with the same bytes. Less --tokens where memory is short, also on the way: the bytes
    then differ by rounding.

    With --json: output, model, steps, best_step, and of the rows held back, as fractions em and f1 of the pointer, and
    loss, answer and pointer in nats; questions, how many they are.

    Exits 0 if the adapter was written, 2 on bad input, 130 if it was stopped.

    \b
    Example:
      puna train reader train.jsonl.gz -o reader/
      puna ask "Who led it?" --file report.txt --adapter reader/
    """
    order = order_of(given, questions=questions, pointer=pointer, among=among)
    words = _WORDS[language()]
    from puna.train.lesson import lessons
    from puna.train.ranks import Ranks
    from puna.train.reader import material, train_reader
    from puna.train.session import Session

    ranks = Ranks(order.device)
    found = material(
        [Path(name) for name in rows],
        Path(valid) if valid else None,
        strict=strict,
        among=among > 0,
        seed=order.recipe.seed,
    )
    session = Session("reader", order, ranks)
    if ranks.first:
        tell_left_out([wrong.error for wrong in found.wrong])
        say(words["data"].format(rows=len(found.rows), held=len(found.held)))
    with counting(words["preparing"], len(found.rows)) as prepared:
        passages = list(lessons(found.rows, session.base.tokenizer, session.context, prepared))
    return run_training(session, given, lambda watch: train_reader(session, found, passages, watch))

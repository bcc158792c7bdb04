"""`puna train classify`: an adapter that gives texts labels, trained on labelled rows."""

from pathlib import Path
from typing import Unpack

import click

from puna.cli.inputs import label_options, labels_given
from puna.cli.output import counting, language, say
from puna.cli.train_options import Common, common, order_of
from puna.cli.train_run import run_training, tell_left_out

_WORDS = {
    "en": {
        "preparing": "preparing",
        "data": "{rows} texts to learn from, {held} held back, {labels} labels",
    },
    "zh": {
        "preparing": "准备中",
        "data": "{rows} 条文本用于学习，{held} 条留作验证，{labels} 个标签",
    },
}


@click.command(short_help="Train labels on labelled texts.")
@click.argument("rows", metavar="ROWS.jsonl...", nargs=-1, required=True)
@click.option("--valid", metavar="FILE", help="Rows to choose the best by; default: 2 % of ROWS, 300 at most.")
@label_options
@click.option(
    "--sentiment", is_flag=True, help='Rows labelled "positive" and "negative", asked as puna sentiment asks.'
)
@click.option(
    "--texts", type=click.IntRange(min=1), default=32, show_default=True, help="Texts of a step at least."
)
@click.option(
    "--strict", is_flag=True, help="Refuse rows that cannot be learned from, instead of leaving them out."
)
@common(epochs=2.0, rate=5e-4)
def classify(
    rows: tuple[str, ...],
    valid: str | None,
    label: tuple[str, ...],
    labels: str | None,
    sentiment: bool,
    texts: int,
    strict: bool,
    **given: Unpack[Common],
) -> int:
    """Train the model to give the texts of ROWS.jsonl their labels: {"text": ..., "label": ...} a line.

    The labels are those of all rows, or the ones that --label and --labels give; the adapter is for these, named to puna
    classify in the same words. What is learned is to tell the right label from the others.

    Beside FOLDER stands FOLDER.training, as for puna train reader; Ctrl-C, a crash, and going on are as there.

    With --json: output, model, steps, best_step, and of the rows held back loss and among in nats, accuracy as a
    fraction; questions, how many they are.

    Exits 0 if the adapter was written, 2 on bad input, 130 if it was stopped.

    \b
    Example:
      puna train classify news.jsonl.gz -o topics/
      puna classify "The striker scored." --label sports --label politics --adapter topics/
      puna train classify reviews.jsonl --sentiment -o reviews/
      puna sentiment "It arrived broken." --adapter reviews/
    """
    order = order_of(given, questions=texts, answer=0.0, among=1.0, pointer=0.0)
    words = _WORDS[language()]
    from puna.train.classify import label_lessons, material, train_labels
    from puna.train.ranks import Ranks
    from puna.train.session import Session

    ranks = Ranks(order.device)
    found = material(
        [Path(name) for name in rows],
        Path(valid) if valid else None,
        labels_given(label, labels),
        strict=strict,
        seed=order.recipe.seed,
        sentiment=sentiment,
    )
    session = Session("classify", order, ranks)
    if ranks.first:
        tell_left_out(found.wrong)
        say(words["data"].format(rows=len(found.rows), held=len(found.held), labels=len(found.labels)))
    with counting(words["preparing"], len(found.rows)) as prepared:
        passages = list(
            label_lessons(
                found.rows,
                found.labels,
                session.base.tokenizer,
                session.context,
                order.recipe.seed,
                prepared,
                sentiment=sentiment,
            )
        )
    return run_training(session, given, lambda watch: train_labels(session, found, passages, watch))

"""`puna train lm`: a language model from plain text."""

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from puna.cli.train_options import Common, common, order_of
from puna.cli.train_run import run_training

if TYPE_CHECKING:
    from puna.train.scratch import Sizes

_count = click.IntRange(min=1)


@click.command(short_help="Train a language model on plain text.")
@click.argument("files", metavar="FILES...", nargs=-1, required=True)
@click.option("--valid", metavar="FILE", multiple=True, help="Text to choose the best by; default: 2 % of FILES.")
@click.option("--length", type=click.IntRange(min=2), default=512, show_default=True, help="Tokens of a chain.")
@click.option("--batch", type=_count, default=8192, show_default=True, help="Tokens of a step at least.")
@click.option("--width", type=_count, help="Begin a new model of this width, with random weights.")
@click.option("--layers", type=_count, default=4, show_default=True, help="Of a new model: layers.")
@click.option("--heads", type=_count, help="Of a new model: query heads; default: one for 64 of the width.")
@click.option("--kv-heads", type=_count, help="Of a new model: key-value heads; default: as many as query heads.")
@click.option("--ffn", type=_count, help="Of a new model: feed-forward width; default: 8/3 of the width.")
@click.option(
    "--vocab", metavar="bytes|MODEL", default="bytes", show_default=True,
    help="Of a new model: its tokens are bytes, or those of another model.",
)  # fmt: skip
@click.option(
    "--positions-from", type=click.IntRange(min=2), metavar="N",
    help="Draw each chain's positions from N, sorted, so that it learns distances of longer texts; default: count.",
)  # fmt: skip
@common(epochs=1.0, rate=5e-4)
def lm(
    files: tuple[str, ...],
    valid: tuple[str, ...],
    length: int,
    batch: int,
    width: int | None,
    layers: int,
    heads: int | None,
    kv_heads: int | None,
    ffn: int | None,
    vocab: str,
    positions_from: int | None,
    **given: Unpack[Common],
) -> int:
    """Train on the text of FILES, plain or gzipped: each file is a document, and so is each "text" of JSON Lines.

    A model that is there learns low-rank differences (LoRA) and gives an adapter, or with --full every weight. A new one
    (--width) learns everything. What is trained in full is written as a folder with config.json, tokenizer.json and
    safetensors, which puna, and Transformers, open. --init, checkpoints, log and curves are as with puna train reader.

    With --positions-from every chain stands, in every step, at other positions of 0 to N-1, drawn without replacement and
    sorted (Ruoss et al. 2023). What is held back is read at counted positions, as every command reads.

    With --json: output, model, steps, best_step, and of the text held back loss and text (nats a token), bits_per_byte,
    tokens.

    Exits 0 if the result was written, 2 on bad input, 130 if it was stopped.

    \b
    Example:
      puna train lm corpus.txt.gz --width 256 --layers 6 --rate 2e-3 -o small/
      puna generate "Once upon" --raw --model small/
    """
    if width is not None:
        given["full"] = True
    if positions_from is not None and positions_from < length:
        raise click.UsageError(f"--positions-from {positions_from} are too few for chains of --length {length}")
    order = order_of(given, questions=batch / 64, positions_from=positions_from)
    from puna.train.lm import train_lm
    from puna.train.ranks import Ranks
    from puna.train.session import Base, Session

    ranks = Ranks(order.device)
    base = None
    if width is not None:
        sizes = _sizes(width, layers, heads, kv_heads, ffn, max(length, positions_from or 0))
        base = Base.made(sizes, None if vocab == "bytes" else vocab, order.recipe.seed)
    session = Session("lm", order, ranks, base)
    texts, others = ([Path(name) for name in names] for names in (files, valid))
    return run_training(session, given, lambda watch: train_lm(session, texts, others, length, watch))


def _sizes(width: int, layers: int, heads: int | None, kv_heads: int | None, ffn: int | None, span: int) -> "Sizes":
    """Give a new model's sizes, which must fit each other."""
    from puna.train.scratch import Sizes

    heads = heads or max(1, width // 64)
    kv_heads = kv_heads or heads
    if width % (2 * heads):
        raise click.UsageError(f"--width {width} is no even multiple of {heads} heads")
    if heads % kv_heads:
        raise click.UsageError(f"--kv-heads {kv_heads} does not divide {heads} heads")
    return Sizes(width, layers, heads, kv_heads, ffn or -(-8 * width // 96) * 32, max(span, 1024))

"""Options that the commands which train have in common, and what is made of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from puna.cli.inputs import device_option, json_option, model_option
from puna.train.matrices import TARGETS

if TYPE_CHECKING:
    from puna.train.network import LoRA
    from puna.train.session import Order

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Common(TypedDict):
    """What the common options give to a command."""

    output: str
    epochs: float
    rate: float
    schedule: str
    warmup: float
    clip: float
    decay: float
    tokens: int
    seed: int
    patience: int
    lora_rank: int
    lora_alpha: float | None
    targets: tuple[str, ...]
    full: bool
    init: str | None
    extract_rank: int | None
    save_dtype: str
    save_every: int | None
    tensorboard: bool
    model: str | None
    device: str
    as_json: bool


def _targets(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if unknown := [name for name in names if name not in TARGETS]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(TARGETS)}", context, parameter)
    return names


def common(*, epochs: float, rate: float) -> Callable[[_Command], _Command]:
    """Give a command the options of every training, with its own defaults."""
    positive = click.FloatRange(min=0, min_open=True)
    options = [
        click.option("-o", "--output", required=True, metavar="FOLDER", help="Where the result goes."),
        click.option("--epochs", type=positive, default=epochs, show_default=True, help="Times all is read."),
        click.option(
            "--rate", type=positive, default=rate, show_default=True, help="Learning rate at its highest."
        ),
        click.option(
            "--schedule",
            type=click.Choice(["cosine", "linear", "constant"]),
            default="cosine",
            show_default=True,
            help="How the rate falls.",
        ),
        click.option(
            "--warmup",
            type=click.FloatRange(0, 1),
            default=0.03,
            show_default=True,
            help="Share of the steps in which the rate rises.",
        ),
        click.option(
            "--clip",
            type=click.FloatRange(min=0),
            default=1.0,
            show_default=True,
            help="Longest gradient of a step; 0: any.",
        ),
        click.option(
            "--decay", type=click.FloatRange(min=0), default=0.0, show_default=True, help="AdamW's weight decay."
        ),
        click.option(
            "--tokens",
            type=click.IntRange(min=1),
            default=8192,
            show_default=True,
            help="Tokens of a forward at most: less takes less memory, and comes to the same but for rounding.",
        ),
        click.option("--seed", default=0, show_default=True, help="Another seed begins and shuffles otherwise."),
        click.option(
            "--patience",
            type=click.IntRange(min=0),
            default=8,
            show_default=True,
            help="End after so many validations without a better one; 0: never.",
        ),
        click.option(
            "--lora-rank",
            type=click.IntRange(min=1),
            default=32,
            show_default=True,
            help="Rank of the differences that are trained.",
        ),
        click.option("--lora-alpha", type=positive, help="They count alpha/rank; default: alpha = rank."),
        click.option(
            "--targets",
            metavar="NAMES",
            default=",".join(TARGETS),
            callback=_targets,
            help="Matrices that get one, with commas between; default: all seven kinds.",
        ),
        click.option("--full", is_flag=True, help="Train every weight instead; writes a whole model's folder."),
        click.option(
            "--extract-rank",
            type=click.IntRange(min=1),
            help="With --full: write an adapter of this rank, as near to the trained weights as it can be.",
        ),
        click.option(
            "--init", metavar="ADAPTER", help="Go on from this adapter, with its rank, alpha and targets."
        ),
        click.option(
            "--save-dtype",
            type=click.Choice(["bf16", "fp32"]),
            default="bf16",
            show_default=True,
            help="Numbers of the result; training itself has fp32.",
        ),
        click.option(
            "--save-every",
            type=click.IntRange(min=1),
            metavar="STEPS",
            help="Steps from checkpoint to checkpoint; default: 10 minutes.",
        ),
        click.option(
            "--tensorboard",
            is_flag=True,
            help="Refuse to go without TensorBoard, which is written where it is installed.",
        ),
        model_option,
        device_option,
        json_option,
    ]

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def order_of(given: Common, **recipe: Any) -> "Order":
    """Give what the options ask for; `recipe`: what a command has besides."""
    # oneDNN keeps what it has compiled for each shape of a product, 1,024 of them; shapes of batches hardly ever recur.
    # Read when torch first multiplies.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    from puna.train.recipe import Recipe
    from puna.train.session import Order

    if given["full"] and given["init"]:
        raise click.UsageError("--init goes on from an adapter, and --full trains none: take one of them")
    if given["extract_rank"] and not given["full"]:
        raise click.UsageError("--extract-rank is for --full")
    names = ("epochs", "rate", "schedule", "warmup", "clip", "decay", "tokens", "seed", "patience")
    fields: dict[str, Any] = {name: given[name] for name in names}  # type: ignore[literal-required]
    return Order(
        output=Path(given["output"]),
        recipe=Recipe(**fields, **recipe),
        lora=None if given["full"] else _lora(given),
        model=given["model"],
        init=Path(given["init"]) if given["init"] else None,
        device=given["device"],
        dtype=given["save_dtype"],
        rank=given["extract_rank"],
        board=given["tensorboard"],
    )


def _lora(given: Common) -> "LoRA":
    from puna.train.network import LoRA

    rank = given["lora_rank"]
    return LoRA(rank, given["lora_alpha"] or float(rank), given["targets"])

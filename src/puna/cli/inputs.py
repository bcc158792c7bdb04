"""Options that several commands have, and texts from options, files and standard input."""

import codecs
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from puna.answer.normalise import NORMALISATIONS
from puna.errors import InputError

if TYPE_CHECKING:
    from puna.answer.types import Source
    from puna.tasks.labels import Label

_Command = TypeVar("_Command", bound=Callable[..., Any])
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
model_option = click.option(
    "--model", metavar="MODEL", help="A model file, folder or pulled name; default: SmolLM2-135M-Instruct."
)
device_option = click.option(
    "--device", metavar="DEVICE", default="auto", help="cpu, cuda or cuda:N; default: a GPU where there is one."
)


def _adapter_option(default: str | None, otherwise: str) -> Callable[[Any], Any]:
    def chosen(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | str | None:
        if value is None:
            return default
        return None if value == "none" else Path(value)

    text = f"Change the model by a LoRA adapter, a folder or a GGUF file; default: {otherwise}."
    return click.option("--adapter", metavar="FOLDER", callback=chosen, help=text)


# What reads texts takes Puna's own reader unless it is told not to; what asks the model's own knowledge does not.
reader_option = _adapter_option(
    "shipped", "the reader that comes with Puna for the model, if any; none: the model as it is"
)
adapter_option = _adapter_option(None, "none")
translator_option = _adapter_option(
    "translator", "the translator that comes with Puna for the model, if any; none: the model as it is"
)
sentiment_option = _adapter_option(
    "sentiment", "the one for sentiment that comes with Puna for the model, if any; none: the model as it is"
)
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Ask only so many, drawn at random.")
seed_option = click.option("--seed", default=0, show_default=True, help="Another seed draws other rows.")
normalise_option = click.option(
    "--normalise",
    type=click.Choice(NORMALISATIONS),
    default="sum",
    show_default=True,
    help="How answers of different length are compared.",
)
calibration_option = click.option(
    "--calibration", metavar="FILE", help="A file of puna calibrate, for honest probabilities."
)


def label_options(command: _Command) -> _Command:
    """Give a command the options that name labels; `labels_given` reads them."""
    command = click.option("--labels", metavar="FILE", help="A label a line, or a .jsonl of labels.")(command)
    name = '"NAME" or "NAME: what it means"; may be given again.'
    return click.option("--label", multiple=True, metavar="LABEL", help=name)(command)


def labels_given(texts: tuple[str, ...], file: str | None) -> "list[Label]":
    """Give the labels of options and of a file; raise InputError for a file that cannot be read."""
    from puna.tasks.labels import label_of

    found = [label_of(text) for text in texts]
    if file is not None:
        from puna.evaluate.texts import read_labels

        found += read_labels(Path(file))
    return found


def share(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Take an option such as "5%" or "0.05" as a fraction."""
    if value is None:
        return None
    text = value.strip().replace("％", "%")
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no share such as 5% or 0.05", context, parameter) from None


def read_sources(texts: tuple[str, ...], files: tuple[str, ...], encoding: str) -> "list[Source]":
    """Give a source for each text and file; "-" is standard input. Raises InputError for what cannot be read."""
    from puna.answer.types import Source

    found = [Source("text" if len(texts) == 1 else f"text {n}", text) for n, text in enumerate(texts, 1)]
    found += [
        Source("stdin" if name == "-" else name, _decode(name, _bytes(name), encoding))
        for name in dict.fromkeys(files)
    ]
    if not found:
        raise InputError("E-TEXT-MISSING")
    return found


def read_lines(files: Sequence[str], encoding: str) -> Iterator[str]:
    """Give the lines of files without their ends; those of standard input ("-") as they come. Raises InputError."""
    for name in dict.fromkeys(files):
        if name != "-" or encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
            lines = _decode("stdin" if name == "-" else name, _bytes(name), encoding).split("\n")
            yield from (line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1]))
            continue
        byte = 0
        for number, raw in enumerate(sys.stdin.buffer):
            yield _decode("stdin", raw, encoding, byte, number).removesuffix("\n").removesuffix("\r")
            byte += len(raw)


def _bytes(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise InputError("E-FILE-MISSING", path=name, cwd=Path.cwd()) from None
    except (OSError, ValueError) as error:  # a folder, no permission, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError("E-FILE-READ", path=name, reason=str(reason).lower()) from None


def _decode(name: str, raw: bytes, encoding: str, before: int = 0, lines: int = 0) -> str:
    """Decode strictly; a byte order mark is no part of the text. Line ends stay as they are: offsets count them.

    before, lines: bytes and lines that were read of the same file already.
    """
    try:
        codec = codecs.lookup(encoding)
        text = raw.decode("utf-8-sig" if codec.name == "utf-8" and not before else encoding)
    except UnicodeError as error:
        byte = getattr(error, "start", 0)
        line = lines + raw.count(b"\n", 0, byte) + 1
        raise InputError("E-ENCODING", path=name, encoding=encoding, byte=before + byte, line=line) from None
    except (LookupError, TypeError, ValueError):  # unknown, or a codec that is not of text
        raise InputError("E-ENCODING-UNKNOWN", encoding=encoding) from None
    return text

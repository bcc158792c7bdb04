"""The command's root: finds the subcommand, prints errors the same way for all.

Nothing here or at the top of a command's file imports torch: `puna --help` answers at once.
"""

import atexit
import gc
import importlib
import os
import sys
from typing import Any

# Threads of a matrix product wait for each other in a loop: on a machine that is busy otherwise, each product waits for
# the slowest thread's turn. After this many rounds they sleep. Writing beside one busy process on two cores: 744 ms a
# token with torch's default, 202 ms with this; alone 48 and 51 ms. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import click

from puna import __version__
from puna.cli.output import language, printable
from puna.errors import InputError, PunaError

# Python ends with a search for cycles among all objects, torch's 160,000 too: half a second after each run.
# Those that are frozen are not looked through; what has to be done at the end (files, exit handlers) still is.
atexit.register(gc.freeze)

_COMMANDS = (
    "ask",
    "ask-many",
    "index",
    "rank",
    "generate",
    "translate",
    "classify",
    "sentiment",
    "calibrate",
    "eval",
    "train",
    "fit",
    "make-rows",
    "make-negatives",
    "pull",
    "export",
    "regroup",
    "quantize",
    "info",
    "doctor",
    "kept",
    "mcp",
    "serve",
    "bench",
    "lab",
)


class _Root(click.Group):
    """Imports a subcommand's file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"puna.cli.{module}"), module)
        return command


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="puna")
def cli() -> None:
    """Ranked, cited answers from text with a Llama model, on your own machine.

    \b
    Example:
      puna pull
      puna ask "Who led the expedition?" --file report.txt

    Exit codes: 0 answered, 1 not in the text, 2 bad input or usage.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    try:
        code: Any = cli.main(arguments, standalone_mode=False)
    except PunaError as error:
        _fail(*error.describe(language()), code=error.code)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "puna"
        _fail(error.format_message().rstrip("."), f"{where} --help")
    except click.ClickException as error:
        _fail(error.format_message().rstrip("."), "")
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        sys.exit(130)
    except RuntimeError as error:  # click.Abort is one, too, and stands before
        if not _no_memory(error):
            raise
        full = InputError("E-DEVICE-MEMORY")
        _fail(*full.describe(language()), code=full.code)
    except BrokenPipeError:
        # The reader of our output is gone; nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


def _no_memory(error: RuntimeError) -> bool:
    """Tell whether it says that a GPU's memory is full. Who has not loaded torch, needs not do it here."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _fail(message: str, hint: str, code: str = "E-USAGE") -> None:
    click.echo(printable(f"error: {message} [{code}]"), err=True)
    if hint:
        click.echo(printable(f"hint: {hint}"), err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()

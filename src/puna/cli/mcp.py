"""`puna mcp`: tools for programs that speak the Model Context Protocol."""

from importlib.util import find_spec
from pathlib import Path

import click

from puna.cli.inputs import device_option, model_option, read_sources, reader_option
from puna.cli.output import language
from puna.errors import InputError


@click.command(short_help="Offer tools to programs that speak MCP.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--library", metavar="DIR|postgresql://…", help="A library to ask, instead of FILEs.")
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of the files.")
@model_option
@reader_option
@device_option
def mcp(
    files: tuple[str, ...],
    library: str | None,
    encoding: str,
    model: str | None,
    adapter: Path | str | None,
    device: str,
) -> None:
    """Offer the tools ask, rank and read_span over FILEs, a library, or texts that come with each call.

    Speaks the Model Context Protocol on standard input and output, for a program that starts it; ends with its input.
    The tools open no files but these. Needs the extra "mcp": pip install 'puna[mcp]'.

    \b
    Examples:
      puna mcp
      puna mcp handbook.md report.txt
      puna mcp --library my.library
    """
    if find_spec("mcp") is None:
        raise InputError("E-MCP-MISSING")
    if "-" in files:
        raise click.BadParameter("standard input is where the protocol is spoken")
    if files and library:
        raise InputError("E-LIBRARY-ASK-TEXTS")
    from puna.answer.checks import sources_of

    sources = sources_of(read_sources((), files, encoding)) if files else []
    import puna
    from puna.serve.library import Documents
    from puna.serve.mcp import make_server

    documents = Documents(library, create=False) if library else None
    reader = puna.load(model, adapter=adapter, device=device)
    make_server(reader, sources, language(), documents).run("stdio")

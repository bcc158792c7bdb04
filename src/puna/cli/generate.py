"""`puna generate`: text written on from a prompt, streamed."""

import re
import sys
import time
from pathlib import Path

import click

from puna.cli.inputs import adapter_option, device_option, json_option, model_option, read_sources
from puna.cli.output import language, print_json
from puna.errors import InputError

_CUT = {
    "en": {
        "length": "cut after {tokens} tokens; --max-tokens allows more",
        "context": "cut after {tokens} tokens, where the model's context ends",
    },
    "zh": {
        "length": "写满 {tokens} 个词元后截断；用 --max-tokens 可放宽",
        "context": "写了 {tokens} 个词元后截断，模型的上下文已用尽",
    },
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@click.command(short_help="Write on from a prompt.")
@click.argument("prompt", required=False)
@click.option("--file", "file", metavar="FILE", help='Read the prompt from a file; "-" is standard input.')
@click.option("--raw", is_flag=True, help="Go on from the prompt as it stands, without the model's chat template.")
@click.option("--system", metavar="TEXT", help="A system message before the prompt.")
@model_option
@adapter_option
@device_option
@click.option("--max-tokens", default=256, show_default=True, help="Stop after so many tokens.")
@click.option(
    "--temperature", default=0.0, show_default=True, help="0 always takes the most probable token; more varies."
)
@click.option("--top-k", default=0, show_default=True, help="Choose among the K most probable tokens; 0 is off.")
@click.option("--top-p", default=1.0, show_default=True, help="Choose among the best that add up to P; 1 is off.")
@click.option(
    "--min-p", default=0.0, show_default=True, help="Choose among those P times as probable as the best; 0 is off."
)
@click.option("--seed", type=int, help="Makes what is drawn at a temperature above 0 repeatable.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; may be given again.")
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of the file.")
@json_option
def generate(
    prompt: str | None,
    file: str | None,
    raw: bool,
    system: str | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    min_p: float,
    seed: int | None,
    stop: tuple[str, ...],
    encoding: str,
    as_json: bool,
) -> None:
    """Write on from PROMPT ("-" is standard input), in the model's chat template unless --raw.

    Above temperature 0 the filters work in the order top-k, top-p, min-p. A line end at the end of a file is not
    part of the prompt. JSON has text, tokens (ids), stop_reason (end, stop, length or context), model, elapsed_ms.

    \b
    Examples:
      puna generate "What is the capital of France?"
      puna generate --raw "Once upon a time" --temperature 0.8 --top-p 0.95 --seed 7
      puna generate --file question.txt --system "Answer in one sentence." --stop 。 --json
      puna generate "What is the capital of France?" --adapter my-adapter
    """
    text = _prompt(prompt, file, encoding)
    if raw and system is not None:
        raise InputError("E-RAW-SYSTEM")
    if not raw and not text.strip():
        raise InputError("E-PROMPT-EMPTY")
    import puna

    reader = puna.load(model, adapter=adapter, device=device)
    began = time.perf_counter()
    written = reader.generate(
        text,
        raw=raw,
        system=system,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        seed=seed,
        stop=stop,
        on_text=None if as_json else _show,
    )
    if as_json:
        print_json(
            {
                "text": written.text,
                "tokens": written.tokens,
                "stop_reason": written.stop_reason,
                "model": reader.name,
                "elapsed_ms": round((time.perf_counter() - began) * 1000, 1),
            }
        )
        return
    click.echo()
    if cut := _CUT[language(text)].get(written.stop_reason):
        click.secho(cut.format(tokens=len(written.tokens)), err=True, dim=True)


def _prompt(prompt: str | None, file: str | None, encoding: str) -> str:
    if prompt is not None and file is not None:
        raise InputError("E-PROMPT-TWICE")
    if prompt == "-":
        prompt, file = None, "-"
    if file is not None:
        text = read_sources((), (file,), encoding)[0].text
        return text.removesuffix("\n").removesuffix("\r")
    if prompt is None:
        raise InputError("E-PROMPT-MISSING")
    return prompt


def _show(text: str) -> None:
    """Print a piece at once; on a terminal without control characters, which could rewrite the screen."""
    click.echo(_CONTROL.sub("\ufffd", text) if sys.stdout.isatty() else text, nl=False)

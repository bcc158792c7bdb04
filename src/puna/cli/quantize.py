"""`puna quantize`: what each type of weights costs on a text."""

from dataclasses import asdict
from pathlib import Path

import click

from puna.cli.export import TYPES
from puna.cli.inputs import adapter_option, device_option, json_option, read_sources
from puna.cli.output import counting, language, print_json, print_table, say

_DEFAULT = "q8_0,q6_k,q5_0,q4_k,q4_1,q4_0"
_WORDS = {
    "en": {
        "as it is": "as it is",
        "heads": "type\tMB\tperplexity\tnats a token\tmore\t±",
        "measuring": "measuring",
        "what": "{tokens} tokens predicted, in {windows} window(s), from the first {read} of {characters} characters",
    },
    "zh": {
        "as it is": "原样",
        "heads": "类型\tMB\t困惑度\t每词元 nat\t增加\t±",
        "measuring": "测量中",
        "what": "预测了 {tokens} 个词元，{windows} 个窗口，取自 {characters} 个字符中的前 {read} 个",
    },
}


def _kinds(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    kinds = list(dict.fromkeys(each.strip().lower() for each in value.split(",") if each.strip()))
    for each in kinds:
        if each not in TYPES:
            raise click.BadParameter(f"{each!r} is none of {', '.join(TYPES)}", context, parameter)
    return [each.upper() for each in kinds]


@click.command(short_help="Tell what quantising a model costs.")
@click.argument("model")
@click.option(
    "--text", metavar="FILE", required=True, help='A text like those that it is for; "-" is standard input.'
)
@click.option(
    "--types", metavar="LIST", default=_DEFAULT, show_default=True, callback=_kinds, help="Types to compare."
)
@click.option(
    "--tokens", type=click.IntRange(min=2), default=16384, show_default=True, help="Read so many at most."
)
@click.option(
    "--window", type=click.IntRange(min=2), default=1024, show_default=True, help="Tokens read from nothing."
)
@click.option("--encoding", default="utf-8", show_default=True, help="Of the text.")
@adapter_option
@device_option
@json_option
def quantize(
    model: str,
    text: str,
    types: list[str],
    tokens: int,
    window: int,
    encoding: str,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> None:
    """Tell how much worse MODEL predicts a text in each type, beside the bytes that its weights then take.

    Nothing is written: puna export writes the type that you choose, with the same weights. The text is read from its
    beginning, in windows; each type reads the same tokens, so that what it costs is known better than the perplexity
    itself: "more" is the mean difference in nats a token, and behind it stands its standard error. A model that is
    quantised already can only get worse; start from its f16, bf16 or f32 file.

    \b
    Fields of the JSON object:
      model, text, tokens, characters, read   read: characters that were read
      types     a list, the model as it is first: type (null for it), size_bytes,
                perplexity, nats, added, error

    \b
    Example:
      puna quantize default --text book.txt --types q8_0,q4_0
    """
    words = _WORDS[language()]
    (source,) = read_sources((), (text,), encoding)
    from puna.export.cost import costs, windows
    from puna.export.folder import tokenizer_of
    from puna.export.model import Source
    from puna.llama.config import LlamaConfig
    from puna.llama.device import choose_device

    where, opened = choose_device(device), Source.opened(model, adapter)
    for kind in types:
        opened.retyped(kind)  # refuses at once what cannot be made
    context = LlamaConfig.from_dict(opened.checkpoint.config).context
    tokenizer, _ = tokenizer_of(opened.path, opened.checkpoint)
    cut = windows(source.text, tokenizer, tokens, min(window, context))
    done = 0
    with counting(words["measuring"], len(cut.tokens) * (len(types) + 1)) as bar:

        def step() -> None:
            nonlocal done
            done += 1
            bar(done)

        found = list(costs(opened, types, cut, where, step))
    facts = {"tokens": cut.predicted, "characters": len(source.text), "read": cut.characters}
    if as_json:
        rows = [{**_lower(asdict(cost)), "perplexity": cost.perplexity} for cost in found]
        print_json({"model": str(opened.path), "text": text, **facts, "types": rows})
        return
    print_table(
        words["heads"].split("\t"),
        [
            [
                cost.kind.lower() if cost.kind else words["as it is"],
                f"{cost.size_bytes / 1e6:,.1f}",
                f"{cost.perplexity:,.3f}",
                f"{cost.nats:.4f}",
                f"{cost.added:+.4f}" if cost.kind else "",
                f"{cost.error:.4f}" if cost.kind else "",
            ]
            for cost in found
        ],
    )
    say(words["what"].format(windows=len(cut.tokens), **facts))


def _lower(fields: dict[str, object]) -> dict[str, object]:
    kind = fields.pop("kind")
    return {"type": kind.lower() if isinstance(kind, str) else None, **fields}

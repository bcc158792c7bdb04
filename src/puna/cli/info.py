"""`puna info`: what is in a model file.

Nothing of the file's text reaches the terminal unescaped, neither in the table nor in the JSON.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from puna.cli.inputs import adapter_option, json_option
from puna.cli.output import print_json, printable


@click.command(short_help="Tell what is in a model file.")
@click.argument("model", required=False)
@adapter_option
@json_option
def info(model: str | None, adapter: Path | str | None, as_json: bool) -> None:
    """Tell what is in a model file; without MODEL in the default model.

    MODEL is a path, or the name or hub id of a model that was pulled. The weights themselves are not read.

    \b
    Fields of the JSON object (null where the files do not say):
      path, format, size_bytes       format is "gguf", "safetensors" or "pth"
      name, licence                  as the file's metadata has them
      source, revision, sha256       as recorded by puna pull
      architecture, layers, width, heads, kv_heads, head_dim, ffn_width,
      vocab_size, context, norm_eps, tied_head, attention_bias (of q, k, v),
      output_bias (of o), mlp_bias, head_norms (of q and k), window,
      window_layers                  the sliding window's tokens, null where
                                     there is none, and how many layers have it
      rope                           type, theta, factor, original_context,
                                     attention_factor, options
      parameters                     how many; a tied head counts once
      tensors                        a list: type, count, parameters, bytes
      tokenizer                      kind, model, pre, vocab_size, bos_id,
                                     bos, eos_ids, eos (their spellings),
                                     chat_template; or problem: code, message
      engine                         what computes it on this machine: cuda,
                                     amx, avx512, avx2, neon or torch
      cache_bytes_per_token          keys and values that it keeps of a token
      adapter                        with --adapter: name, base, matrices,
                                     ranks, parameters, examples, calibrated

    \b
    Example:
      puna info --adapter my-reader
    """
    from puna.llama.describe import describe, describe_adapter
    from puna.weights.adapted import AdaptedCheckpoint
    from puna.weights.checkpoint import open_checkpoint
    from puna.weights.gguf_adapter import open_adapter
    from puna.weights.store import resolve

    checkpoint = open_checkpoint(resolve(model))
    facts = {**describe(checkpoint), "adapter": None}
    if adapter is not None:
        found = open_adapter(adapter, checkpoint.config)
        AdaptedCheckpoint(checkpoint, found)  # refuses what does not fit the model
        facts["adapter"] = describe_adapter(found, Path(adapter))
    if as_json:
        print_json(facts)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for name, value in (*_lines(facts), *_adapter_lines(facts["adapter"])):
        console.print(Text.assemble((f"{name:<16}", "bold"), value), soft_wrap=True)


def _lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lay the facts out as (name, value) lines, all of them safe to print."""
    from puna.weights.refuse import shown

    rope, tokenizer = facts["rope"], facts["tokenizer"]
    yield "path", printable(facts["path"])
    for name in ("name", "licence", "source", "revision", "sha256"):
        if facts[name] is not None:
            yield name, shown(facts[name])
    yield "format", f"{facts['format']}, {_bytes(facts['size_bytes'])}"
    yield "architecture", facts["architecture"]
    yield "parameters", f"{facts['parameters']:,}"
    yield "layers", f"{facts['layers']:,}"
    yield "width", f"{facts['width']:,}, feed-forward {facts['ffn_width']:,}"
    yield "heads", f"{facts['heads']} query, {facts['kv_heads']} key-value, {facts['head_dim']} wide"
    yield (
        "vocabulary",
        f"{facts['vocab_size']:,}, head {'tied to the embedding' if facts['tied_head'] else 'its own'}",
    )
    yield "context", f"{facts['context']:,} tokens"
    yield "norm eps", f"{facts['norm_eps']:.3g}"
    scaling = {"factor": rope["factor"], "original context": rope["original_context"]}
    scaling |= {"attention factor": rope["attention_factor"], **rope["options"]}
    shown_scaling = "" if rope["type"] == "default" else "".join(_setting(*pair) for pair in scaling.items())
    yield "RoPE", f"{rope['type']}{_setting('theta', rope['theta'])}{shown_scaling}"
    if facts["window"]:
        yield "window", f"{facts['window']:,} tokens in {facts['window_layers']:,} of {facts['layers']:,} layers"
    kinds = {"attention_bias": "q, k, v", "output_bias": "o", "mlp_bias": "mlp"}
    yield "biases", ", ".join(part for key, part in kinds.items() if facts[key]) or "none"
    if facts["head_norms"]:
        yield "head norms", "of queries and keys"
    for entry in facts["tensors"]:
        amount = f"{entry['parameters']:,} parameters, {_bytes(entry['bytes'])}"
        yield "tensors", f"{entry['type']:<5} {entry['count']:,}: {amount}"
    if "problem" in tokenizer:
        yield "tokenizer", f"{tokenizer['problem']['code']}: {shown(tokenizer['problem']['message'])}"
        yield from _engine_lines(facts)
        return
    pre = f" ({shown(tokenizer['pre'])})" if tokenizer["pre"] else ""
    yield "tokenizer", f"{tokenizer['kind']}{pre}, {tokenizer['vocab_size']:,} tokens"
    begin = f"{shown(tokenizer['bos'])} ({tokenizer['bos_id']})" if tokenizer["bos_id"] is not None else "none"
    ends = [f"{shown(text)} ({i})" for i, text in zip(tokenizer["eos_ids"], tokenizer["eos"], strict=True)]
    yield "special tokens", f"begin {begin}, end {', '.join(ends) or 'none'}"
    yield "chat template", "yes" if tokenizer["chat_template"] else "no"
    yield from _engine_lines(facts)


def _engine_lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    each = facts["cache_bytes_per_token"]
    yield "cache", f"{each:,} bytes a token, {_bytes(each * facts['context'])} for the whole context"
    yield "engine", facts["engine"]


def _adapter_lines(facts: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    from puna.weights.refuse import shown

    if facts is None:
        return
    base = f", for {shown(facts['base'])}" if facts["base"] else ""
    yield "adapter", f"{shown(facts['name'])}{base}"
    ranks = ", ".join(map(str, facts["ranks"]))
    yield "changes", f"{facts['matrices']:,} matrices, rank {ranks}: {facts['parameters']:,} parameters"
    examples, calibrated = ("yes" if facts[key] else "no" for key in ("examples", "calibrated"))
    yield "reads", f"worked examples {examples}, calibrated {calibrated}"


def _setting(name: str, value: Any) -> str:
    from puna.weights.refuse import shown

    if value is None:
        return ""
    if isinstance(value, list):
        return f", {shown(name)} {len(value)} numbers"
    plain = isinstance(value, bool) or not isinstance(value, int | float)
    return f", {shown(name)} {shown(value) if plain else f'{value:,.10g}'}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"

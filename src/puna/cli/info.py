"""`puna info`: what is in a model file.

Nothing of the file's text reaches the terminal unescaped, neither in the table nor in the JSON.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from puna.llama.rope import RopeConfig
    from puna.weights.checkpoint import Checkpoint

_GGUF_KINDS = {"gpt2": "byte-level BPE", "llama": "SentencePiece BPE"}


@click.command(short_help="Tell what is in a model file.")
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def info(model: str | None, as_json: bool) -> None:
    """Tell what is in a model file; without MODEL in the default model.

    MODEL is a path, or the name or hub id of a model that was pulled. The weights themselves are not read.

    \b
    Fields of the JSON object (null where the files do not say):
      path, format, size_bytes       format is "gguf" or "safetensors"
      name, licence                  as the file's metadata has them
      source, revision, sha256       as recorded by puna pull
      architecture, layers, width, heads, kv_heads, head_dim, ffn_width,
      vocab_size, context, norm_eps, tied_head, attention_bias, mlp_bias
      rope                           type, theta, factor, original_context,
                                     attention_factor, options
      parameters                     how many; a tied head counts once
      tensors                        a list: type, count, parameters, bytes
      tokenizer                      kind, model, pre, vocab_size, bos_id,
                                     eos_ids, chat_template; or problem:
                                     code, message
    """
    from puna.weights.checkpoint import open_checkpoint
    from puna.weights.store import resolve

    facts = describe(open_checkpoint(resolve(model)))
    if as_json:
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False)
        # Every unprintable character left stands inside a JSON string.
        click.echo("".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for name, value in _lines(facts):
        console.print(Text.assemble((f"{name:<16}", "bold"), value), soft_wrap=True)


def describe(checkpoint: "Checkpoint") -> dict[str, Any]:
    """Collect the fields that `info` lists."""
    from puna.llama.config import LlamaConfig

    config = LlamaConfig.from_dict(checkpoint.config)
    metadata = checkpoint.tokenizer_metadata or {}
    tensors = _tensors(checkpoint)
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "size_bytes": checkpoint.size_bytes,
        "name": _text(metadata.get("general.name")),
        "licence": _text(metadata.get("general.license")),
        **_recorded(checkpoint.path),
        "architecture": checkpoint.config["model_type"],
        "layers": config.layers,
        "width": config.width,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "ffn_width": config.ffn_width,
        "vocab_size": config.vocab_size,
        "context": config.context,
        "norm_eps": config.norm_eps,
        "rope": _rope(config.rope),
        "tied_head": config.tied,
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "parameters": sum(entry["parameters"] for entry in tensors),
        "tensors": tensors,
        "tokenizer": _tokenizer(checkpoint),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _recorded(path: Path) -> dict[str, str | None]:
    """Give what the manifest says, if there is one and every file still has its size."""
    from puna.weights.store import read_manifest

    manifest = read_manifest(path)
    if manifest is not None:
        places = {name: path / name if path.is_dir() else path for name in manifest.files}
        sizes = {name: place.stat().st_size if place.is_file() else -1 for name, place in places.items()}
        if sizes == {name: size for name, (size, _) in manifest.files.items()}:
            return {
                "source": _text(manifest.source),
                "revision": _text(manifest.revision),
                "sha256": manifest.sha256,
            }
    return {"source": None, "revision": None, "sha256": None}


def _rope(rope: "RopeConfig") -> dict[str, Any]:
    numbers = {"theta": rope.theta, "factor": rope.factor, "attention_factor": rope.attention_factor}
    return {
        "type": rope.kind,
        **{name: _number(value) for name, value in numbers.items()},
        "original_context": rope.original,
        "options": {name: _number(value) for name, value in rope.options.items()},
    }


def _number(value: Any) -> Any:
    """Leave finite numbers and lists of them as they are; anything else becomes short text."""
    from puna.weights.refuse import shown

    items = value if isinstance(value, list) else [value]
    sound = all(item is None or (isinstance(item, int | float) and math.isfinite(item)) for item in items)
    return value if sound else shown(value)


def _tensors(checkpoint: "Checkpoint") -> list[dict[str, Any]]:
    """Count tensors, parameters and bytes of each type, the largest first."""
    from puna.weights.blocks import FORMATS
    from puna.weights.safetensors_header import ITEM_BYTES

    sizes: dict[str, list[int]] = defaultdict(list)
    for name in checkpoint.names():
        sizes[checkpoint.type_name(name)].append(math.prod(checkpoint.shape(name)))
    found: list[dict[str, Any]] = []
    for kind, each in sizes.items():
        items, size = FORMATS.get(kind) or (1, ITEM_BYTES[kind])
        parameters = sum(each)
        count = {"type": kind, "count": len(each), "parameters": parameters}
        found.append({**count, "bytes": parameters // items * size})
    return sorted(found, key=lambda entry: -entry["bytes"])


def _tokenizer(checkpoint: "Checkpoint") -> dict[str, Any]:
    """Describe the tokenizer; a broken one is a line in the picture, not the end of it."""
    from puna.errors import PunaError
    from puna.tokens.folder_vocab import read_folder
    from puna.tokens.tokenizer import Tokenizer

    model = pre = None
    try:
        if (metadata := checkpoint.tokenizer_metadata) is not None:
            tokenizer = Tokenizer.from_gguf(metadata)
            model, pre = (_text(metadata.get(f"tokenizer.ggml.{key}")) for key in ("model", "pre"))
            kind = _GGUF_KINDS[model or ""]
        else:
            path = checkpoint.path
            folder = read_folder(path if path.is_dir() else path.parent)
            vocabulary = folder.vocabulary
            tokenizer = Tokenizer(
                vocabulary, bos_id=folder.bos_id, eos_ids=folder.eos_ids, template=folder.template
            )
            model = type(vocabulary.core.model).__name__
            kind = f"{'byte-level' if vocabulary.byte_level else 'SentencePiece'} {model}"
    except PunaError as error:
        return {"problem": {"code": error.code, "message": str(error)}}
    return {
        "kind": kind,
        "model": model,
        "pre": pre,
        "vocab_size": tokenizer.vocab_size,
        "bos_id": tokenizer.bos_id,
        "eos_ids": sorted(tokenizer.eos_ids),
        "chat_template": tokenizer.template is not None,
    }


def _lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lay the facts out as (name, value) lines, all of them safe to print."""
    from puna.weights.refuse import shown

    rope, tokenizer = facts["rope"], facts["tokenizer"]
    yield "path", "".join(char if char.isprintable() else "�" for char in facts["path"])
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
    biases = [part for part in ("attention", "mlp") if facts[f"{part}_bias"]]
    yield "biases", ", ".join(biases) or "none"
    for entry in facts["tensors"]:
        amount = f"{entry['parameters']:,} parameters, {_bytes(entry['bytes'])}"
        yield "tensors", f"{entry['type']:<5} {entry['count']:,}: {amount}"
    if "problem" in tokenizer:
        yield "tokenizer", f"{tokenizer['problem']['code']}: {shown(tokenizer['problem']['message'])}"
        return
    pre = f" ({shown(tokenizer['pre'])})" if tokenizer["pre"] else ""
    yield "tokenizer", f"{tokenizer['kind']}{pre}, {tokenizer['vocab_size']:,} tokens"
    ends = ", ".join(map(str, tokenizer["eos_ids"])) or "none"
    yield (
        "special tokens",
        f"begin {tokenizer['bos_id'] if tokenizer['bos_id'] is not None else 'none'}, end {ends}",
    )
    yield "chat template", "yes" if tokenizer["chat_template"] else "no"


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

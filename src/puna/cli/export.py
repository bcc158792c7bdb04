"""`puna export`: a model, or an adapter, written for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from puna.cli.inputs import adapter_option, json_option
from puna.cli.output import counting, language, print_json, printable, say, warn

if TYPE_CHECKING:
    from puna.export.model import Written

TYPES = ("f32", "f16", "bf16", "q8_0", "q6_k", "q5_1", "q5_k", "q5_0", "q4_1", "q4_k", "q4_0")
_WORDS = {
    "en": {
        "writing": "writing tensors",
        "written": "{path}: {size:,.1f} MB, {types}",
        "fallback": "{count} matrices are {found}: their rows are no whole number of {kind} blocks",
    },
    "zh": {
        "writing": "写入张量",
        "written": "{path}：{size:,.1f} MB，{types}",
        "fallback": "{count} 个矩阵使用 {found}：每行权重数不是 {kind} 块的整数倍",
    },
}


@click.command(short_help="Write a model for other programs.")
@click.argument("model")
@click.option("--to", "form", type=click.Choice(["gguf", "hf"]), required=True, help="A GGUF file, or a folder.")
@click.option(
    "--type", "kind", type=click.Choice(TYPES), help="Type of the matrices; default: the one that each has."
)
@adapter_option
@click.option("--adapter-only", is_flag=True, help="Write the adapter, not the model.")
@click.option("-o", "--output", metavar="PATH", required=True, help="What to write; it must not be there yet.")
@json_option
def export(
    model: str,
    form: Literal["gguf", "hf"],
    kind: str | None,
    adapter: Path | str | None,
    adapter_only: bool,
    output: str,
    as_json: bool,
) -> None:
    """Write MODEL for llama.cpp or Transformers. It is a path, or the name of a pulled model; "default" is Puna's own.

    A GGUF file has the model's tokenizer and chat template in it; a folder has config.json, tokenizer.json,
    tokenizer_config.json and model.safetensors, in f32, f16 or bf16. An --adapter is merged in fp32, and rounded once.
    With --adapter-only it is written by itself: as llama.cpp's LoRA file, or as a folder of PEFT's; MODEL is then the one
    that it is for.

    Gains and biases are f32 in a GGUF file. With a type of five bits or less the head (or the embedding, where that is
    the head) is q6_k. Rows that are no whole number of blocks get a wider type, as in llama.cpp, and that is said: q4_k
    gives way to q5_0, q5_k to q5_1, q6_k to q8_0, anything else to f16. What keeps its type is copied byte for byte.
    What a type costs is told by puna quantize.

    \b
    Fields of the JSON object:
      output, format, size_bytes   format is "gguf" or "hf"
      adapter                      its name, null without one
      tensors                      how many of each type
      fallbacks                    how many did not fit the wanted type, by the
                                   one they have

    \b
    Examples:
      puna export default --to gguf --type q8_0 -o model.gguf
      puna export default --to hf --adapter my-reader -o merged/
      puna export default --to gguf --adapter my-reader --adapter-only -o lora.gguf
    """
    warn("")
    from puna.export.model import Source, check_free, export_adapter, export_model

    words, target = _WORDS[language()], Path(output)
    check_free(target, form)
    source, wanted = Source.opened(model, adapter), kind.upper() if kind else None
    if adapter_only:
        found = export_adapter(source, form, wanted, target)
    else:
        with counting(words["writing"], len(source.checkpoint.names())) as bar:
            found = export_model(source, form, wanted, target, lambda done, total: bar(done, total=total))
    if as_json:
        print_json(_facts(found))
        return
    types = ", ".join(f"{count} {each}" for each, count in found.tensors.items())
    click.echo(words["written"].format(path=printable(output), size=found.size_bytes / 1e6, types=types))
    for each, count in found.fallbacks.items():
        say(words["fallback"].format(count=count, found=each, kind=wanted))


def _facts(found: "Written") -> dict[str, object]:
    return {
        "output": str(found.output),
        "format": found.form,
        "size_bytes": found.size_bytes,
        "adapter": found.adapter,
        "tensors": dict(found.tensors),
        "fallbacks": dict(found.fallbacks),
    }

"""`puna regroup`: a model with fewer key-value heads."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import json_option
from puna.cli.output import counting, language, print_json, print_metrics, printable, say, warn

if TYPE_CHECKING:
    from puna.export.regroup import By, Regrouped

_WORDS = {
    "en": {
        "writing": "writing tensors",
        "written": "{path}: {size:,.1f} MB, {types}",
        "kv_heads": "key-value heads",
        "queries": "query heads to each",
        "parameters": "parameters",
        "cache": "KV cache, bytes a token ({kind})",
        "change": "{before:,} → {after:,}",
        "mean": "each is the mean of {share} heads",
        "first": "each is the first of {share} heads",
        "random": "each is new, from random weights (seed {seed})",
        "train": "it predicts worse than the model that it was made of until it is trained on:\n"
        "puna train lm TEXT --full --model {path} -o FOLDER",
    },
    "zh": {
        "writing": "写入张量",
        "written": "{path}：{size:,.1f} MB，{types}",
        "kv_heads": "键值头",
        "queries": "每个键值头对应的查询头",
        "parameters": "参数",
        "cache": "KV 缓存，每词元字节数（{kind}）",
        "change": "{before:,} → {after:,}",
        "mean": "每个键值头是 {share} 个头的平均",
        "first": "每个键值头是 {share} 个头中的第一个",
        "random": "每个键值头都用随机权重重新初始化（种子 {seed}）",
        "train": "继续训练之前，它的预测不如原来的模型：\npuna train lm TEXT --full --model {path} -o FOLDER",
    },
}


@click.command(short_help="Give a model fewer key-value heads.")
@click.argument("model")
@click.option("--kv-heads", type=click.IntRange(min=1), required=True, help="How many are left; 1 is multi-query.")
@click.option(
    "--by", type=click.Choice(["mean", "first", "random"]), default="mean", show_default=True,
    help="What a group of heads becomes.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of --by random.")
@click.option(
    "--type", "kind", type=click.Choice(["f32", "f16", "bf16"]),
    help="Type of the folder; default: that of the matrices, f32 where they are quantised.",
)  # fmt: skip
@click.option("-o", "--output", metavar="FOLDER", required=True, help="What to write; it must not be there yet.")
@json_option
def regroup(model: str, kv_heads: int, by: "By", seed: int, kind: str | None, output: str, as_json: bool) -> None:
    """Write MODEL with fewer key-value heads: grouped-query attention, of which multi-query is the smallest.

    The KV cache, and what is read of it for each token, shrink with them. MODEL is a path or the name of a pulled model;
    the number of heads must divide the one it has. Heads that follow each other form a group, which becomes their mean
    (Ainslie 2023), the first of them, or, to compare with, a head that has learned nothing. The folder has config.json,
    tokenizer.json and model.safetensors; puna export makes a GGUF file of it. Quality comes back, most of it, with some
    more training.

    \b
    Fields of the JSON object:
      output, size_bytes, type     of the folder
      by, seed                     seed is null unless by is "random"
      heads                        query heads
      kv_heads, parameters         objects: before, after
      cache_bytes_per_token        object: before, after; numbers of cache_type
      cache_type                   "bfloat16" or "float32", as Puna has it here

    \b
    Examples:
      puna regroup default --kv-heads 1 -o multi-query/
      puna train lm book.txt --full --model multi-query/ -o trained/
    """
    warn("")
    from puna.export.model import check_free
    from puna.export.regroup import regroup as make

    words, target = _WORDS[language()], Path(output)
    check_free(target, "hf")
    with counting(words["writing"], 1) as bar:
        wanted = kind.upper() if kind else None
        found = make(model, kv_heads, by, seed, wanted, target, lambda done, total: bar(done, total=total))
    if as_json:
        print_json(_facts(found, by, seed))
        return
    types = ", ".join(f"{count} {each}" for each, count in found.written.tensors.items())
    click.echo(words["written"].format(path=printable(output), size=found.written.size_bytes / 1e6, types=types))
    queries = [found.heads // count for count in found.kv_heads]
    changes = [
        (words["kv_heads"], found.kv_heads),
        (words["queries"], queries),
        (words["parameters"], found.parameters),
        (words["cache"].format(kind=found.cache_type), found.cache_bytes),
    ]
    print_metrics([(label, words["change"].format(before=pair[0], after=pair[1])) for label, pair in changes])
    click.echo(words[by].format(share=found.kv_heads[0] // found.kv_heads[1], seed=seed))
    for line in words["train"].format(path=output).splitlines():
        say(line)


def _facts(found: "Regrouped", by: str, seed: int) -> dict[str, object]:
    def change(pair: tuple[int, int]) -> dict[str, int]:
        return {"before": pair[0], "after": pair[1]}

    (kind,) = found.written.tensors
    return {
        "output": str(found.written.output),
        "size_bytes": found.written.size_bytes,
        "type": kind,
        "by": by,
        "seed": seed if by == "random" else None,
        "heads": found.heads,
        "kv_heads": change(found.kv_heads),
        "parameters": change(found.parameters),
        "cache_bytes_per_token": change(found.cache_bytes),
        "cache_type": found.cache_type,
    }

"""`puna bench`: Puna beside its peers."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import json_option, model_option
from puna.cli.output import counting, language, print_json, print_table, say

if TYPE_CHECKING:
    from puna.bench.run import Found

_WORDS = {
    "en": {
        "measuring": "measuring",
        "measure": "measure",
        "ratio": "to the best peer",
        "share": "of the limit",
        "what": "{model}, {threads} thread(s) each on {processor}; medians of {rounds} round(s), without the first "
        "where there are more",
        "limits": "limits: {flops:,.0f} GFLOP/s in a matrix product, {read:,.1f} GB/s read from memory",
        "written": "written to {files}",
        "no picture": "no picture: pip install matplotlib, then run it again",
    },
    "zh": {
        "measuring": "测量中",
        "measure": "项目",
        "ratio": "与最好的对比程序之比",
        "share": "占极限的比例",
        "what": "{model}，{processor}，各用 {threads} 个线程，{rounds} 轮的中位数（多于一轮时第一轮不计）",
        "limits": "极限：矩阵乘法 {flops:,.0f} GFLOP/s，内存读取 {read:,.1f} GB/s",
        "written": "已写入 {files}",
        "no picture": "没有画图：请先 pip install matplotlib，再运行一次",
    },
}


@click.command(short_help="Compare speed with other programs.")
@click.option(
    "--quick", is_flag=True, help="Fewer lengths and rounds: under 5 minutes, once the peers are installed."
)
@click.option("--peers", metavar="NAMES", help="Compare with these only, separated by commas; none for Puna alone.")
@click.option("-o", "--output", metavar="FOLDER", help="Write bench.json, bench.md and bench.png there.")
@model_option
@json_option
def bench(quick: bool, peers: str | None, output: str | None, model: str | None, as_json: bool) -> int:
    """Measure Puna and its peers in turn on the same GGUF file and the same tokens.

    Peers are llama.cpp, openvino-genai, openvino, transformers-bf16 and transformers-fp32. The first run installs each
    into an environment of its own in the user's cache folder, which takes minutes. A peer that cannot be installed, or
    crashes, is named with its error, and the rest goes on.

    \b
    Fields of the JSON object:
      machine   processor, architecture, system, cores, threads,
                memory_bytes, load_average (at the start), python
      model, rounds
      limits    matmul_flops and read_bytes a second; what they were taken from
      engines   of each: about (versions), ranking (how it ranks)
      rows      a list: measure, unit, puna, peers {name: value}, best_peer,
                ratio (above 1: better than the best peer),
                limit_share (null where no limit applies)
      errors    {peer: reason}

    \b
    Examples:
      puna bench --quick
      puna bench -o results --peers llama.cpp,openvino
    """
    from puna.bench.peers import chosen

    wanted = chosen(peers)
    from puna.bench.run import FULL_SETTINGS, QUICK_SETTINGS
    from puna.bench.run import bench as measured
    from puna.weights.store import resolve

    words = _WORDS[language()]
    folder = _folder(output) if output else None
    with counting(words["measuring"], 1) as report:
        found = measured(
            resolve(model),
            wanted,
            QUICK_SETTINGS if quick else FULL_SETTINGS,
            lambda done, total, what: report(done, f" {what}", total),
        )
    files = _write(found, folder) if folder else []
    if as_json:
        print_json(found.to_json())
    else:
        _print(words, found)
    if files:
        say(words["written"].format(files=", ".join(map(str, files))))
        if len(files) < 3:
            say(words["no picture"])
    for name, error in found.errors.items():
        message, hint = error.describe(language())
        say(f"{name}: {message}" + (f" ({hint})" if hint else ""))
    return 0


def _folder(output: str) -> Path:
    from puna.weights.write import told

    folder = Path(output)
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(found: "Found", folder: Path) -> list[Path]:
    from puna.bench.report import contents
    from puna.weights.write import write_whole

    files = []
    for name, content in contents(found).items():
        files.append(folder / name)
        write_whole(files[-1], content)
    return files


def _print(words: dict[str, str], found: "Found") -> None:
    from puna.bench.report import table

    heads, lines = table(found)
    print_table([words["measure"], *heads, words["ratio"], words["share"]], lines)
    facts = {**found.machine, "model": found.model, "rounds": found.rounds}
    say(words["what"].format(**facts))
    limits = found.limits
    say(words["limits"].format(flops=limits["matmul_flops"] / 1e9, read=limits["read_bytes"] / 1e9))

"""`puna eval translate`: translations compared with those of people."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import device_option, json_option, limit_option, model_option, seed_option, translator_option
from puna.cli.output import counting, language, print_json, print_metrics, say

if TYPE_CHECKING:
    from puna.evaluate.translation import TranslationSummary

_WORDS = {
    "en": {
        "n": "sentences",
        "speed": "sentences a second",
        "what": "{n} of {every} rows of {file}, seed {seed}, {model}",
        "translating": "translating",
        "incomplete": "{count} of {n} translations had not ended at the greatest length",
        "stopped": "stopped after {n} of {rows} rows",
    },
    "zh": {
        "n": "句数",
        "speed": "每秒句数",
        "what": "{file} 共 {every} 行，取 {n} 行，种子 {seed}，{model}",
        "translating": "翻译中",
        "incomplete": "{n} 条译文中有 {count} 条到最大长度时还没有结束",
        "stopped": "已停止：完成 {rows} 行中的 {n} 行",
    },
}


@click.command(short_help="Translations: BLEU, chrF.")
@click.argument("rows", metavar="ROWS.jsonl")
@limit_option
@seed_option
@click.option("--beams", type=int, default=4, show_default=True, help="Unfinished translations kept at a step.")
@click.option("--alpha", type=float, default=0.0, show_default=True, help="As for puna translate.")
@click.option("--rerank", is_flag=True, help="Weigh in how probable the text is given its translation.")
@click.option("--lambda", "weight", type=float, default=1.0, show_default=True, help="Its weight, with --rerank.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Rows side by side.")
@translator_option
@model_option
@device_option
@json_option
def translate(
    rows: str,
    limit: int | None,
    seed: int,
    beams: int,
    alpha: float,
    rerank: bool,
    weight: float,
    batch: int,
    adapter: Path | str | None,
    model: str | None,
    device: str,
    as_json: bool,
) -> int:
    """Translate the sources of ROWS.jsonl and compare with their targets, as sacrebleu does.

    Each line, plain or gzipped, is an object such as

    \b
      {"src": "Good morning.", "tgt": "早上好。", "src_lang": "en", "tgt_lang": "zh",
       "tgt_alt": ["早安。"]}

    on one line; "tgt_alt", further references, may be a string, and may be left out. Both directions may be mixed.

    With --json: file, model, rows, seed; n, incomplete; bleu and chrf from 0 to 100, the means of the directions there
    are; sentences_per_second (rows); directions, for each such as "en-zh" n, bleu, chrf, bleu_signature, chrf_signature.
    Chinese is compared character by character (tokenize zh), English in words (13a). Needs sacrebleu: pip install
    'puna[translate]'.

    Ctrl-C ends it with the metrics so far. Exits 0 if all was done, 2 on bad input, 130 if it was stopped.

    \b
    Example:
      puna eval translate test.jsonl.gz --limit 200
    """
    from puna.evaluate.rows import read_rows, sample
    from puna.evaluate.translation import TranslationRun, check_sacrebleu, pair_row

    check_sacrebleu()
    every = read_rows(Path(rows), pair_row)
    chosen = sample(every, limit, seed)
    from puna.tasks.translate import Translator, Wanted

    run = TranslationRun(chosen, Wanted(1, beams, alpha, weight if rerank else None), batch)
    import puna

    reader = puna.load(model, adapter=adapter, device=device)
    translator = Translator(reader.model, reader.tokenizer, reader.name, examples=reader.examples)
    words = _WORDS[language()]
    try:
        with counting(words["translating"], len(chosen)) as report:
            run.go(translator, report)
    except KeyboardInterrupt:
        pass
    if run.done:
        found = run.summary()
        if as_json:
            print_json({"file": rows, "model": reader.name, "rows": len(chosen), "seed": seed, **asdict(found)})
        else:
            _print(words, found)
            say(words["what"].format(n=found.n, every=len(every), file=rows, seed=seed, model=reader.name))
        if found.incomplete:
            say(words["incomplete"].format(count=found.incomplete, n=found.n))
    if len(run.done) == len(chosen):
        return 0
    say(words["stopped"].format(n=len(run.done), rows=len(chosen)))
    return 130


def _print(words: dict[str, str], found: "TranslationSummary") -> None:
    """Print one line a metric, and sacrebleu's signatures on stderr."""
    lines = [(words["n"], str(found.n))]
    for direction, scores in found.directions.items():
        lines += [(f"BLEU {direction}", f"{scores.bleu:.1f}"), (f"chrF {direction}", f"{scores.chrf:.1f}")]
    print_metrics([*lines, (words["speed"], f"{found.sentences_per_second:.2f}")])
    for direction, scores in found.directions.items():
        say(f"{direction}: BLEU {scores.bleu_signature}, chrF {scores.chrf_signature}")

"""`puna translate`: texts in the other language, each with its probability."""

import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import device_option, json_option, model_option, read_lines, translator_option
from puna.cli.output import counting, language, print_json, say
from puna.errors import InputError

if TYPE_CHECKING:
    from puna.tasks.translate import Translation

_WORDS = {
    "en": {
        "translating": "translating",
        "plain": "no translator comes with Puna for {model}; the model itself tries, after three examples",
        "cut": "{count} translation(s) had not ended at the greatest length; --json marks them",
        "written": "{count} line(s) translated, {lines} in {output}",
        "stopped": "stopped after {lines} line(s); the same command goes on from there",
    },
    "zh": {
        "translating": "翻译中",
        "plain": "Puna 没有为 {model} 附带译者；由模型本身按三个例子来翻译",
        "cut": "有 {count} 条译文到最大长度时还没有结束；--json 会标明",
        "written": "翻译了 {count} 行，{output} 中共 {lines} 行",
        "stopped": "已在 {lines} 行之后停止；再次运行同一命令会接着做",
    },
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@click.command(short_help="Translate between English and Chinese.")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("--to", "target", required=True, metavar="zh|en", help="The language to translate into.")
@click.option("--from", "source", metavar="zh|en", help="The language of the text; default: told by its script.")
@click.option("--file", "files", multiple=True, metavar="FILE", help='Translate its lines; "-" is standard input.')
@click.option("--n-best", type=int, default=1, show_default=True, help="Give so many translations of each.")
@click.option("--beams", type=int, default=4, show_default=True, help="Unfinished translations kept at a step.")
@click.option(
    "--alpha", type=float, default=0.0, show_default=True,
    help="How much longer translations are favoured; 0: probabilities as they are.",
)  # fmt: skip
@click.option("--rerank", is_flag=True, help="Weigh in how probable the text is given its translation.")
@click.option("--lambda", "weight", type=float, default=1.0, show_default=True, help="Its weight, with --rerank.")
@click.option("--batch", type=click.IntRange(min=1), help="Lines side by side; default: 8, from standard input 1.")
@click.option(
    "-o", "--output", metavar="OUT.jsonl", help="Keep the results there; the next run goes on from there."
)
@translator_option
@model_option
@device_option
@click.option("--encoding", default="utf-8", show_default=True, help="Encoding of the files.")
@json_option
def translate(
    texts: tuple[str, ...],
    target: str,
    source: str | None,
    files: tuple[str, ...],
    n_best: int,
    beams: int,
    alpha: float,
    rerank: bool,
    weight: float,
    batch: int | None,
    output: str | None,
    adapter: Path | str | None,
    model: str | None,
    device: str,
    encoding: str,
    as_json: bool,
) -> int:
    """Translate each TEXT ("-" is standard input) and each line of the files, in their order; empty lines stay.

    A text is translated sentence by sentence, and nothing is cut: a sentence for which the model has no room is an error.
    The search keeps --beams unfinished translations, and stops when none of them can come to more than what has ended.
    A translation's score is log P(t|s) / ((5+tokens)/6)^alpha (Wu et al. 2016); with --rerank the other direction's,
    log P(s|t), counts as well, times lambda.

    With --n-best: rank, probability and translation of each. With --json an object a line: source, from, to, text, model;
    candidates, best first, with text, log_probability (nats, the end included), probability, score, back (log P(s|t) with
    --rerank) and complete; sentences, with source, start, end (code points) and their candidates. -o writes those
    objects; --json then prints output, lines and model.

    \b
    Examples:
      puna translate "Where is the station?" --to zh
      puna translate 车站在哪里？ --to en --n-best 3 --rerank
      cat letter.txt | puna translate - --to zh
      puna translate --file book.txt --to zh -o book.zh.jsonl
    """
    from puna.tasks.translate_prompt import check_languages

    check_languages(source, target)
    files = (*("-" for text in texts if text == "-"), *files)
    texts = tuple(text for text in texts if text != "-")
    if not files and not any(text.strip() for text in texts):
        raise InputError("E-TRANSLATE-TEXT")
    from puna.tasks.translate import Translator, Wanted

    wanted = Wanted(n_best, beams, alpha, weight if rerank else None)
    lines: Iterator[str] = chain(texts, read_lines(files, encoding))
    total = None
    if "-" not in files:
        every = list(lines)  # a file that cannot be read is told before a model is loaded
        lines, total = iter(every), len(every)
    from puna.cli.translate_output import Kept

    kept = Kept(Path(output), (target, source, wanted)) if output else None
    import puna

    reader = puna.load(model, adapter=adapter, device=device)
    translator = Translator(reader.model, reader.tokenizer, reader.name, examples=reader.examples)
    words = _WORDS[language(texts[0] if texts else "")]
    if adapter == "translator" and reader.examples:
        say(words["plain"].format(model=reader.name))
    if kept:
        lines = kept.rest(lines, reader.name)
    found = translator.translate(lines, target, source=source, wanted=wanted, batch=batch or (8 if total else 1))
    shown = total is not None and (kept is not None or not sys.stdout.isatty())
    cut = count = 0
    try:
        with counting(words["translating"], total or 0) if shown else nullcontext(None) as report:
            for translation in found:
                count += 1
                cut += not translation.candidates[0].complete
                if kept:
                    kept.add(translation)
                else:
                    _show(translation, n_best, as_json)
                if report:
                    report(kept.done if kept else count)
    except KeyboardInterrupt:
        if kept is None:
            raise
        say(words["stopped"].format(lines=kept.done))
        return 130
    if not count and not (kept and kept.done):
        raise InputError("E-TRANSLATE-TEXT")
    if cut:
        say(words["cut"].format(count=cut))
    if kept:
        kept.check_end()
        say(words["written"].format(count=count, lines=kept.done, output=output))
        if as_json:
            print_json({"output": output, "lines": kept.done, "model": reader.name})
    return 0


def _show(found: "Translation", n_best: int, as_json: bool) -> None:
    """Print a translation at once."""
    if as_json:
        print_json(found.to_dict())
    elif n_best == 1:
        click.echo(_plain(found.text))
    else:
        for line in _ranked(found):
            click.echo(_plain(line))
    sys.stdout.flush()


def _ranked(found: "Translation") -> Iterator[str]:
    for rank, each in enumerate(found.candidates, 1):
        yield f"{rank}  {each.probability:<9.3g} {each.text}"


def _plain(text: str) -> str:
    """Take control characters, which could rewrite the screen, out of what goes to a terminal."""
    return _CONTROL.sub("\ufffd", text) if sys.stdout.isatty() else text

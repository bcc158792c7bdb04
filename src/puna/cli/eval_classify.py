"""`puna eval classify`: labels of texts, measured."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from puna.cli.inputs import (
    adapter_option,
    device_option,
    json_option,
    label_options,
    labels_given,
    limit_option,
    model_option,
    seed_option,
)
from puna.cli.output import counting, language, print_json, print_metrics, say
from puna.errors import InputError

if TYPE_CHECKING:
    from puna.evaluate.classify import Labelled

_WORDS = {
    "en": {
        "n": "texts",
        "accuracy": "accuracy",
        "macro_f1": "F1, mean over labels",
        "ece": "calibration error (ECE)",
        "rows_per_second": "texts a second",
        "what": "{n} of {every} rows of {file}, {labels} labels, seed {seed}, {model}",
        "labelling": "labelling",
        "stopped": "stopped after {n} of {rows} texts",
    },
    "zh": {
        "n": "文本数",
        "accuracy": "准确率",
        "macro_f1": "各标签 F1 的平均",
        "ece": "校准误差（ECE）",
        "rows_per_second": "每秒文本数",
        "what": "{file} 共 {every} 行，取 {n} 行，{labels} 个标签，种子 {seed}，{model}",
        "labelling": "标注中",
        "stopped": "已停止：完成 {rows} 条文本中的 {n} 条",
    },
}


@click.command(short_help="Labels of texts: accuracy, F1, confusion.")
@click.argument("rows", metavar="ROWS.jsonl")
@limit_option
@seed_option
@label_options
@click.option("--examples", metavar="FILE", help="Texts with their labels, to stand before every text.")
@click.option("--prior/--no-prior", default=None, help="As in puna classify.")
@click.option(
    "--sentiment", is_flag=True, help='Rows labelled "positive" and "negative", asked as puna sentiment asks.'
)
@click.option("--plot", metavar="PNG", help="Draw which labels are taken for which.")
@model_option
@adapter_option
@device_option
@json_option
def classify(
    rows: str,
    limit: int | None,
    seed: int,
    label: tuple[str, ...],
    labels: str | None,
    examples: str | None,
    prior: bool | None,
    sentiment: bool,
    plot: str | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> int:
    """Label the texts of ROWS.jsonl and compare with the right labels.

    Each line, plain or gzipped, is an object such as {"text": "The striker scored.", "label": "sports"}. The labels are
    those of all rows, or the ones that --label and --labels give, as in puna classify.

    With --json: file, model, rows, seed; n; accuracy, macro_f1, ece as fractions; rows_per_second; labels, and confusion:
    for each right label, how often it got each label, in the same order.

    Ctrl-C ends it with the metrics so far. Exits 0 if all was done, 2 on bad input, 130 if it was stopped.

    \b
    Examples:
      puna eval classify news.jsonl.gz --limit 500 --plot confusion.png
      puna eval classify news.jsonl.gz --limit 500 --adapter topics/
    """
    from puna.evaluate.rows import sample
    from puna.evaluate.texts import labelled_rows, read_examples
    from puna.tasks.labels import Label, examples_of
    from puna.tasks.sentiment import NAMES, Sentiment

    given = labels_given(label, labels)
    if sentiment and (given or examples):
        raise InputError("E-LABELS-SENTIMENT")
    every, names = labelled_rows(Path(rows), [Label(name) for name in NAMES] if sentiment else given)
    shown = examples_of(read_examples(Path(examples)) if examples else [], names, multi=False)
    chosen = sample(every, limit, seed)
    if plot:
        from puna.evaluate.plot import drawable, plot_confusion

        if not drawable():
            raise InputError("E-PLOT-MISSING")
    import puna
    from puna.evaluate.classify import label_rows, summarise_labels
    from puna.weights.write import write_whole

    reader = puna.load(model, adapter=adapter, device=device)
    classifier = (
        Sentiment(reader, prior=prior) if sentiment else puna.Classifier(reader, names, examples=shown, prior=prior)
    )
    words, done = _WORDS[language()], list["Labelled"]()
    began = time.perf_counter()
    try:
        with counting(words["labelling"], len(chosen)) as report:
            done.extend(label_rows(classifier, chosen, report))
    except KeyboardInterrupt:
        pass
    if done:
        found = summarise_labels(done, [each.name for each in names], time.perf_counter() - began)
        if plot:
            write_whole(Path(plot), plot_confusion(found, f"{Path(rows).name}: {found.n} texts, {reader.name}"))
        if as_json:
            print_json({"file": rows, "model": reader.name, "rows": len(chosen), "seed": seed, **asdict(found)})
        else:
            lines = [(words["n"], str(found.n))]
            lines += [(words[name], f"{100 * getattr(found, name):.1f} %") for name in ("accuracy", "macro_f1")]
            lines += [
                (words["ece"], f"{found.ece:.3f}"),
                (words["rows_per_second"], f"{found.rows_per_second:.1f}"),
            ]
            print_metrics(lines)
            facts = {"every": len(every), "file": rows, "labels": len(names), "seed": seed, "model": reader.name}
            say(words["what"].format(n=found.n, **facts))
    if len(done) == len(chosen):
        return 0
    say(words["stopped"].format(n=len(done), rows=len(chosen)))
    return 130

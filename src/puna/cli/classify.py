"""`puna classify`: labels for texts, with probabilities."""

from pathlib import Path

import click

from puna.cli.classify_run import classified, texts_of
from puna.cli.inputs import adapter_option, device_option, json_option, label_options, labels_given, model_option


@click.command(short_help="Give texts labels of your own.")
@click.argument("text", required=False)
@click.option("--file", metavar="FILE", help="Many texts: .txt (a line each), .csv or .jsonl, plain or gzipped.")
@click.option("--column", default="text", show_default=True, help="The texts' column or field in FILE.")
@click.option("-o", "--output", metavar="OUT.jsonl", help="Where the labels of FILE go; a stopped run goes on.")
@label_options
@click.option("--examples", metavar="ROWS.jsonl", help="Texts with their labels, to stand before every text.")
@click.option("--multi", is_flag=True, help="Any number of labels may fit; each is judged on its own.")
@click.option(
    "--threshold", default=0.5, show_default=True, help="With --multi: probability from which a label fits."
)
@click.option(
    "--prior/--no-prior",
    default=None,
    help="Divide out what a label gets behind an empty text, or not; default: unless the adapter was trained "
    "by puna train classify.",
)
@model_option
@adapter_option
@device_option
@json_option
def classify(
    text: str | None,
    file: str | None,
    column: str,
    output: str | None,
    label: tuple[str, ...],
    labels: str | None,
    examples: str | None,
    multi: bool,
    threshold: float,
    prior: bool | None,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> int:
    """Give TEXT ("-" is standard input), or each text of a FILE, the labels that fit, with probabilities.

    A label may be any number of words. What stands behind its first colon and space is a description, which the model
    reads and which is not part of the label: --label "spam: unwanted advertising". --labels FILE has a label a line in
    the same form; or it is a .jsonl with {"label": ..., "description": ...} a line.

    Without --multi exactly one label fits, and probabilities sum to 1; with it, each label is a question that is answered
    by yes or no. --examples has {"text": ..., "label": ...} a line, with --multi {"text": ..., "labels": [...]}; they are
    read once. Long texts are read in windows, whose probabilities are averaged by their lengths, or of which, with
    --multi, the highest counts; nothing is left out.

    With --json: labels (label, probability, log_probability; most probable first), chosen (their names), language of the
    prompt, coverage (characters, read, windows), model, elapsed_ms. Of a FILE, a line each on standard output or in
    OUT.jsonl, in its order, with line, id and text before these; then with -o: output, model, rows, left_out, chosen (how
    often each label was), rows_per_second.

    Exits 0 if all was done, 1 if rows of FILE were left out, 2 on bad input, 130 if it was stopped.

    \b
    Examples:
      puna classify "The striker scored twice." --label sports --label politics
      puna classify --file mails.csv --column body --label "spam: unwanted advertising" --label ham -o labels.jsonl
      puna classify "Cheap and fast, but loud." --multi --label price --label speed --label noise
    """
    from puna.evaluate.texts import read_examples
    from puna.tasks.labels import check_threshold, examples_of, labels_of

    names = labels_of(labels_given(label, labels), 1 if multi else 2)
    shown = examples_of(read_examples(Path(examples)) if examples else [], names, multi=multi)
    check_threshold(threshold)
    texts = texts_of(text, file, column, output)
    import puna

    reader = puna.load(model, adapter=adapter, device=device)
    classifier = puna.Classifier(reader, names, examples=shown, multi=multi, threshold=threshold, prior=prior)
    return classified(classifier, texts, output, as_json)

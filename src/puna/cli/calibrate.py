"""`puna calibrate`: honest probabilities, fitted on labelled rows."""

from pathlib import Path

import click

from puna.cli.inputs import (
    device_option,
    json_option,
    limit_option,
    model_option,
    normalise_option,
    reader_option,
    seed_option,
)
from puna.cli.interrupt import stopping
from puna.cli.output import counting, language, print_json, print_table, printable
from puna.errors import InputError

_WORDS = {
    "en": {
        "ece": "calibration error (ECE)",
        "brier": "Brier score",
        "aurc": "risk over coverage (AURC)",
        "no_answer_auroc": "telling unanswerable (AUROC)",
        "raw": "as the model says",
        "calibrated": "calibrated",
        "asking": "asking",
        "written": "{rows} questions, {accuracy:.1%} of the best answers right; written to {files}",
        "no none": "no row is unanswerable: with this calibration, 'not in the text' will hardly be said",
        "skipped": "{count} row(s) could not be asked and were left out: no word in the text, or too long a question",
        "no picture": "no picture: pip install matplotlib, then run it again",
        "stopped": "stopped after {done} of {rows} questions; the same command goes on from there",
    },
    "zh": {
        "ece": "校准误差（ECE）",
        "brier": "Brier 分数",
        "aurc": "风险-覆盖曲线面积（AURC）",
        "no_answer_auroc": "区分有无答案（AUROC）",
        "raw": "模型原值",
        "calibrated": "校准后",
        "asking": "提问中",
        "written": "{rows} 个问题，第一个答案的正确率 {accuracy:.1%}；已写入 {files}",
        "no none": "数据中没有无答案的问题：用这份校准几乎不会说“文中没有答案”",
        "skipped": "有 {count} 行无法提问，已略过：原文中没有词，或问题太长",
        "no picture": "没有画图：请先 pip install matplotlib，再运行一次",
        "stopped": "已停止：完成 {rows} 个问题中的 {done} 个；再次运行同一命令会接着做",
    },
}


@click.command(short_help="Make probabilities honest, on labelled rows.")
@click.argument("rows", metavar="ROWS.jsonl")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to write the calibration (JSON).")
@limit_option
@seed_option
@normalise_option
@model_option
@reader_option
@device_option
@json_option
def calibrate(
    rows: str,
    output: str,
    limit: int | None,
    seed: int,
    normalise: str,
    model: str | None,
    adapter: Path | str | None,
    device: str,
    as_json: bool,
) -> int:
    """Ask the questions of ROWS.jsonl and fit what the model says to what is right.

    Rows are those of puna eval qa; a few hundred do, unanswerable ones among them. Beside the calibration a picture is
    drawn, with the same name and .png: how often answers of each probability are right, and how many are wrong when only
    the surest are given. All figures are of rows that were not fitted on (five folds). Then:

    \b
      puna ask QUESTION --file TEXT --calibration calib.json
      puna ask QUESTION --file TEXT --calibration calib.json --max-error 5%

    Ctrl-C ends it; the same command goes on from there. Exits 0 if the file was written, 2 on bad input, 130 if it was
    stopped.

    A calibration.json in an adapter's folder is that adapter's own: puna ask and puna eval qa use it unless another is
    named.

    \b
    Examples:
      puna calibrate rows.jsonl --limit 500 -o calib.json
      puna calibrate rows.jsonl --adapter my-reader -o my-reader/calibration.json
    """
    from puna.evaluate.rows import question_row, read_rows, sample

    chosen = sample(read_rows(Path(rows), question_row), limit, seed)
    import puna
    from puna.evaluate.calibrate import calibrate as fitted
    from puna.evaluate.calibrate import enough, observe
    from puna.evaluate.partial import Partial
    from puna.evaluate.plot import drawable, plot_calibration
    from puna.weights.write import write_whole

    enough(len(chosen))
    target, words = Path(output), _WORDS[language()]
    if target.exists() and target.samefile(rows):
        raise InputError("E-OUTPUT-WRITE", path=target, reason="the rows stand there")
    reader = puna.load(model, adapter=adapter, device=device)
    partial = Partial(target, chosen, reader.name, normalise)
    with counting(words["asking"], len(chosen)) as report, stopping() as stop:
        for row in chosen[len(partial.examples) :]:
            if stop():
                break
            partial.add(observe(reader, row, normalise))
            report(len(partial.examples))
    if stop():
        click.echo(words["stopped"].format(done=len(partial.examples), rows=len(chosen)), err=True)
        return 130
    examples = [example for example in partial.examples if example]
    calibration, held, raw = fitted(examples, reader.name, normalise)
    write_whole(target, calibration.to_json().encode())
    files = [target]
    if drawable():
        picture = target.with_suffix(".png")
        files.append(picture if picture != target else target.with_name(f"{target.name}.png"))
        title = f"{reader.name}, {len(examples)} questions"
        write_whole(files[-1], plot_calibration(held, raw, title))
    partial.remove()
    measured = calibration.measured
    if as_json:
        print_json({"rows": len(examples), **measured, "files": [str(file) for file in files]})
    else:
        names = ("ece", "brier", "aurc", "no_answer_auroc")
        lines = [[words[name], *(_number(measured[key]) for key in (f"raw_{name}", name))] for name in names]
        print_table(["", words["raw"], words["calibrated"]], lines)
    named = ", ".join(map(str, files))
    skipped = len(chosen) - len(examples)
    for line in (
        words["written"].format(rows=len(examples), accuracy=measured["accuracy"], files=named),
        words["skipped"].format(count=skipped) if skipped else "",
        "" if measured["unanswerable"] else words["no none"],
        "" if len(files) > 1 else words["no picture"],
    ):
        if line:
            click.secho(printable(line), err=True, dim=True)
    return 0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"

"""`puna make-rows`: rows to learn from, made of plain text."""

import itertools
import json
from pathlib import Path

import click

from puna.cli.inputs import json_option, share
from puna.cli.output import counting, language, print_json, print_metrics, say
from puna.errors import InputError

_WORDS = {
    "en": {
        "making": "reading (bytes)",
        "recurring": "recurring spans",
        "cloze": "blanks",
        "wh": "who, when, how many …",
        "unanswerable": "without an answer",
        "written": "{rows} rows of {passages} passages written to {output}",
        "repeated": "; {repeated} repeated passages left out",
    },
    "zh": {
        "making": "读取（字节）",
        "recurring": "重复出现的片段",
        "cloze": "填空",
        "wh": "谁、何时、多少等",
        "unanswerable": "无答案",
        "written": "共 {passages} 段，{rows} 行，已写入 {output}",
        "repeated": "；另有 {repeated} 个重复的段落已略过",
    },
}


@click.command(name="make-rows", short_help="Make rows to learn from out of plain text.")
@click.argument("files", metavar="FILES...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="ROWS.jsonl", help="Where to write the rows.")
@click.option(
    "--per-passage",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Questions of a passage; they share its context.",
)
@click.option(
    "--unanswerable",
    metavar="SHARE",
    default="0.1",
    show_default=True,
    callback=share,
    help="Share of questions without an answer, such as 10% or 0.1.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many rows.")
@click.option("--seed", default=0, show_default=True, help="Another seed asks other questions.")
@json_option
def make_rows(
    files: tuple[str, ...],
    output: str,
    per_passage: int,
    unanswerable: float,
    limit: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Make questions out of FILES, English or Chinese, for training a reader; nobody has to label anything.

    FILES are text or Markdown, or JSON Lines where they are named .jsonl, each plain or gzipped, in UTF-8. A line of JSON
    has a "text", which is cut into passages of 100 to 250 English words or 200 to 500 Chinese characters, or a "context",
    which stays whole; and perhaps a "title". Headings, tables and code of Markdown are left out.

    A row is what puna eval qa reads, with a "title" and a "kind": recurring (a span that stands elsewhere in the passage,
    too; the sentence asked about is taken out of the context), cloze (a blank for a name, a number or a date), wh (the
    same with who, when, how many), or unanswerable.

    With --json: files, output, seed, passages, repeated, rows, kinds.

    Ctrl-C ends it, and nothing is written then.

    \b
    Example:
      puna make-rows book.txt manual.md notes.jsonl.gz -o rows.jsonl
    """
    from puna.tasks.rows import opened
    from puna.train.make_rows import KINDS, Made
    from puna.train.make_rows import make_rows as rows_of
    from puna.weights.write import writing

    if not 0 <= unanswerable <= 1:
        raise click.BadParameter(f"{unanswerable} is no share between 0 and 1", param_hint="--unanswerable")
    paths, target, made, words = list(dict.fromkeys(map(Path, files))), Path(output), Made(), _WORDS[language()]
    for path in paths:
        with opened(path):  # said before an hour of work, not after
            pass
        if target.exists() and target.samefile(path):
            raise InputError("E-OUTPUT-WRITE", path=target, reason="the text stands there")
    size = sum(path.stat().st_size for path in paths)
    with writing(target) as write, counting(words["making"], size) as report:
        rows = rows_of(paths, made, per_passage=per_passage, unanswerable=unanswerable, seed=seed, report=report)
        for row in itertools.islice(rows, limit):
            write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        if not made.rows:
            raise InputError("E-TRAIN-NO-ROWS", files=", ".join(files), passages=made.passages)
    kinds = {kind: made.kinds[kind] for kind in KINDS}
    if as_json:
        print_json(
            {
                "files": [str(path) for path in paths],
                "output": output,
                "seed": seed,
                "passages": made.passages,
                "repeated": made.repeated,
                "rows": made.rows,
                "kinds": kinds,
            }
        )
    else:
        print_metrics([(words[kind], str(count)) for kind, count in kinds.items()])
        line = words["written"].format(rows=made.rows, passages=made.passages, output=output)
        say(line + (words["repeated"].format(repeated=made.repeated) if made.repeated else ""))

"""`puna doctor`: what may be wrong with a model."""

import click

from puna.cli.inputs import json_option
from puna.cli.output import counting, language, print_json, printable

_WORDS = {
    "en": {
        "ok": "ok",
        "warning": "warning",
        "error": "error",
        "looking": "looking at tensors",
        "sum": "{errors} error(s), {warnings} warning(s)",
    },
    "zh": {
        "ok": "正常",
        "warning": "警告",
        "error": "错误",
        "looking": "检查张量",
        "sum": "{errors} 个错误，{warnings} 个警告",
    },
}
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command(short_help="Check a model for what goes wrong unseen.")
@click.argument("model", required=False)
@json_option
def doctor(model: str | None, as_json: bool) -> int:
    """Check a model for what goes wrong without an error; without MODEL the default model.

    MODEL is a path, or the name of a pulled model. It is looked for: rotary scaling that was lost or that other programs
    ignore, a context that the scaling does not reach, a missing or unknown way to cut text, characters that are
    lost, tokens of the wrong kind or without a row, BOS doubled or missing, ends of an answer that the files do not name,
    a chat template that is absent or fails, NaN and infinity in any tensor. Then the model reads a plain sentence in
    English and one in Chinese, and writes a few tokens. What it needs is the memory that puna generate needs.

    \b
    Exit codes: 0 no error, 1 errors, 2 the model cannot be opened.

    \b
    Fields of the JSON object:
      path, errors, warnings   the last two are counts
      findings                 a list: level (ok, warning, error), check, what,
                               do (empty where nothing is to be done)

    \b
    Example:
      puna doctor model.gguf
    """
    from puna.doctor.examine import examine
    from puna.weights.checkpoint import open_checkpoint
    from puna.weights.store import resolve

    words = _WORDS[language()]
    checkpoint = open_checkpoint(resolve(model))
    done, found = 0, []
    with counting(words["looking"], len(checkpoint.names())) as bar:

        def step() -> None:
            nonlocal done
            done += 1
            bar(done)

        for finding in examine(checkpoint, step):
            what, remedy = finding.describe(language())
            found.append({"level": finding.level, "check": finding.check, "what": what, "do": remedy})
    count = {level: sum(each["level"] == level for each in found) for level in _COLOURS}
    facts = {"errors": count["error"], "warnings": count["warning"]}
    if as_json:
        print_json({"path": str(checkpoint.path), **facts, "findings": found})
        return 1 if facts["errors"] else 0
    for each in found:
        click.secho(words[each["level"]], fg=_COLOURS[each["level"]], nl=False)
        click.echo(f": {printable(each['what'])}")
        if each["do"]:
            click.echo(f"  → {printable(each['do'])}")
    click.echo(words["sum"].format(**facts))
    return 1 if facts["errors"] else 0

"""Texts that get labels, one or many: what the commands show while they do it, and where the labels go."""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puna.cli.interrupt import stopping
from puna.cli.output import counting, language, print_json, print_table, printable, progress, say
from puna.cli.train_run import warn_of
from puna.errors import InputError

if TYPE_CHECKING:
    from puna.evaluate.texts import TextRow
    from puna.tasks.classify import Classified, Classifier
    from puna.tasks.sentiment import Sentiment

_SHOWN = 60  # characters of a text beside its label
_WORDS = {
    "en": {
        "label": "label",
        "probability": "probability",
        "texts": "texts",
        "read": "read {read} of {characters} characters in {windows} window(s), {seconds:.1f} s, {model}",
        "none": "no label reaches the threshold",
        "labelling": "labelling",
        "left": "{count} row(s) left out",
        "written": "{rows} texts labelled, {speed:.1f} a second; written to {output}",
        "stopped": "stopped after {done} of {rows} texts",
        "resume": "; the same command goes on from there",
    },
    "zh": {
        "label": "标签",
        "probability": "概率",
        "texts": "文本数",
        "read": "共 {characters} 字，已读 {read} 字，{windows} 个窗口，{seconds:.1f} 秒，{model}",
        "none": "没有标签达到阈值",
        "labelling": "标注中",
        "left": "略过了 {count} 行",
        "written": "已标注 {rows} 条文本，每秒 {speed:.1f} 条；结果写入 {output}",
        "stopped": "已停止：完成 {rows} 条文本中的 {done} 条",
        "resume": "；再次运行同一命令会接着做",
    },
}


def texts_of(text: str | None, file: str | None, column: str, output: str | None) -> Any:
    """Give a text, or (rows, what is wrong with others); raise InputError for both, none, or nothing to read."""
    if text is not None and file is not None:
        raise InputError("E-TEXTS-BOTH")
    if file is not None:
        from puna.evaluate.texts import read_texts

        return read_texts(Path(file), column)
    if output is not None:
        raise InputError("E-TEXTS-OUTPUT")
    if text is None:
        raise InputError("E-TEXTS-NONE")
    if text == "-":
        from puna.cli.inputs import read_sources

        text = read_sources((), ("-",), "utf-8")[0].text
    if not text.strip():
        raise InputError("E-TEXTS-NONE")
    return text


def classified(
    labels: "Classifier | Sentiment",
    texts: Any,
    output: str | None,
    as_json: bool,
    names: Mapping[str, str] | None = None,
) -> int:
    """Label what `texts_of` gave, and give the exit code. `names`: how labels are printed where Puna speaks Chinese."""
    if isinstance(texts, str):
        return _one(labels, texts, as_json, names or {})
    rows, wrong = texts
    warn_of(wrong)
    if wrong:
        say(_WORDS[language()]["left"].format(count=len(wrong)))
    if not rows:
        return 2
    done = _many(labels, rows, len(wrong), output, as_json, (names or {}) if language() == "zh" else {})
    return 130 if not done else 1 if wrong else 0


def _one(labels: "Classifier | Sentiment", text: str, as_json: bool, names: Mapping[str, str]) -> int:
    with progress(text) as report, stopping() as stop:
        found = labels.classify(text, progress=report, stop=stop)
    words = _WORDS[language(text)]
    if as_json:
        print_json(found.to_dict())
    else:
        named = names if language(text) == "zh" else {}
        rows = [[named.get(each.label, each.label), f"{100 * each.probability:.1f} %"] for each in found.labels]
        print_table([words["label"], words["probability"]], rows)
        if not found.chosen:
            say(words["none"])
    coverage, seconds = found.coverage, found.elapsed_ms / 1000
    said = {"read": coverage.read, "characters": coverage.characters, "windows": coverage.windows}
    say(words["read"].format(**said, seconds=seconds, model=found.model))
    return 130 if stop() else 0


def _many(
    labels: "Classifier | Sentiment",
    rows: "Sequence[TextRow]",
    wrong: int,
    output: str | None,
    as_json: bool,
    names: Mapping[str, str],
) -> bool:
    """Label rows in their order; those that stand in the output's part file are done. Gives whether all are."""
    from puna.tasks.part_file import Lines
    from puna.weights.write import write_whole

    words = _WORDS[language()]
    content = json.dumps([labels.key, [[row.line, row.id, row.text] for row in rows]])
    kept = Lines[bytes](Path(output), content, lambda line: line, _checked) if output else None
    begun, began, count = len(kept.found) if kept else 0, time.perf_counter(), 0
    with counting(words["labelling"], len(rows)) as report, stopping() as stop:
        report(begun)
        every = labels.each([row.text for row in rows[begun:]])
        for number, (row, found) in enumerate(zip(rows[begun:], every, strict=True), begun + 1):
            count += 1
            line = {"line": row.line, "id": row.id, "text": row.text, **found.to_dict()}
            if kept:
                kept.add(json.dumps(line, ensure_ascii=False).encode())
            elif as_json:
                print_json(line)
            else:
                _print(found, row.text, names)
            report(number)
            if stop():
                break
    if begun + count < len(rows):
        say(words["stopped"].format(done=begun + count, rows=len(rows)) + words["resume"] * bool(output))
        return False
    speed = count / max(time.perf_counter() - began, 1e-9)
    if kept and output:
        write_whole(Path(output), b"".join(line + b"\n" for line in kept.found))
        kept.remove()
        lines = [json.loads(line) for line in kept.found]
        chosen = Counter(name for each in lines for name in each["chosen"])
        told = {"output": output, "model": lines[0]["model"], "rows": len(rows), "left_out": wrong}
        if as_json:
            print_json({**told, "chosen": dict(chosen.most_common()), "rows_per_second": round(speed, 2)})
        elif chosen:
            print_table(
                [words["label"], words["texts"]],
                [[names.get(name, name), str(number)] for name, number in chosen.most_common()],
            )
        say(words["written"].format(rows=len(rows), speed=speed, output=output))
    return True


def _checked(line: bytes) -> bytes:
    """A line as it was written; raises ValueError for one that was cut off."""
    json.loads(line)["chosen"]
    return line


def _print(found: "Classified", text: str, names: Mapping[str, str]) -> None:
    """Label, probability, the text's beginning, with tabs between: the labels that fit, or none."""
    fitting = [each for each in found.labels if each.label in found.chosen]
    label = ", ".join(names.get(each.label, each.label) for each in fitting) or "-"
    probability = ", ".join(f"{each.probability:.3f}" for each in fitting) or "-"
    short = " ".join(text.split())
    short = short if len(short) <= _SHOWN else short[:_SHOWN] + "…"
    click.echo("\t".join(printable(part) for part in (label, probability, short)))
    sys.stdout.flush()

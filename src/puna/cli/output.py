"""What commands print for people, in English or Chinese. Data goes to stdout, everything else to stderr."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puna.errors import PunaError

if TYPE_CHECKING:
    from puna.answer.types import Answer, Answers, Evidence
    from puna.library.cite import FoundPassage

_BAR = 10  # cells of a full probability bar
_PASSAGES = 5  # shown
_TOLD = 0.01  # least probability of a passage that is shown
_SHOWN = 160  # characters of a sentence shown around an answer
_WORDS = {
    "en": {
        "answer": "answer",
        "probability": "probability",
        "place": "place",
        "line": "line {line}, {start}–{end}",
        "page": "page {page}, {start}–{end}",
        "more": " (+{count} more)",
        "absent": "not word for word in the text",
        "nothing": "not in the text",
        "nowhere": "not in the library",
        "passage": "passage",
        "holds": "holds the answer",
        "passages": "read {read} characters of {passages} passage(s) in {documents} document(s), {seconds:.1f} s, "
        "{model}",
        "unfound": "no passage of the library has a word of the question",
        "read": "read {read} of {characters} characters in {windows} window(s), {seconds:.1f} s, {model}",
        "reading": "reading",
        "wording": " (+1 wording)",
        "wordings": " (+{count} wordings)",
        "carries": "what the first answer loses (nats) when a sentence is hidden",
        "certificate": "searched {nodes} nodes in {passes} passes: spans not visited hold at most {missed:.1%} of what "
        "all spans hold, {outside:.1%} of the model's probability lies outside the text; {proof}",
        "exact": "no better answer was missed",
        "bounded": "a better answer may have been missed (--exact makes sure)",
        "threshold": "the error rate asked for needs a probability of {threshold:.1%}",
        "stopped": "stopped: {read} of {characters} characters were read; the best so far",
        "hidden": "the {top} best are shown; --top {all} shows all",
    },
    "zh": {
        "answer": "答案",
        "probability": "概率",
        "place": "位置",
        "line": "第 {line} 行，{start}–{end}",
        "page": "第 {page} 页，{start}–{end}",
        "more": "（另有 {count} 处）",
        "absent": "原文中没有一字不差的出处",
        "nothing": "文中没有答案",
        "nowhere": "库中没有答案",
        "passage": "段落",
        "holds": "含有答案",
        "passages": "已读 {documents} 篇文档中的 {passages} 段，{read} 字，{seconds:.1f} 秒，{model}",
        "unfound": "库中没有一段含有问题里的词",
        "read": "共 {characters} 字，已读 {read} 字，{windows} 个窗口，{seconds:.1f} 秒，{model}",
        "reading": "阅读中",
        "wording": "（另有 1 种说法）",
        "wordings": "（另有 {count} 种说法）",
        "carries": "隐去某一句后第一个答案的损失（nat）",
        "certificate": "搜索 {nodes} 个节点，{passes} 轮：没有访问的片段至多占全部片段的 {missed:.1%}，"
        "模型概率的 {outside:.1%} 在原文之外；{proof}",
        "exact": "没有漏掉更好的答案",
        "bounded": "可能漏掉了更好的答案（--exact 可确保不漏）",
        "threshold": "所要求的错误率需要至少 {threshold:.1%} 的概率",
        "stopped": "已停止：共 {characters} 字，已读 {read} 字；以下是目前最好的结果",
        "hidden": "只显示最好的 {top} 个；--top {all} 显示全部",
    },
}


def language(question: str = "") -> str:
    """Give "zh" or "en": PUNA_LANG, then the locale, then the question's script."""
    chosen = os.environ.get("PUNA_LANG", "")
    if chosen:
        return "zh" if chosen.lower().startswith("zh") else "en"
    locale = next((v for k in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(k))), "")
    return "zh" if locale.lower().startswith("zh") or any("\u4e00" <= c <= "\u9fff" for c in question) else "en"


def print_json(found: dict[str, Any]) -> None:
    """Print one object on one line; what cannot be printed stands in strings only, and is escaped there."""
    text = json.dumps(found, ensure_ascii=False)
    click.echo("".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text))


def print_answers(found: "Answers") -> None:
    """Print a table of answers with their sentences, then the probability that there is none."""
    from puna.library.cite import LibraryAnswers

    words = _WORDS[language(found.question)]
    library = isinstance(found, LibraryAnswers)
    several = library or len({e.source for answer in found.answers for e in answer.evidence}) > 1
    places = [_place(words, answer, several) for answer in found.answers]
    _table(
        [words["answer"], words["probability"], words["place"]],
        [
            (
                [str(rank), _on_one_line(answer.text) + _wordings(words, answer), _bar(answer.probability), place],
                _sentence(answer.evidence[:1]),
            )
            for rank, (answer, place) in enumerate(zip(found.answers, places, strict=True), 1)
        ]
        + [(["", words["nowhere" if library else "nothing"], _bar(found.no_answer_probability), ""], "")],
    )


def print_passages(found: "Answers") -> None:
    """Print the passages of a library that most probably hold the answer, those of a hundredth or more."""
    from puna.library.cite import LibraryAnswers

    words = _WORDS[language(found.question)]
    every = found.passages if isinstance(found, LibraryAnswers) else ()
    likely = [each for each in every if each.probability >= _TOLD][:_PASSAGES]
    if likely:
        rows = [
            ([str(n), _where(words, each, True), _bar(each.probability)], "") for n, each in enumerate(likely, 1)
        ]
        click.echo()
        _table([words["passage"], words["holds"]], rows)


def print_ranking(question: str, answers: "tuple[Answer, ...]") -> None:
    """Print a table of candidates."""
    words = _WORDS[language(question)]
    rows = [([str(rank), _on_one_line(a.text), _bar(a.probability)], "") for rank, a in enumerate(answers, 1)]
    _table([words["answer"], words["probability"]], rows)


def print_why(found: "Answers") -> None:
    """Print the sentences that carry the first answer, where that was asked for."""
    words = _WORDS[language(found.question)]
    supports = found.answers[0].why if found.answers else None
    if supports:
        losses = [(round(support.loss, 2) + 0.0, support) for support in supports]  # + 0.0: no "-0.00"
        losses.sort(key=lambda each: (-each[0], each[1].source, each[1].sentence.start))
        rows = [
            ([f"{loss:+.2f}" if loss else "0.00", _squeezed(support.sentence.text)], "") for loss, support in losses
        ]
        click.echo()
        _table([words["carries"]], rows)


def print_reading(found: "Answers", *, stopped: bool) -> None:
    """Say on stderr what was read, and what the search proves."""
    from puna.library.cite import LibraryAnswers

    words = _WORDS[language(found.question)]
    coverage, proof = found.coverage, found.certificate
    how = {**asdict(coverage), "seconds": found.elapsed_ms / 1000, "model": found.model}
    lines = [words["read"].format(**how)]
    if isinstance(found, LibraryAnswers):
        count = len({each.source for each in found.passages})
        said = words["passages" if count else "unfound"]
        lines = [said.format(**how, passages=len(found.passages), documents=count)]
    if stopped:
        lines[0] = words["stopped"].format(read=coverage.read, characters=coverage.characters)
    if proof:
        lines.append(
            words["certificate"].format(
                **asdict(proof), missed=proof.missed, proof=words["exact" if proof.exact else "bounded"]
            )
        )
    if found.threshold is not None:
        lines.append(words["threshold"].format(threshold=found.threshold))
    for line in lines:
        click.secho(line, err=True, dim=True)


def print_hidden(question: str, shown: int, every: int) -> None:
    """Say on stderr that there are more candidates than were shown."""
    if shown < every:
        click.secho(_WORDS[language(question)]["hidden"].format(top=shown, all=every), err=True, dim=True)


@contextmanager
def progress(question: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar over windows on stderr; none when that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(_WORDS[language(question)]["reading"], total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar over `total` pieces of work on stderr, with the time left; none when that is not a terminal.

    Gives a function of what is done and of a note to show beside it, and of a total where that was found out later.
    """
    if not sys.stderr.isatty():
        yield lambda done, note="", total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, note="", total=None: bar.update(
            task, completed=done, description=what + note, total=total
        )


def print_table(heads: list[str], rows: list[list[str]]) -> None:
    """Print columns under their heads."""
    _table(heads, [(row, "") for row in rows])


def print_metrics(lines: list[tuple[str, str]]) -> None:
    """Print (label, value) a line, values to the right; labels may hold Chinese characters, two cells wide."""
    from rich.cells import cell_len

    width, size = (max(cell_len(line[column]) for line in lines) for column in (0, 1))
    for label, value in lines:
        click.echo(label + " " * (width - cell_len(label) + 2 + size - cell_len(value)) + value)


def say(text: str) -> None:
    """Print a remark on stderr."""
    click.secho(printable(text), err=True, dim=True)


def warn(question: str) -> None:
    """Print the library's warnings on stderr from now on, one line each, in the language of the rest."""
    import logging

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.msg
            if isinstance(error, PunaError):
                text = f"warning: {error.describe(language(question))[0]} [{error.code}]"
                click.echo(printable(text), err=True)

    logging.getLogger("puna").addHandler(Printer())


def _bar(probability: float) -> str:
    eighths = round(probability * _BAR * 8)
    blocks = "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")
    return f"{probability * 100:5.1f} % {blocks:<{_BAR}}"


def _wordings(words: dict[str, str], answer: "Answer") -> str:
    count = len(answer.variants)
    return words["wording" if count == 1 else "wordings"].format(count=count) if count else ""


def _place(words: dict[str, str], answer: "Answer", several: bool) -> str:
    if not answer.evidence:
        return words["absent"]
    more = words["more"].format(count=len(answer.evidence) - 1) if len(answer.evidence) > 1 else ""
    return _where(words, answer.evidence[0], several) + more


def _where(words: dict[str, str], place: "Evidence | FoundPassage", several: bool) -> str:
    """Say where a place is: by its page where it has one, else by its line; a library's files are named from here."""
    from puna.library.cite import Citation, FoundPassage

    name, page = place.source, None
    if isinstance(place, Citation | FoundPassage):
        page = place.page
        if Path(name).is_absolute() and Path(name).is_relative_to(Path.cwd()):
            name = str(Path(name).relative_to(Path.cwd()))
    said = words["page" if page else "line"].format(page=page, line=place.line, start=place.start, end=place.end)
    return f"{name}: {said}" if several else said


def _sentence(places: "tuple[Evidence, ...]") -> str:
    """The first place's sentence on one line, the answer between « and », long ones cut around it."""
    if not places:
        return ""
    sentence, start, end = places[0].sentence, places[0].start, places[0].end
    before, answer, after = (
        _on_one_line(part)
        for part in (
            sentence.text[: start - sentence.start],
            sentence.text[start - sentence.start : end - sentence.start],
            sentence.text[end - sentence.start :],
        )
    )
    if len(before) > _SHOWN // 2:
        before = "…" + before[-_SHOWN // 2 :]
    if len(after) > _SHOWN // 2:
        after = after[: _SHOWN // 2] + "…"
    headings = getattr(places[0], "headings", ())
    return f"{' › '.join(headings)}: " * bool(headings) + f"{before}«{answer}»{after}"


def _on_one_line(text: str) -> str:
    """Text of a document: line ends, tabs and spaces of other kinds (no-break, Chinese) are spaces."""
    return re.sub(r"\r\n|[^\S ]", " ", text)


def _squeezed(text: str) -> str:
    """A sentence on one line, long ones cut."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _table(heads: list[str], rows: list[tuple[list[str], str]]) -> None:
    """Print columns fitted to the widest cell (Chinese characters are two cells wide), sentences below their row.

    There may be one head less than columns: the first, of ranks, has none.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    lines = [[""] * (len(rows[0][0]) - len(heads)) + heads, *(cells for cells, _ in rows)]
    lines = [[printable(cell) for cell in line] for line in lines]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(lines[0]))]
    console = Console(highlight=False, soft_wrap=True)
    for line, sentence in zip(lines, ["", *(s for _, s in rows)], strict=True):
        row = "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        console.print(Text(row.rstrip(), style="dim" if line is lines[0] else "bold" if line is lines[1] else ""))
        if sentence:
            marked = Text(" " * (widths[0] + 2) + printable(sentence), style="dim")
            marked.highlight_regex("«.*?»", "not dim bold")
            console.print(marked)


def printable(text: str) -> str:
    """Show control characters, which could rewrite the screen, as U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)

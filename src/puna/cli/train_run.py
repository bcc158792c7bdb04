"""What the commands which train show while they do, and how they end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from puna.cli.interrupt import stopping
from puna.cli.output import language, print_json, print_metrics, printable, say

if TYPE_CHECKING:
    from puna.cli.train_options import Common
    from puna.train.loop import Loop, Watch
    from puna.train.session import Session

_EVERY = 30  # seconds from line to line where there is no terminal
_WORDS = {
    "en": {
        "training": "training",
        "line": "step {done} of {total}, loss {loss:.3f}, {speed:,.0f} tokens/s, {left} left",
        "note": "  loss {loss:.3f}  {speed:,.0f} tokens/s",
        "stopped": "stopped after step {step} of {total}; the same command goes on from there",
        "nothing": "stopped before the first step; nothing is kept",
        "wrong": "{count} row(s) left out; --strict refuses them",
        "written": "{steps} steps, the best after step {best}; written to {output}, log and curves to {work}",
        "steps": "steps",
        "loss": "loss",
        "em": "pointer's exact match",
        "f1": "pointer's F1",
        "nats_per_token": "nats a token",
        "accuracy": "accuracy",
        "bits_per_byte": "bits per byte",
        "before": "bits per byte before",
        "after": "bits per byte after",
        "unseen_before": "unseen, before",
        "unseen_after": "unseen, after",
    },
    "zh": {
        "training": "训练中",
        "line": "第 {done} 步，共 {total} 步，损失 {loss:.3f}，每秒 {speed:,.0f} 词元，还需 {left}",
        "note": "  损失 {loss:.3f}  每秒 {speed:,.0f} 词元",
        "stopped": "已在第 {step} 步后停止（共 {total} 步）；再次运行同一命令会接着做",
        "nothing": "在第一步之前停止，没有保存任何内容",
        "wrong": "略过了 {count} 行；--strict 会拒绝它们",
        "written": "共 {steps} 步，第 {best} 步最好；结果写入 {output}，日志与曲线写入 {work}",
        "steps": "步数",
        "loss": "损失",
        "em": "指针的完全匹配率",
        "f1": "指针的 F1",
        "nats_per_token": "每词元 nat 数",
        "accuracy": "准确率",
        "bits_per_byte": "每字节比特数",
        "before": "训练前每字节比特数",
        "after": "训练后每字节比特数",
        "unseen_before": "未见部分，训练前",
        "unseen_after": "未见部分，训练后",
    },
}
Report = Callable[[int, int, dict[str, Any]], None]


@contextmanager
def training_bar(shown: bool) -> Iterator[Report]:
    """A bar over steps with loss, speed and time left on a terminal; elsewhere a line now and then."""
    words = _WORDS[language()]
    speeds: list[tuple[float, float]] = []  # tokens and seconds of the last steps
    losses: list[float] = []

    def figures(record: dict[str, Any]) -> dict[str, float]:
        speeds.append((record["tokens"], record["seconds"]))
        losses.append(record["loss"])
        del speeds[:-50], losses[:-50]
        tokens, seconds = (sum(values) for values in zip(*speeds, strict=True))
        return {"loss": sum(losses) / len(losses), "speed": tokens / seconds, "step": seconds / len(speeds)}

    if not shown:
        yield lambda done, total, record: None
        return
    if not sys.stderr.isatty():
        said = time.monotonic()

        def line(done: int, total: int, record: dict[str, Any]) -> None:
            nonlocal said
            found = figures(record)
            if done == total or time.monotonic() - said >= _EVERY:
                said = time.monotonic()
                say(
                    words["line"].format(
                        done=done, total=total, left=_clock((total - done) * found["step"]), **found
                    )
                )

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words["training"], total=None, left="")

        def update(done: int, total: int, record: dict[str, Any]) -> None:
            found = figures(record)
            note = words["note"].format(**found)
            left = _clock((total - done) * found["step"])
            bar.update(task, completed=done, total=total, description=words["training"] + note, left=left)

        yield update


def run_training(
    session: "Session",
    given: "Common",
    train: "Callable[[Watch], Loop | None]",
    measure: Callable[[], dict[str, float]] = dict,
) -> int:
    """Train under a bar, until the end or Ctrl-C; say how it ended, and give the exit code. `measure`: what then is."""
    from puna.train.loop import Watch

    steps = total = 0
    with stopping() as stop, training_bar(session.ranks.first) as report:

        def note(done: int, every: int, record: dict[str, Any]) -> None:
            nonlocal steps, total
            steps, total = done, every
            report(done, every, record)

        loop = train(Watch(note, stop, given["save_every"] or 0))
    more = measure() if loop else {}
    session.ranks.close()
    if not session.ranks.first:
        return 130 if loop is None else 0
    words = _WORDS[language()]
    if loop is None:
        say(words["stopped"].format(step=steps, total=total) if steps else words["nothing"])
        return 130
    state, output = loop.state, str(session.order.output)
    best = state.best_step or state.step
    figures = {**state.figures, **more}
    if given["as_json"]:
        print_json(
            {"output": output, "model": session.base.name, "steps": state.step, "best_step": best, **figures}
        )
    else:
        lines = [(words[name], _number(name, value)) for name, value in figures.items() if name in words]
        print_metrics([(words["steps"], str(state.step)), *lines])
    say(words["written"].format(steps=state.step, best=best, output=output, work=session.work))
    return 0


def _number(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name in ("em", "f1", "accuracy") else f"{value:.3f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def warn_of(errors: "list[Any]", most: int = 5) -> None:
    """Name the first rows that are of no use."""
    import click

    for error in errors[:most]:
        text = error.describe(language())[0]
        click.echo(printable(f"warning: {text} [{error.code}]"), err=True)


def tell_left_out(errors: "list[Any]") -> None:
    """Name the first rows that were left out of a training, and count them all."""
    warn_of(errors)
    if errors:
        say(_WORDS[language()]["wrong"].format(count=len(errors)))

"""Study: which positions stand texts longer than those learned from?

Small Llamas, alike but for their positions, learn tasks and text at short lengths, and are tested at 1, 2, 4 and 8 times
the longest of these.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from puna.lab import tasks, texts
from puna.lab.small import SmallLlama, config_of
from puna.lab.study import Done, Piece, Setting, Study, Table, Watch
from puna.lab.teaching import Batch, mean_surprise, teach
from puna.llama.device import choose_device
from puna.shapes import Int
from puna.train.positions import sorted_positions
from puna.train.scratch import Sizes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# sorted: rotary, at sorted random positions of a longer range (Ruoss 2023). resampled: rotary, at positions drawn with
# replacement and left as drawn, which is the first article's "random position encoding".
SCHEMES = ("rotary", "learned", "none", "sorted", "resampled")
JOBS = (*tasks.TASKS, "text")
TIMES = (1, 2, 4, 8)
_NAMES = {
    "rotary": ("rotary", "旋转"),
    "learned": ("learned absolute", "可学习的绝对位置"),
    "none": ("none", "无"),
    "sorted": ("rotary, sorted random", "旋转，排序的随机位置"),
    "resampled": ("rotary, resampled", "旋转，重抽的位置"),
}
_JOB_NAMES = {
    "copy": ("copy", "复制"),
    "reverse": ("reverse", "倒序"),
    "parity": ("parity", "奇偶"),
    "text": ("text", "文本"),
}
_FIGURES = {"token_accuracy": ("tokens right", "词元正确率"), "bits_per_byte": ("bits per byte", "每字节比特数")}


@dataclass(frozen=True, slots=True)
class _Scale:
    sizes: Sizes
    task_steps: int
    task_rows: int
    task_length: int  # symbols, at most
    task_tests: int  # chains of each length
    text_steps: int
    text_rows: int
    text_length: int  # bytes
    text_tests: int  # bytes, the same for each length
    rate: float


_SCALES = {
    "tiny": _Scale(Sizes(16, 2, 2, 1, 32), 4, 4, 3, 4, 3, 2, 8, 128, 3e-3),
    "small": _Scale(Sizes(64, 2, 4, 4, 176), 1500, 32, 8, 128, 400, 16, 64, 32768, 3e-3),
    "large": _Scale(Sizes(256, 6, 4, 4, 704), 10000, 128, 40, 512, 4000, 64, 256, 262144, 1e-3),
}
_TEXT, _WARMUP, _TEST_TOKENS = "text_lm/tinyshakespeare.txt.gz", 0.05, 4096


class Positions(Study):
    """Accuracy and bits a byte by length for each kind of positions."""

    def pieces(self, setting: Setting) -> list[Piece]:
        """Give every task and text with every kind of positions and every seed."""
        seeds = range(setting.seeds)
        return [{"job": job, "positions": kind, "seed": seed} for job in JOBS for kind in SCHEMES for seed in seeds]

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give the digest of the text."""
        return setting.digest(_TEXT)

    def run(self, piece: Piece, setting: Setting, watch: Watch) -> dict[str, Any]:
        """Train one model and test it at every length."""
        scale, device = _SCALES[setting.size], choose_device(setting.device)
        job, kind, seed = piece["job"], piece["positions"], piece["seed"]
        is_text = job == "text"
        # The longest chain of a test: it is also the range that positions are drawn from.
        longest = max(TIMES) * scale.text_length + 1 if is_text else _span(job, max(TIMES) * scale.task_length)
        sizes = replace(scale.sizes, context=longest)
        vocabulary = texts.VOCABULARY if is_text else tasks.VOCABULARY
        encoding = kind if kind in ("learned", "none") else "rotary"
        model = SmallLlama(config_of(sizes, vocabulary), encoding=encoding, seed=seed).to(device)
        draw = torch.Generator().manual_seed(seed)
        learned, held = texts.split_text(texts.read_text(setting.file(_TEXT)))

        def batch_of(step: int) -> Batch:
            if is_text:
                batch = texts.text_batch(learned, scale.text_rows, scale.text_length, draw)
            else:
                length = int(torch.randint(1, scale.task_length + 1, (), generator=draw))
                batch = tasks.task_batch(job, scale.task_rows, length, draw)
            return replace(batch, positions=positions_of(kind, batch, longest, draw))

        steps = scale.text_steps if is_text else scale.task_steps
        recipe = {"steps": steps, "rate": scale.rate, "warmup": _WARMUP, "points": 1}
        diverged = teach(model, batch_of, recipe, None, watch)["diverged"]
        if diverged is not None:
            return {"diverged": diverged, "lengths": {}}
        tests = torch.Generator().manual_seed(1_000_000 + seed)  # none that was learned from
        found: dict[str, Any] = {}
        for times in TIMES:
            if is_text:
                length = times * scale.text_length
                count = min(scale.text_tests, len(held)) // (max(TIMES) * scale.text_length) * max(TIMES)
                every = texts.chains(held[: count * scale.text_length].view(-1, length))
            else:
                every = tasks.task_batch(job, scale.task_tests, times * scale.task_length, tests)
            every = replace(every, positions=positions_of(kind, every, longest, tests))
            parts = [part.to(device) for part in _parts(every)]
            if is_text:
                found[str(times)] = {"bits_per_byte": mean_surprise(model, parts) / math.log(2)}
            else:
                found[str(times)] = accuracies(model, parts)
        return {"diverged": None, "lengths": found}

    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give for each task, kind and multiple of the length the mean and standard deviation of each figure over seeds.

        A run that diverged is counted, and has no figures.
        """
        summary: dict[str, Any] = {}
        for job in JOBS:
            for kind in SCHEMES:
                runs = [each.found for each in done if (each.piece["job"], each.piece["positions"]) == (job, kind)]
                ended = [run["lengths"] for run in runs if run["diverged"] is None]
                figures: dict[str, Any] = {}
                for times in TIMES if ended else ():
                    for name in ended[0][str(times)]:
                        values = [lengths[str(times)][name] for lengths in ended]
                        spread = statistics.stdev(values) if len(values) > 1 else 0.0
                        figures.setdefault(name, {})[str(times)] = {"mean": statistics.fmean(values), "sd": spread}
                found = {"runs": len(runs), "diverged": len(runs) - len(ended), "figures": figures}
                summary.setdefault(job, {})[kind] = found
        return summary

    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give a row for each task and kind: accuracy of tokens, or bits a byte, by multiple of the length."""
        zh = language == "zh"
        what = ["任务", "指标", "位置"] if zh else ["task", "figure", "positions"]
        rows = []
        for job, kinds in summary.items():
            name = "bits_per_byte" if job == "text" else "token_accuracy"
            for kind, found in kinds.items():
                values = found["figures"].get(name, {})
                cells = [_shown(values.get(str(times)), job == "text") for times in TIMES]
                rows.append([_JOB_NAMES[job][zh], _FIGURES[name][zh], _NAMES[kind][zh], *cells])
        return [*what, *(f"{times}×" for times in TIMES)], rows

    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw a panel for each task: the figure by multiple of the length, with a band of a standard deviation."""
        figure.set_size_inches(11, 8)
        for axis, (job, kinds) in zip(figure.subplots(2, 2).flat, summary.items(), strict=True):
            name = "bits_per_byte" if job == "text" else "token_accuracy"
            for number, (kind, found) in enumerate(kinds.items()):
                points = found["figures"].get(name)
                if points:
                    means, spreads = ([points[str(times)][key] for times in TIMES] for key in ("mean", "sd"))
                    axis.plot(TIMES, means, marker="o", markersize=4, color=f"C{number}", label=_NAMES[kind][0])
                    low, high = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
                    axis.fill_between(TIMES, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}×")
            axis.set(title=job, xlabel="tested at so many times the trained length", ylabel=name.replace("_", " "))
            axis.grid(alpha=0.3)
            axis.legend(frameon=False, fontsize=8)


def positions_of(kind: str, batch: Batch, upto: int, draw: torch.Generator) -> Int[Tensor, "B T"]:
    """Give the positions of a batch by one of SCHEMES; those that are drawn are of 0 … upto − 1, the same for any length.

    "resampled" is the article's r_i ~ Uniform(1, n), with n the chain's own length, counted from 0 here.
    """
    rows, length = batch.tokens.shape
    if kind == "sorted":
        return sorted_positions((rows, length), upto, draw)
    if kind == "resampled":
        return torch.randint(length, (rows, length), generator=draw)
    return batch.positions


@torch.no_grad()
def accuracies(model: SmallLlama, batches: Sequence[Batch]) -> dict[str, float]:
    """Give the share of wanted tokens that are the most probable behind the right ones before, and of chains all right.

    A chain all right in this sense is one that greedy writing gets right.
    """
    tokens, whole, count, rows = 0, 0, 0, 0
    for batch in batches:
        wanted = batch.wanted[:, 1:]
        right = model(batch.tokens[:, :-1], batch.positions[:, :-1]).argmax(-1) == batch.tokens[:, 1:]
        tokens += int((right & wanted).sum())
        whole += int((right | ~wanted).all(1).sum())
        count += int(wanted.sum())
        rows += len(wanted)
    return {"token_accuracy": tokens / count, "sequence_accuracy": whole / rows}


def _span(task: str, length: int) -> int:
    return length + 2 + tasks.answered(task, length)


def _parts(batch: Batch) -> list[Batch]:
    size = max(1, _TEST_TOKENS // batch.tokens.shape[1])
    every = (torch.split(each, size) for each in (batch.tokens, batch.positions, batch.wanted))
    return [Batch(*each) for each in zip(*every, strict=True)]


def _shown(value: Mapping[str, float] | None, plain: bool) -> str:
    if value is None:
        return "–"
    if plain:
        return f"{value['mean']:.2f} ± {value['sd']:.2f}"
    return f"{100 * value['mean']:.0f} ± {100 * value['sd']:.0f} %"

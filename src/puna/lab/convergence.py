"""Study: does the norm decide how fast a small Llama learns?

Models alike but for their norms are trained from scratch on running text and on translation. Every norm gets the best of
the same learning rates, by the loss of seed 0 at the end; the other seeds run with that rate only.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from puna.lab.small import NORMS, SmallLlama, config_of
from puna.lab.study import Done, Piece, Setting, Study, Table, Watch
from puna.lab.teaching import Batch, mean_surprise, teach
from puna.lab.texts import (
    VOCABULARY,
    chains,
    pair_batch,
    read_pairs,
    read_text,
    split_text,
    text_batch,
    translations,
)
from puna.llama.device import choose_device
from puna.train.scratch import Sizes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = ("text", "translation")
_PAIRS = ("tatoeba_en_zh/train.jsonl.gz", "tatoeba_en_zh/dev.jsonl.gz")
_NAMES = {
    "rms": ("RMSNorm", "RMSNorm"),
    "layer": ("LayerNorm", "LayerNorm"),
    "standard": ("standardisation", "标准化"),
    "none": ("none", "无"),
}
_TASK_NAMES = {"text": ("text", "文本"), "translation": ("translation", "翻译")}


@dataclass(frozen=True, slots=True)
class _Scale:
    sizes: Sizes
    steps: int
    rows: int  # chains of a step
    length: int  # bytes of a chain
    held: int  # chains of the validation
    rates: tuple[float, ...]
    text: str


_SCALES = {
    "tiny": _Scale(Sizes(16, 2, 2, 1, 32), 6, 4, 24, 8, (1e-3, 1e-2), "text_lm/tinyshakespeare.txt.gz"),
    "small": _Scale(Sizes(64, 4, 4, 2, 176), 300, 12, 96, 64, (1e-3, 3e-3, 1e-2), "text_lm/tinyshakespeare.txt.gz"),
    "large": _Scale(
        Sizes(384, 8, 6, 2, 1024), 4000, 64, 256, 256, (3e-4, 1e-3, 3e-3), "text_lm/war_and_peace_en.txt.gz"
    ),
}
_POINTS, _WARMUP, _EXAM_ROWS = 20, 0.05, 32


class Convergence(Study):
    """Validation loss against steps and seconds for each norm."""

    def pieces(self, setting: Setting) -> list[Piece]:
        """Give seed 0 of every task and norm with every rate."""
        rates = _SCALES[setting.size].rates
        return [
            {"task": task, "norm": norm, "rate": rate, "seed": 0}
            for task in TASKS
            for norm in NORMS
            for rate in rates
        ]

    def further(self, setting: Setting, done: Sequence[Done]) -> list[Piece]:
        """Give the other seeds, with the best rate of each."""
        best = {key: _best_rate(group) for key, group in _grouped(done).items()}
        return [
            {"task": task, "norm": norm, "rate": rate, "seed": seed}
            for seed in range(1, setting.seeds)
            for (task, norm), rate in best.items()
        ]

    def decides(self, setting: Setting) -> Mapping[str, Any]:
        """Give the digests of the texts."""
        return setting.digest(_SCALES[setting.size].text, *_PAIRS)

    def run(self, piece: Piece, setting: Setting, watch: Watch) -> dict[str, Any]:
        """Train one model."""
        scale, device = _SCALES[setting.size], choose_device(setting.device)
        sizes = Sizes(**{**_fields(scale.sizes), "context": scale.length + 4})
        model = SmallLlama(config_of(sizes, VOCABULARY), norm=piece["norm"], seed=piece["seed"]).to(device)
        draw = torch.Generator().manual_seed(piece["seed"])
        if piece["task"] == "text":
            learned, held = split_text(read_text(setting.file(scale.text)))
            rows = held[: len(held) // scale.length * scale.length].view(-1, scale.length)[: scale.held]
            exam = [chains(part) for part in torch.split(rows, _EXAM_ROWS)]

            def batch_of(step: int) -> Batch:
                return text_batch(learned, scale.rows, scale.length, draw)
        else:
            pairs, kept = (read_pairs(setting.file(name), scale.length) for name in _PAIRS)
            kept = sorted(kept[: scale.held], key=lambda pair: len(pair[0]) + len(pair[1]))
            exam = [translations(kept[at : at + _EXAM_ROWS]) for at in range(0, len(kept), _EXAM_ROWS)]

            def batch_of(step: int) -> Batch:
                return pair_batch(pairs, scale.rows, draw)

        exam = [batch.to(device) for batch in exam]
        recipe = {"steps": scale.steps, "rate": piece["rate"], "warmup": _WARMUP, "points": _POINTS}
        return teach(model, batch_of, recipe, lambda: mean_surprise(model, exam), watch)

    def summarise(self, done: Sequence[Done]) -> dict[str, Any]:
        """Give for each task the runs of each norm at its best rate, and when they reach a common loss.

        That loss is the worst final mean of the three norms; `reached` of models without a norm is null where they end
        above it, or diverge. Steps and seconds are those of the mean curve, interpolated between validations.
        """
        found: dict[str, Any] = {}
        groups = _grouped(done)
        for task in TASKS:
            norms = {norm: _norm(groups[task, norm]) for norm in NORMS}
            ends = [norm["mean"][-1] for name, norm in norms.items() if norm["mean"] and name != "none"]
            common = max(ends) if ends else None
            for norm in norms.values():
                norm["reached"] = _reached(norm, common)
            found[task] = {"common_loss": common, "norms": norms}
        return found

    def table(self, summary: Mapping[str, Any], language: str) -> Table:
        """Give a row for each task and norm."""
        zh = language == "zh"
        heads = (
            ["任务", "归一化", "最佳学习率", "最终损失", "标准差", "发散", "达到共同损失的步数", "秒"]
            if zh
            else ["task", "norm", "best rate", "final loss", "sd", "diverged", "steps to common loss", "seconds"]
        )
        rows = []
        for task, found in summary.items():
            for name, norm in found["norms"].items():
                reached = norm["reached"] or {"steps": None, "seconds": None}
                rows.append(
                    [
                        _TASK_NAMES[task][zh],
                        _NAMES[name][zh],
                        _shown(norm["rate"], "g"),
                        _shown(norm["mean"][-1] if norm["mean"] else None, ".3f"),
                        _shown(norm["sd"][-1] if norm["sd"] else None, ".3f"),
                        f"{norm['diverged']}/{norm['runs']}",
                        _shown(reached["steps"], ".0f"),
                        _shown(reached["seconds"], ".1f"),
                    ]
                )
        return heads, rows

    def plot(self, summary: Mapping[str, Any], figure: "Figure") -> None:
        """Draw mean loss with a band of a standard deviation, over steps and over seconds, a row for each task."""
        figure.set_size_inches(11, 4 * len(summary))
        every = figure.subplots(len(summary), 2, squeeze=False)
        for axes, (task, found) in zip(every, summary.items(), strict=True):
            for axis, over, name in zip(axes, ("steps", "seconds"), ("steps", "seconds of training"), strict=True):
                for number, (norm, curve) in enumerate(found["norms"].items()):
                    if curve["mean"]:
                        label = f"{_NAMES[norm][0]} (rate {curve['rate']:g})"
                        axis.plot(curve[over], curve["mean"], color=f"C{number}", label=label)
                        low, high = (
                            [m + sign * s for m, s in zip(curve["mean"], curve["sd"], strict=True)]
                            for sign in (-1, 1)
                        )
                        axis.fill_between(curve[over], low, high, color=f"C{number}", alpha=0.2, linewidth=0)
                if found["common_loss"] is not None:
                    axis.axhline(found["common_loss"], color="0.6", linewidth=0.8, linestyle=":")
                axis.set(title=task, xlabel=name, ylabel="validation loss (nats a byte)")
                axis.grid(alpha=0.3)
                axis.legend(frameon=False)


def _fields(sizes: Sizes) -> dict[str, int]:
    return {name: getattr(sizes, name) for name in ("width", "layers", "heads", "kv_heads", "ffn", "context")}


def _grouped(done: Sequence[Done]) -> dict[tuple[str, str], list[Done]]:
    groups: dict[tuple[str, str], list[Done]] = {}
    for each in done:
        groups.setdefault((each.piece["task"], each.piece["norm"]), []).append(each)
    return groups


def _ended(each: Done) -> bool:
    return each.found["diverged"] is None


def _best_rate(group: Sequence[Done]) -> float:
    """Give the rate with which seed 0 ended lowest; where it ended with none, the lowest rate."""
    first = [each for each in group if each.piece["seed"] == 0]
    ended = [each for each in first if _ended(each)]
    if not ended:
        return float(min(each.piece["rate"] for each in first))
    return float(min(ended, key=lambda each: each.found["curve"][-1][2]).piece["rate"])


def _norm(group: Sequence[Done]) -> dict[str, Any]:
    rate = _best_rate(group)
    rates = sorted({each.piece["rate"] for each in group})
    runs = [each for each in group if each.piece["rate"] == rate]
    curves = [each.found["curve"] for each in runs if _ended(each)]
    columns = [list(zip(*points, strict=True)) for points in zip(*curves, strict=True)]  # of each point: steps, …
    sweep = {
        f"{each.piece['rate']:g}": each.found["curve"][-1][2] if _ended(each) else None
        for each in group
        if each.piece["seed"] == 0
    }
    return {
        "rate": rate,
        "rate_is_outermost": rate in (rates[0], rates[-1]),
        "sweep": sweep,  # final loss of seed 0 by rate, null where it diverged
        "runs": len(runs),
        "diverged": len(runs) - len(curves),
        "steps": [point[0][0] for point in columns],
        "seconds": [statistics.fmean(point[1]) for point in columns],
        "mean": [statistics.fmean(point[2]) for point in columns],
        "sd": [statistics.stdev(point[2]) if len(point[2]) > 1 else 0.0 for point in columns],
    }


def _reached(norm: Mapping[str, Any], loss: float | None) -> dict[str, float] | None:
    """Give the steps and seconds at which the mean curve first is at a loss."""
    if loss is None:
        return None
    for n, value in enumerate(norm["mean"]):
        if value <= loss:
            before = norm["mean"][n - 1] if n else value
            part = (before - loss) / (before - value) if before > value else 1.0
            at = {key: norm[key] for key in ("steps", "seconds")}
            return {key: each[max(n - 1, 0)] + part * (each[n] - each[max(n - 1, 0)]) for key, each in at.items()}
    return None


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)

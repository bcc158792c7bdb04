"""Pictures of how far probabilities can be trusted."""

import importlib.util
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from puna.evaluate.calibrate import Outcome
from puna.evaluate.classify import LabelSummary
from puna.evaluate.reliability import risk_coverage

_BINS = 10
_HAN = re.compile("[\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]")
_HAN_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
)
_NAMED = 30  # labels at most whose names and counts are written out


def drawable() -> bool:
    """Tell whether Matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_calibration(held: Sequence[Outcome], raw: Sequence[Outcome], title: str) -> bytes:
    """Draw reliability (probability against share of right answers, bins of equal size) and risk against coverage.

    Gives a PNG file's content.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    reliability, risk = figure.subplots(1, 2)
    reliability.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="honest")
    for outcomes, name, color in ((raw, "as the model says", "tab:orange"), (held, "calibrated", "tab:blue")):
        given = np.array([each.probability for each in outcomes])
        right = np.array([each.right for each in outcomes], float)
        parts = np.array_split(np.argsort(given), min(_BINS, len(given)))
        points = [(given[part].mean(), right[part].mean()) for part in parts]
        reliability.plot(*zip(*points, strict=True), marker="o", markersize=4, color=color, label=name)
        risk.plot(*risk_coverage(given, right), color=color, label=name)
    reliability.set(xlabel="probability of the best answer", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    risk.set(xlabel="coverage: share of questions answered", ylabel="risk: share answered wrongly")
    risk.set(xlim=(0, 1), ylim=(0, 1))
    for axes in (reliability, risk):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(title, fontsize=11, parse_math=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=144, format="png")
    return picture.getvalue()


def _han_fonts() -> list[str]:
    """Fonts with Chinese characters that Matplotlib finds here."""
    from matplotlib.font_manager import fontManager

    found = {font.name for font in fontManager.ttflist}
    return [name for name in _HAN_FONTS if name in found]


def _drawable_names(labels: Sequence[str]) -> list[str]:
    """Give the labels; those with Chinese characters as numbers, in their order, where no font has these."""
    bare = not _han_fonts()
    return [str(n) if bare and _HAN.search(label) else label for n, label in enumerate(labels, 1)]


def plot_confusion(found: LabelSummary, title: str) -> bytes:
    """Draw how often each right label (row) got each label (column), as shares of the row. Gives a PNG file's content."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = np.array(found.confusion, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = min(12.0, 4 + 0.35 * len(counts))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, label="share of the right label's rows")
    axes.set(xlabel="label given", ylabel="right label")
    if len(counts) <= _NAMED:
        places = range(len(counts))
        names = _drawable_names(found.labels)
        fonts: dict[str, Any] = {"parse_math": False, "fontfamily": ["DejaVu Sans", *_han_fonts()]}
        axes.set_xticks(places, names, rotation=45, ha="right", **fonts)
        axes.set_yticks(places, names, **fonts)
        for row in places:
            for column in places:
                if count := found.confusion[row][column]:
                    color = "white" if shares[row, column] > 0.5 else "black"
                    axes.text(column, row, str(count), ha="center", va="center", color=color)
    figure.suptitle(title, fontsize=11, parse_math=False)
    content = io.BytesIO()
    figure.savefig(content, dpi=144, format="png")
    return content.getvalue()

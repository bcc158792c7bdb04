"""A picture of how far ahead or behind Puna is."""

import importlib.util
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from puna.bench.run import Found


def drawable() -> bool:
    """Tell whether Matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_ratios(found: "Found") -> bytes:
    """Draw a bar for each measure, as long as Puna is better than the best peer, on a scale of doublings.

    Gives a PNG file's content.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    compared = [row for row in found.rows if row.ratio][::-1]
    figure = Figure(figsize=(8, 1.4 + 0.34 * max(len(compared), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    ratios = [row.ratio or 1.0 for row in compared]
    colors = ["tab:blue" if ratio >= 1 else "tab:orange" for ratio in ratios]
    places = range(len(compared))
    axes.barh(places, [ratio - 1 for ratio in ratios], left=1, color=colors)
    axes.set_yticks(places, [f"{row.measure} ({row.best_peer})" for row in compared])
    for place, ratio in zip(places, ratios, strict=True):
        axes.annotate(
            f"{ratio:.2f}",
            (ratio, place),
            (3 if ratio >= 1 else -3, 0),
            textcoords="offset points",
            va="center",
            ha="left" if ratio >= 1 else "right",
            fontsize=8,
        )
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:g}×")
    axes.set(xlabel="times better than the best peer")
    axes.grid(axis="x", alpha=0.3)
    figure.suptitle(f"Puna beside its peers: {found.model}", fontsize=11, parse_math=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=144, format="png")
    return picture.getvalue()

"""A run's figures as a table, as Markdown, as JSON and as a picture."""

import json

from puna.bench.plot import drawable, plot_ratios
from puna.bench.rows import PUNA
from puna.bench.run import Found


def table(found: Found) -> tuple[list[str], list[list[str]]]:
    """Give the engines' names, and a line for each measure: itself, every engine's figure, ratio, share of the limit."""
    peers = [name for name in found.engines if name != PUNA]
    lines = []
    for row in found.rows:
        figures = [_figure(row.puna), *(_figure(row.peers.get(name)) for name in peers)]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        share = "" if row.limit_share is None else f"{row.limit_share:.0%}"
        lines.append([f"{row.measure}, {row.unit}", *figures, ratio, share])
    return [PUNA, *peers], lines


def contents(found: Found) -> dict[str, bytes]:
    """Give the files of a run, the picture only where Matplotlib is there."""
    facts = json.dumps(found.to_json(), ensure_ascii=False, indent=1) + "\n"
    files = {"bench.json": facts.encode(), "bench.md": markdown(found).encode()}
    if drawable():
        files["bench.png"] = plot_ratios(found)
    return files


def markdown(found: Found) -> str:
    """Give the table with what is to be known about it."""
    heads, lines = table(found)
    cells = [["measure", *heads, "to the best peer", "of the limit"], ["---"] * (len(heads) + 3), *lines]
    about = [f"- {name}: {facts['about']}" + _ranking(facts["ranking"]) for name, facts in found.engines.items()]
    failed = [f"- {name} failed: {error}" for name, error in found.errors.items()]
    machine, limits = found.machine, found.limits
    return "\n".join(
        [
            f"{found.model}; {machine['processor']}, {machine['threads']} thread(s) each; medians of {found.rounds} "
            "round(s), without the first where there are more. "
            f"Limits: {limits['matmul_flops'] / 1e9:,.0f} GFLOP/s in a matrix product, "
            f"{limits['read_bytes'] / 1e9:,.1f} GB/s read from memory.",
            "",
            *("| " + " | ".join(line) + " |" for line in cells),
            "",
            *about,
            *failed,
            "",
        ]
    )


def _ranking(way: str) -> str:
    return f"; ranks: {way}" if way else ""


def _figure(value: float | None) -> str:
    """Three significant digits, or whole numbers."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"

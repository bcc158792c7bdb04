"""What a training says of itself as it goes: a line of JSON a step, TensorBoard, a picture of the curves."""

import importlib.util
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from puna.evaluate.plot import drawable
from puna.weights.write import told, write_whole

LOG, PICTURE, BOARD = "log.jsonl", "curves.png", "tensorboard"


class Journal:
    """The records of a folder. Those past the step from which a training goes on are forgotten.

    With `board` TensorBoard is written, where it is installed.
    """

    def __init__(self, folder: Path, step: int, board: bool = True) -> None:
        self._path = folder / LOG
        self.records = [record for record in _read(self._path) if record["step"] <= step]
        write_whole(self._path, b"".join(map(_line, self.records)))
        self._board = _writer(folder / BOARD, step) if board else None

    def add(self, record: dict[str, Any]) -> None:
        """Keep a record: `step`, and numbers or groups of them by name."""
        self.records.append(record)
        with told(self._path), self._path.open("ab") as file:
            file.write(_line(record))
        if self._board is not None:
            for name, value in record.items():
                values = (
                    {f"{name}/{key}": each for key, each in value.items()}
                    if isinstance(value, dict)
                    else {name: value}
                )
                for key, each in values.items():
                    if key != "step":
                        self._board.add_scalar(key, each, record["step"])

    def draw(self, title: str) -> None:
        """Draw the curves where Matplotlib is there."""
        if drawable() and any("loss" in record for record in self.records):
            write_whole(self._path.with_name(PICTURE), _picture(self.records, title))

    def close(self) -> None:
        """Write what TensorBoard has not written."""
        if self._board is not None:
            self._board.close()


def has_board() -> bool:
    """Tell whether TensorBoard is there."""
    return importlib.util.find_spec("tensorboard") is not None


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _read(path: Path) -> list[dict[str, Any]]:
    """Give the records as far as they can be read: the last may be cut off."""
    found = []
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        try:
            record = json.loads(line)
            record["step"] += 0
        except (ValueError, TypeError, KeyError):
            break
        found.append(record)
    return found


def _writer(folder: Path, step: int) -> Any:
    if not has_board():
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)


def _picture(records: Sequence[dict[str, Any]], title: str) -> bytes:
    """Draw loss, the scores of validations, and the learning rate over steps. Gives a PNG file's content."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [record for record in records if "loss" in record]
    held = [(record["step"], record["valid"]) for record in records if "valid" in record]
    scored = [(step, valid) for step, valid in held if "f1" in valid]
    figure = Figure(figsize=(9, 7 if scored else 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    heights = (3, 2, 1) if scored else (3, 1)
    losses, *middle, rates = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    places, found = [record["step"] for record in steps], [record["loss"] for record in steps]
    losses.plot(places, found, color="0.8", linewidth=1, label="each step")
    losses.plot(places, _smooth(found), color="tab:blue", label="running mean")
    if held:
        found = [valid["loss"] for _, valid in held]
        losses.plot(
            [step for step, _ in held], found, color="tab:orange", marker="o", markersize=3, label="held back"
        )
    losses.set(ylabel="loss (nats)")
    for axes in middle:
        for name, color in (("f1", "tab:green"), ("em", "tab:olive")):
            values = [100 * valid[name] for _, valid in scored]
            axes.plot(
                [step for step, _ in scored], values, color=color, marker="o", markersize=3, label=name.upper()
            )
        axes.set(ylabel="pointer, held back (%)", ylim=(0, 102))
    rates.plot(places, [record["rate"] for record in steps], color="tab:gray")
    rates.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes in (losses, *middle):
        axes.legend(frameon=False)
    for axes in (losses, *middle, rates):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=11, parse_math=False)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120, format="png")
    return picture.getvalue()


def _smooth(values: Sequence[float]) -> list[float]:
    """Give the mean of each value and those before it, older ones counting ever less."""
    found: list[float] = []
    total = weight = 0.0
    for value in values:
        total, weight = 0.95 * total + value, 0.95 * weight + 1
        found.append(total / weight)
    return found

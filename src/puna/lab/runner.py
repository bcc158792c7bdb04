"""Runs a study: what was done before is kept, the rest is done, then the results are written."""

import importlib.metadata
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from puna import __version__
from puna.bench.machine import machine
from puna.bench.plot import drawable
from puna.lab.kept import Kept, digest_of
from puna.lab.study import Done, Piece, Setting, Study
from puna.llama.device import choose_device
from puna.weights.write import write_whole

Report = Callable[
    [int, int, Piece, float], None
]  # pieces done, of how many, the one at work, its share that is done


@dataclass(frozen=True, slots=True)
class Outcome:
    """A study's results and the files that hold them."""

    result: dict[str, Any]  # what NAME.json holds
    files: list[Path]

    @property
    def summary(self) -> Mapping[str, Any]:
        """What the study found."""
        found: Mapping[str, Any] = self.result["summary"]
        return found


def run_study(name: str, study: Study, setting: Setting, folder: Path, report: Report) -> Outcome:
    """Do the pieces that are not in FOLDER/NAME.pieces.jsonl, and write NAME.json and, with Matplotlib, NAME.png.

    What a stop (KeyboardInterrupt) leaves undone the next run does. Raises InputError where a file cannot be read or
    written.
    """
    setting = replace(setting, folder=folder / f"{name}.kept")
    common = {
        "study": name,
        "revision": study.revision,
        "size": setting.size,
        "device": _device(setting.device),
        "torch": torch.__version__,
        "decides": dict(study.decides(setting)),
    }
    kept = Kept(folder / f"{name}.pieces.jsonl")
    first = study.pieces(setting)
    done = _run(study, setting, first, kept, common, report, [])
    further = study.further(setting, done)
    if further:
        done += _run(study, setting, further, kept, common, report, done)
    summary = json.loads(json.dumps(study.summarise(done), allow_nan=False))
    result = {
        "study": name,
        "setting": {**common, "seeds": setting.seeds},
        "machine": machine(torch.get_num_threads()),
        "versions": {"puna": __version__, "torch": torch.__version__, "numpy": importlib.metadata.version("numpy")},
        "pieces": [{"piece": dict(each.piece), "found": each.found, "seconds": each.seconds} for each in done],
        "summary": summary,
    }
    files = [folder / f"{name}.json"]
    write_whole(files[0], json.dumps(result, ensure_ascii=False, indent=1).encode() + b"\n")
    if drawable():
        files.append(folder / f"{name}.png")
        write_whole(files[1], _picture(study, summary))
    return Outcome(result, files)


def _run(
    study: Study,
    setting: Setting,
    pieces: list[Piece],
    kept: Kept,
    common: Mapping[str, Any],
    report: Report,
    before: list[Done],
) -> list[Done]:
    total, every = len(before) + len(pieces), list[Done]()
    for number, piece in enumerate(pieces, len(before)):
        digest = digest_of({**common, "piece": dict(piece)})
        done = kept.get(digest)
        if done is None:
            report(number, total, piece, 0.0)
            start = time.monotonic()
            found = study.run(
                piece,
                setting,
                lambda part, whole, number=number, piece=piece: report(  # type: ignore[misc]
                    number, total, piece, min(part / max(whole, 1), 0.999)
                ),
            )
            done = kept.add(digest, Done(piece, found, time.monotonic() - start))
        report(number + 1, total, piece, 1.0)
        every.append(done)
    return every


def _device(name: str) -> str:
    device = choose_device(name)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _picture(study: Study, summary: Mapping[str, Any]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    study.plot(summary, figure)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=144, format="png")
    return picture.getvalue()

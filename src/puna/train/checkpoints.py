"""A training's files until it has ended: where it stands, so that it can go on, and the best that it has had.

Each is written whole or not at all, under a temporary name first. What goes on from a checkpoint on a CPU, with the
same `--tokens`, ends with the same numbers as what was never stopped.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from puna.errors import InputError
from puna.train.ranks import Ranks, fill, whole
from puna.weights.refuse import shown
from puna.weights.store import place

LAST, BEST = "checkpoint.safetensors", "best.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class State:
    """How far a training is: steps done, the best validation so far and how many came since."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    since: int = 0
    figures: dict[str, float] = field(default_factory=dict)  # of the best validation


class Checkpoints:
    """The files of a folder. `mark` says what is trained on what and how: only the same goes on from a checkpoint."""

    def __init__(self, folder: Path, mark: Mapping[str, Any], ranks: Ranks) -> None:
        self.folder, self.mark, self._ranks = folder, dict(mark), ranks

    def check(self) -> bool:
        """Tell whether there is something to go on from. Raises InputError where that is of another training."""
        path = self.folder / LAST
        if not path.exists():
            return False
        found = _flat(json.loads(_metadata(path).get("mark", "{}")))
        wanted = _flat(json.loads(json.dumps(self.mark)))
        for name in wanted | found:
            if found.get(name) != wanted.get(name):
                values = {"found": shown(found.get(name)), "wanted": shown(wanted.get(name))}
                raise InputError("E-TRAIN-OTHER", path=self.folder, name=name, **values)
        return True

    def restore(self, trained: Mapping[str, nn.Parameter], optimizer: Optimizer) -> State:
        """Put everything back as it stood, if there is a checkpoint."""
        if not self.check():
            return State()
        path = self.folder / LAST
        with _opened(path) as file:
            for name, parameter in trained.items():
                fill(parameter, file.get_tensor(f"value {name}"))
                kept = {key: torch.zeros_like(parameter) for key in _MOMENTS}
                for key, moment in kept.items():
                    fill(moment, file.get_tensor(f"{key} {name}"))
                step = file.get_tensor(f"step {name}").to(parameter.device)
                optimizer.state[parameter] = {"step": step, **kept}
        return State(**json.loads(_metadata(path)["state"]))

    def save(self, trained: Mapping[str, nn.Parameter], optimizer: Optimizer, state: State) -> None:
        """Keep everything. Raises InputError where it cannot be written; what was kept before stays."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in trained.items():
            kept = optimizer.state[parameter]
            tensors[f"value {name}"] = whole(parameter)
            tensors |= {f"{key} {name}": whole(kept[key]) for key in _MOMENTS}
            tensors[f"step {name}"] = kept["step"].cpu()
        self._write(LAST, tensors, state)

    def save_best(self, trained: Mapping[str, nn.Parameter], state: State) -> None:
        """Keep what is trained as it is now."""
        self._write(BEST, {f"value {name}": whole(each) for name, each in trained.items()}, state)

    def restore_best(self, trained: Mapping[str, nn.Parameter]) -> None:
        """Take the best for what is trained."""
        with _opened(self.folder / BEST) as file:
            for name, parameter in trained.items():
                fill(parameter, file.get_tensor(f"value {name}"))

    def remove(self) -> None:
        """Forget them: the training has ended."""
        for name in (LAST, BEST):
            (self.folder / name).unlink(missing_ok=True)

    def _write(self, name: str, tensors: dict[str, Tensor], state: State) -> None:
        """Write in the first process; where that cannot, all raise InputError."""
        reason = ""
        if self._ranks.first:
            about = {"state": json.dumps(asdict(state)), "mark": json.dumps(self.mark)}
            try:
                _write_whole(self.folder / name, tensors, about)
            except (OSError, SafetensorError) as error:
                reason = str(getattr(error, "strerror", None) or error).lower()
        if self._ranks.any(bool(reason)):
            raise InputError("E-TRAIN-CHECKPOINT", path=self.folder / name, reason=reason, step=state.step)


def _write_whole(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a process that was killed
        left.unlink()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, about)
        place(temporary, path, aside=temporary)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _flat(mark: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of groups beside the others."""
    found: dict[str, Any] = {}
    for name, value in mark.items():
        found |= _flat(value) if isinstance(value, dict) else {name: value}
    return found


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise InputError("E-TRAIN-DAMAGED", path=path, reason=shown(str(error))) from None


def _metadata(path: Path) -> dict[str, str]:
    with _opened(path) as file:
        found: dict[str, str] = file.metadata() or {}
    return found

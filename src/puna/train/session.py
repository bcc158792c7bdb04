"""One training from the model's file to the result's: what all its kinds have in common."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from puna.errors import InputError, ModelFileError
from puna.llama.linear import default_dtype
from puna.tokens.tokenizer import Tokenizer
from puna.train.checkpoints import BEST, LAST, Checkpoints
from puna.train.journal import BOARD, LOG, PICTURE, Journal
from puna.train.loop import Examiner, Loop, Watch
from puna.train.network import LoRA, Network
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.result import adapter_of, extracted, go_on, lora_of, tensors_of, write_folder
from puna.train.student import Student
from puna.train.trees import Passage
from puna.weights.adapter import Adapter, check_base, folder_name, read_adapter, write_adapter
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.store import resolve

_OURS = frozenset({LAST, BEST, LOG, PICTURE, BOARD})
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Order:
    """What is wanted: where the result goes, which model, how.

    lora: None trains everything. rank: of the differences that are taken out of a full training, None for a whole
    model's folder.
    """

    output: Path
    recipe: Recipe
    lora: LoRA | None
    model: str | None = None
    init: Path | None = None
    device: str = "auto"
    dtype: str = "bf16"
    rank: int | None = None
    board: bool | None = None


class Base:
    """The model that training begins with."""

    def __init__(self, model: str | None) -> None:
        path = resolve(model)
        self.checkpoint: Checkpoint = open_checkpoint(path)
        metadata = self.checkpoint.tokenizer_metadata
        folder = path if path.is_dir() else path.parent
        self.tokenizer = Tokenizer.from_gguf(metadata) if metadata is not None else Tokenizer.from_folder(folder)
        self.name = path.stem if path.is_file() else path.name
        self.sha256, _ = model_digest(path, KeptFolder(kept_dir()))
        for key in ("attention_bias", "mlp_bias"):
            if self.checkpoint.config.get(key):
                raise ModelFileError("E-TRAIN-BIAS", path=path)


class Session:
    """A training of one kind ("reader", "lm", "fit"). Everything that can be refused is refused here at once."""

    def __init__(self, kind: str, order: Order, ranks: Ranks) -> None:
        self.kind, self.order, self.ranks = kind, order, ranks
        self.work = order.output.with_name(f"{order.output.name}.training")
        self._check_folders()
        self.base = Base(order.model)
        self.lora = order.lora
        self._init: Adapter | None = None
        if order.init is not None:
            self._init = read_adapter(order.init)
            check_base(self._init, self.base.name, self.base.sha256)
            self.lora = lora_of(self._init)
        dtype = default_dtype(ranks.device)
        network = Network(self.base.checkpoint, dtype, self.lora, seed=order.recipe.seed)
        self.student = Student(network, order.recipe.seed)
        if self._init is not None:
            go_on(self.student, self._init)
        self.student.to(ranks.device)

    @property
    def context(self) -> int:
        """Positions that the model was trained for."""
        return self.student.network.config.context

    def train(
        self, passages: Sequence[Passage], examine: Examiner | None, data: Mapping[str, Any], watch: Watch
    ) -> Loop | None:
        """Train and write the result; None where it was stopped, and the same call goes on from there.

        `data` says what is learned from; with the recipe and the model it says which training it is.
        """
        mark = {
            "kind": self.kind,
            "model": self.base.sha256,
            "lora": asdict(self.lora) if self.lora else None,
            "init": self._init.digest if self._init else None,
            "recipe": asdict(self.order.recipe),
            **data,
        }
        checkpoints = Checkpoints(self.work, mark, self.ranks)
        loop = Loop(self.student, passages, examine, self.order.recipe, checkpoints, self.ranks)
        journal = None
        if self.ranks.first:
            self.work.mkdir(parents=True, exist_ok=True)
            journal = Journal(self.work, loop.state.step, self.order.board)
        try:
            ended = loop.run(journal, watch)
        finally:
            if journal:
                journal.draw(f"{self.order.output.name}: {self.kind}, {self.base.name}")
                journal.close()
        if not ended:
            return None
        self._write(loop, mark)
        if self.ranks.first:
            checkpoints.remove()
        return loop

    def _check_folders(self) -> None:
        output = self.order.output
        if output.is_dir() and not any(output.iterdir()):
            pass
        elif output.exists():
            raise InputError("E-TRAIN-TARGET", path=output)
        if self.work.exists() and not self.work.is_dir():
            raise InputError("E-TRAIN-FOLDER", path=self.work, name=self.work.name)
        for each in self.work.iterdir() if self.work.exists() else ():
            if each.name not in _OURS and not each.name.endswith(".tmp"):
                raise InputError("E-TRAIN-FOLDER", path=self.work, name=each.name)

    def _write(self, loop: Loop, mark: Mapping[str, Any]) -> None:
        """Write the result; every process takes part in putting it together."""
        order, base = self.order, self.base
        state = loop.state
        training = {
            **mark,
            "steps": state.step,
            "best_step": state.best_step or state.step,
            "held_back": state.figures,
        }
        about = {
            "name": folder_name(order.output),
            "base": {"name": base.name, "sha256": base.sha256, "size": base.checkpoint.size_bytes},
            "prompt": {"examples": False},
            "training": training,
        }
        if self.lora is not None:
            adapter = adapter_of(self.student, self.lora, about)
        elif order.rank is not None:
            adapter = extracted(self.student, base.checkpoint, order.rank, about)
        else:
            tensors = dict(tensors_of(self.student))
            if self.ranks.first:
                files = {"puna.json": about}
                write_folder(order.output, tensors, base.checkpoint.config, DTYPES[order.dtype], files)
            return
        if self.ranks.first:
            write_adapter(order.output, adapter, dtype=DTYPES[order.dtype])


def digest_of_data(values: Sequence[Any]) -> str:
    """Give one sha256 for what is learned from."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()

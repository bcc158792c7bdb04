"""One training from the model's file to the result's: what all its kinds have in common."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from puna.answer.adapters import SHIPPED, choose_adapter
from puna.errors import InputError, ModelFileError
from puna.export.folder import tokenizer_of, write_folder
from puna.llama.config import LlamaConfig
from puna.rank.pointer import LONGEST
from puna.tokens.tokenizer import Tokenizer
from puna.train.checkpoints import BEST, LAST, Checkpoints
from puna.train.fused import products_dtype
from puna.train.journal import BOARD, LOG, PICTURE, Journal, has_board
from puna.train.loop import DivergedError, Examiner, Loop, Watch
from puna.train.network import LoRA, Network, Weights
from puna.train.ranks import Ranks
from puna.train.recipe import Recipe
from puna.train.result import adapter_of, extracted, go_on, lora_of, pointer_tensors, tensors_of
from puna.train.scratch import Scratch, Sizes, byte_tokenizer
from puna.train.student import Student
from puna.train.trees import Passage
from puna.weights.adapter import ABOUT, FORMAT, Adapter, check_base, folder_name, write_adapter
from puna.weights.checkpoint import open_checkpoint
from puna.weights.gguf_adapter import open_adapter
from puna.weights.identity import model_digest
from puna.weights.kept_folder import KeptFolder, kept_dir
from puna.weights.store import resolve

_GOOD = "last-good"  # folder of what is written where the numbers end
_OURS = frozenset({LAST, BEST, LOG, PICTURE, BOARD, _GOOD})
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Order:
    """What is wanted: where the result goes, which model, how.

    lora: None trains everything. rank: of the differences that are taken out of a full training, None for a whole
    model's folder. board: refuse to go without TensorBoard.
    """

    output: Path
    recipe: Recipe
    lora: LoRA | None
    model: str | None = None
    init: Path | None = None
    device: str = "auto"
    dtype: str = "bf16"
    rank: int | None = None
    board: bool = False


@dataclass(frozen=True)
class Base:
    """The model that training begins with; `files`: what beside the weights makes a folder of it."""

    weights: Weights
    tokenizer: Tokenizer
    name: str
    sha256: str
    size: int
    files: Mapping[str, Any]

    @classmethod
    def opened(cls, model: str | None) -> "Base":
        """Open a model by path or name; raise ModelFileError for one that cannot be trained."""
        path = resolve(model)
        checkpoint = open_checkpoint(path)
        config = LlamaConfig.from_dict(checkpoint.config)
        if config.attention_bias or config.output_bias or config.mlp_bias:
            raise ModelFileError("E-TRAIN-BIAS", path=path)
        if config.head_norms:
            raise ModelFileError("E-TRAIN-NORMS", path=path)
        if 0 < config.window < config.context:
            raise ModelFileError("E-TRAIN-WINDOW", path=path, window=config.window, context=config.context)
        tokenizer, files = tokenizer_of(path, checkpoint)
        sha256, _ = model_digest(path, KeptFolder(kept_dir()))
        name = path.stem if path.is_file() else path.name
        return cls(checkpoint, tokenizer, name, sha256, checkpoint.size_bytes, files)

    @classmethod
    def made(cls, sizes: Sizes, vocabulary: str | None, seed: int) -> "Base":
        """Make one with random weights; `vocabulary`: the model whose tokenizer it has, None for bytes."""
        if vocabulary is None:
            tokenizer = byte_tokenizer()
            files: Mapping[str, Any] = tokenizer.files()
        else:
            path = resolve(vocabulary)
            tokenizer, files = tokenizer_of(path, open_checkpoint(path))
        config = sizes.config(tokenizer)
        about = json.dumps([config, seed, files.get("tokenizer.json", "")], default=str)
        return cls(
            Scratch(config, seed), tokenizer, "scratch", hashlib.sha256(about.encode()).hexdigest(), 1, files
        )


class Session:
    """A training of one kind ("reader", "translator", "lm", "fit"). All that can be refused is refused here at once."""

    def __init__(self, kind: str, order: Order, ranks: Ranks, base: Base | None = None) -> None:
        self.kind, self.order, self.ranks = kind, order, ranks
        self.work = order.output.with_name(f"{order.output.name}.training")
        self._check_folders()
        if order.board and not has_board():
            raise InputError("E-TRAIN-BOARD")
        self.base = base or Base.opened(order.model)
        self.lora = order.lora
        self.init = self._begin()
        if self.init is not None:
            self.lora = lora_of(self.init)
        dtype = products_dtype(LlamaConfig.from_dict(self.base.weights.config), ranks.device)
        network = Network(self.base.weights, dtype, self.lora, seed=order.recipe.seed)
        self.student = Student(network, order.recipe.seed)
        if self.init is not None:
            go_on(self.student, self.init)
        if kind == "lm" or not order.recipe.pointer:
            self.student.pointer.requires_grad_(False)
        self._points = self.init is not None and "pointer.text" in self.init.extra
        self.student.to(ranks.device)
        ranks.share(self.student)

    @property
    def context(self) -> int:
        """Positions that the model was trained for."""
        return self.student.network.config.context

    def train(
        self, passages: Sequence[Passage], examine: Examiner | None, data: Mapping[str, Any], watch: Watch
    ) -> Loop | None:
        """Train and write the result; None where it was stopped, and the same call goes on from there.

        `data` says what is learned from; with the recipe and the model it says which training it is. How much a forward
        takes does not: what was killed for memory is to go on with less. Raises InputError where the numbers end.
        """
        recipe = asdict(self.order.recipe)
        del recipe["tokens"]
        mark = {
            "kind": self.kind,
            "model": self.base.sha256,
            "lora": asdict(self.lora) if self.lora else None,
            "init": self.init.digest if self.init else None,
            "recipe": recipe,
            **data,
        }
        self._points = self._points or (self.student.pointer.nowhere.requires_grad and _have_spans(passages))
        checkpoints = Checkpoints(self.work, mark, self.ranks)
        loop = Loop(self.student, passages, examine, self.order.recipe, checkpoints, self.ranks)
        journal = None
        if self.ranks.first:
            self.work.mkdir(parents=True, exist_ok=True)
            journal = Journal(self.work, loop.state.step)
        try:
            ended = loop.run(journal, watch)
        except DivergedError as error:
            if not loop.go_back():
                raise InputError("E-TRAIN-NAN", step=error.step) from None
            good = self.work / _GOOD
            if self.ranks.first:
                shutil.rmtree(good, ignore_errors=True)  # of the time before
            self._write(good, loop, mark)
            raise InputError("E-TRAIN-NAN-KEPT", step=error.step, good=loop.state.step, folder=good) from None
        finally:
            if journal:
                with suppress(
                    InputError, OSError
                ):  # a picture that cannot be written ends nothing, and hides nothing
                    journal.draw(f"{self.order.output.name}: {self.kind}, {self.base.name}")
                    journal.close()
        if not ended:
            return None
        self._write(self.order.output, loop, mark)
        if self.ranks.first:
            checkpoints.remove()
        return loop

    def _begin(self) -> Adapter | None:
        """Give the adapter to go on from: the one named, else for fitting the reader that Puna brings, if it does."""
        base, wanted = self.base, self.order.init
        if wanted is not None:
            found = open_adapter(wanted, base.weights.config)
            check_base(found, base.name, base.sha256)
            return found
        if self.kind != "fit":
            return None
        chosen = choose_adapter(SHIPPED, base.name, base.size, base.weights.config, lambda: base.sha256)
        return chosen.adapter if chosen else None

    def _check_folders(self) -> None:
        output = self.order.output
        if output.exists() and not (output.is_dir() and not any(output.iterdir())):
            raise InputError("E-TRAIN-TARGET", path=output)
        if self.work.exists() and not self.work.is_dir():
            raise InputError("E-TRAIN-FOLDER", path=self.work, name=self.work.name)
        for each in self.work.iterdir() if self.work.exists() else ():
            if each.name not in _OURS and not each.name.endswith(".tmp"):
                raise InputError("E-TRAIN-FOLDER", path=self.work, name=each.name)

    def _write(self, path: Path, loop: Loop, mark: Mapping[str, Any]) -> None:
        """Write what the student is now; every process takes part in putting it together."""
        order, base = self.order, self.base
        state = loop.state
        training = {
            **mark,
            "recipe": asdict(order.recipe),
            "steps": state.step,
            "best_step": state.best_step or state.step,
            "held_back": state.figures,
        }
        about = {
            "name": folder_name(order.output),
            "base": {"name": base.name, "sha256": base.sha256, "size": base.size},
            "prompt": {"examples": self._examples},
            "training": training,
        }
        if self.lora is not None:
            adapter = adapter_of(self.student, self.lora, about, pointer=self._points)
        elif order.rank is not None:
            adapter = extracted(self.student, base.weights, order.rank, about, pointer=self._points)
        else:
            tensors = dict(tensors_of(self.student))
            pointer = pointer_tensors(self.student) if self._points else {}
            if self.ranks.first:
                files = {**base.files, ABOUT: {"format": FORMAT, **about}}
                shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
                config, dtype = base.weights.config, DTYPES[order.dtype]
                write_folder(path, shapes, tensors.__getitem__, pointer, config, dtype, files)
            return
        if self.ranks.first:
            write_adapter(path, adapter, dtype=DTYPES[order.dtype])

    @property
    def _examples(self) -> bool:
        """Whether the worked examples are to stand before a text: what has learned from rows has learned without."""
        return self.kind == "lm" and (self.init is None or self.init.examples)


def _have_spans(passages: Sequence[Passage]) -> bool:
    """Whether a pointer can learn from them where answers stand."""
    spans = (span for passage in passages for question in passage.questions for span in question.spans)
    return any(last - first < LONGEST for first, last in spans)


def digest_of_data(values: Sequence[Any]) -> str:
    """Give one sha256 for what is learned from."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()

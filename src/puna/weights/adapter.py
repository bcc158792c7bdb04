"""LoRA adapters: small changes to a model's matrices, read and written in the form of the `peft` library.

A folder with `adapter_config.json` and `adapter_model.safetensors`, and where Puna wrote it `puna.json`: for which
model it is, and how to ask. A matrix W becomes W + scale · B · A. What PEFT can say beyond that is refused, never left
out: an adapter that is applied in part gives wrong answers without a word.
"""

import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from puna.errors import ModelFileError
from puna.weights.refuse import refuse, shown
from puna.weights.safetensors_header import read_header, read_json
from puna.weights.store import place

CONFIG, WEIGHTS, ABOUT = "adapter_config.json", "adapter_model.safetensors", "puna.json"
CALIBRATION = "calibration.json"  # of `puna calibrate` with this adapter
POINTER = "puna-pointer.safetensors"  # of a whole model's folder
FORMAT = 1  # of puna.json
PREFIX = "base_model.model."  # of every name that PEFT writes
OWN = "puna."  # of the names of tensors that are no matrix's

_FILES = frozenset({CONFIG, WEIGHTS, ABOUT, CALIBRATION, "calibration.png", "README.md"})
_PICKLES = ("adapter_model.bin", "adapter_model.pt")
_MATRIX = re.compile(
    r"(model\.layers\.(0|[1-9][0-9]{0,5})\.(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj|lm_head)\.weight", re.ASCII
)
_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight", re.ASCII)
_PATTERN = re.compile(r"\^?[\w.]+", re.ASCII)  # of a rank or alpha for some: PEFT takes any expression
_NAME = re.compile(r"[\w.\-]{1,64}")
_SHA256 = re.compile("[0-9a-f]{64}")
# Settings that change nothing once an adapter is trained. Any other must be off: empty, false or zero.
_INERT = frozenset(
    "task_type auto_mapping peft_version base_model_name_or_path revision inference_mode target_modules "
    "exclude_modules lora_dropout layers_to_transform layers_pattern megatron_core eva_config "
    "qalora_group_size".split()
)
_READ = frozenset("peft_type r lora_alpha use_rslora rank_pattern alpha_pattern bias init_lora_weights".split())
# Other ways to begin (PiSSA, OLoRA, LoftQ) take what they begin with away from the model's own matrices.
_BEGINNINGS = (None, True, False, "gaussian", "eva")


@dataclass(frozen=True)
class Adapter:
    """What an adapter changes.

    matrices: Hugging Face's name of a weight -> A [rank, inputs] and B [outputs, rank]. scale: what B · A is multiplied
    by, for each of them. extra: tensors of Puna's own. about: what stands in `puna.json`.
    """

    matrices: Mapping[str, tuple[Tensor, Tensor]]
    scale: Mapping[str, float]
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    name: str = "adapter"

    @property
    def base(self) -> tuple[str, str] | None:
        """Name and sha256 of the model that it is for; None where it does not say."""
        base = self.about.get("base")
        return (base["name"], base["sha256"]) if base else None

    @property
    def trained(self) -> str | None:
        """The kind of training that it says it had, if it says so."""
        training = self.about.get("training")
        kind = training.get("kind") if isinstance(training, dict) else None
        return kind if isinstance(kind, str) else None

    @property
    def examples(self) -> bool:
        """Whether the worked examples stand before the text."""
        return bool((self.about.get("prompt") or {}).get("examples", True))

    @cached_property
    def digest(self) -> str:
        """Sha256 of all that answers depend on; of `about` the prompt, and what it says of the reader."""
        said = [self.examples, self.about.get("reader"), sorted(self.scale.items())]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        factors = {f"{name} {part}": each for name, pair in self.matrices.items() for part, each in enumerate(pair)}
        for name, tensor in sorted({**factors, **self.extra}.items()):
            digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def read_adapter(path: str | Path) -> Adapter:
    """Read an adapter's folder; raise `ModelFileError` for whatever could not be applied as it was meant."""
    path = Path(path)
    for name in (CONFIG, WEIGHTS):
        if (path / name).exists():
            continue
        for pickle in _PICKLES:
            if name == WEIGHTS and (path / pickle).exists():
                raise refuse("E-WEIGHTS-PICKLE", path / pickle)
        raise refuse("E-ADAPTER-MISSING", path, name=name)
    config = _read_config(path / CONFIG)
    about: dict[str, Any] = {}
    if (path / ABOUT).exists():
        about = read_json(path / ABOUT)
        check_about(path / ABOUT, about)
    found = _read_tensors(path / WEIGHTS)
    extra = {name.removeprefix(OWN): found.pop(name) for name in list(found) if name.startswith(OWN)}
    matrices = _pairs(path / WEIGHTS, found)
    scale = {}
    for matrix, (a, b) in matrices.items():
        rank, alpha = _rank_and_alpha(config, matrix.removesuffix(".weight"))
        if (a.ndim, b.ndim, *a.shape[:1], *b.shape[-1:]) != (2, 2, rank, rank):
            raise refuse("E-ADAPTER-FACTORS", path / WEIGHTS, name=matrix, a=(*a.shape,), b=(*b.shape,), rank=rank)
        scale[matrix] = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    check_finite(path / WEIGHTS, matrices, extra)
    return Adapter(matrices, scale, extra, about, about.get("name") or folder_name(path))


def read_own(folder: Path) -> Adapter | None:
    """Read how a whole model's folder that was trained to read is asked: an adapter that changes no matrix.

    It has the prompt, and a pointer if there is one. None for any other folder, or file. Raises `ModelFileError` for what
    cannot be read.
    """
    if not (folder / ABOUT).exists():
        return None
    about, path = read_json(folder / ABOUT), folder / POINTER
    check_about(folder / ABOUT, about)
    extra = _read_tensors(path) if path.exists() else {}
    check_finite(path, {}, extra)
    found = Adapter({}, {}, extra, about, about.get("name") or folder_name(folder))
    return found if extra or not found.examples else None


def check_about(path: Path, about: Mapping[str, Any]) -> None:
    """Raise `ModelFileError` where `puna.json` says what this version does not know."""

    def refused(key: str, value: object) -> NoReturn:
        raise refuse("E-ADAPTER-ABOUT", path, key=key, value=value)

    name, base, prompt, reader = (about.get(key) for key in ("name", "base", "prompt", "reader"))
    if about.get("format") != FORMAT:
        refused("format", about.get("format"))
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        refused("name", name)
    if base is not None:
        if not isinstance(base, dict) or not isinstance(base.get("name"), str):
            refused("base", base)
        if not (isinstance(base.get("sha256"), str) and _SHA256.fullmatch(base["sha256"])):
            refused("base.sha256", base.get("sha256"))
        if not _is_count(base.get("size", 1)):
            refused("base.size", base.get("size"))
    if reader is not None and not isinstance(reader, dict):
        refused("reader", reader)
    if prompt is not None:
        if not isinstance(prompt, dict):
            refused("prompt", prompt)
        for key, value in prompt.items():
            if key != "examples" or not isinstance(value, bool):
                refused(f"prompt.{key}", value)


def check_base(adapter: Adapter, model: str, sha256: str) -> None:
    """Raise `ModelFileError` where an adapter says that it is for a model of another sha256."""
    if adapter.base is not None and adapter.base[1] != sha256:
        fitted, wanted = adapter.base
        facts = {"adapter": adapter.name, "fitted": fitted, "model": model}
        safe = {name: shown(value) for name, value in facts.items()}
        raise ModelFileError("E-ADAPTER-MODEL", **safe, wanted=wanted[:12], found=sha256[:12])


def write_adapter(path: str | Path, adapter: Adapter, *, dtype: torch.dtype | None = None) -> None:
    """Write an adapter's folder, whole or not at all; an adapter that was there before is replaced.

    `dtype`: that of the tensors in the file, None for their own. What is said in `about` goes into `puna.json`. A
    calibration of the one before goes with it. Raises `ModelFileError` where the folder holds anything else (see
    `check_target`) or cannot be written, and for what could not be read again.
    """
    with _told(Path(path)):
        path = Path(path).resolve()
        staged, aside = (path.with_name(f".{path.name}.{os.getpid()}.{kind}") for kind in ("new", "old"))
    about = {"format": FORMAT, "name": folder_name(path), **adapter.about}
    check_about(path / ABOUT, about)
    config = _config_of(path, adapter)
    check_finite(path, adapter.matrices, adapter.extra)
    tensors = {f"{OWN}{name}": tensor for name, tensor in adapter.extra.items()}
    for name, (a, b) in adapter.matrices.items():
        module = PREFIX + name.removesuffix(".weight")
        tensors |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
    tensors = {name: tensor.detach().to("cpu", dtype, copy=True).contiguous() for name, tensor in tensors.items()}
    check_target(path)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
        try:
            (staged / WEIGHTS).write_bytes(save(tensors, {"format": "pt"}))
            for name, content in ((CONFIG, config), (ABOUT, about)):
                text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
                (staged / name).write_text(text, "utf-8")
            place(staged, path, aside)
        finally:
            if aside.exists() and not path.exists():
                aside.replace(path)
            for left in (staged, aside):
                shutil.rmtree(left, ignore_errors=True)


def check_target(path: Path) -> None:
    """Raise `ModelFileError` unless an adapter may be written there: nothing is there, or an adapter and no more."""
    with _told(path):
        if not path.exists():
            return
        names = sorted(each.name for each in path.iterdir()) if path.is_dir() else [path.name]
    others = [name for name in names if name not in _FILES]
    if others or (names and CONFIG not in names):
        raise refuse("E-ADAPTER-OTHER", path, name=(others or names)[0])


def folder_name(path: Path) -> str:
    """Give the name that an adapter has by its folder."""
    return re.sub(r"[^\w.\-]", "_", path.resolve().name)[:64] or "adapter"


def _read_config(path: Path) -> dict[str, Any]:
    """Read `adapter_config.json`; every setting that changes what is computed is one that is applied here."""
    config = read_json(path)
    if config.get("peft_type") != "LORA":
        raise refuse("E-ADAPTER-KIND", path, kind=config.get("peft_type"))

    def refused(key: str) -> NoReturn:
        raise refuse("E-ADAPTER-SETTING", path, key=key, value=config.get(key))

    for key, value in config.items():
        if key not in _INERT | _READ and value:
            refused(key)
    if config.get("bias", "none") != "none":
        refused("bias")
    if config.get("init_lora_weights") not in _BEGINNINGS:
        refused("init_lora_weights")
    if not isinstance(config.get("use_rslora", False), bool):
        refused("use_rslora")
    for key, pattern, right in (("r", "rank_pattern", _is_count), ("lora_alpha", "alpha_pattern", _is_number)):
        if not right(config.get(key)):
            refused(key)
        patterns = config.get(pattern) or {}
        if not isinstance(patterns, dict):
            refused(pattern)
        for name, value in patterns.items():
            if not _PATTERN.fullmatch(name) or not right(value):
                raise refuse("E-ADAPTER-SETTING", path, key=f"{pattern}.{name}", value=value)
    return config


def _config_of(path: Path, adapter: Adapter) -> dict[str, Any]:
    """Give `adapter_config.json`: one rank and alpha for most matrices, and those that differ by their names."""
    ranks, alphas = dict[str, int](), dict[str, float]()
    for name, (a, b) in adapter.matrices.items():
        if not _MATRIX.fullmatch(name):
            raise refuse("E-ADAPTER-TENSOR", path, name=name)
        rank = len(a)
        if (a.ndim, b.ndim, *b.shape[-1:]) != (2, 2, rank) or not rank:
            raise refuse("E-ADAPTER-FACTORS", path, name=name, a=(*a.shape,), b=(*b.shape,), rank=rank)
        module = name.removesuffix(".weight")
        ranks[module], alphas[module] = rank, adapter.scale[name] * rank
    if not ranks:
        raise refuse("E-ADAPTER-EMPTY", path)
    most, alpha = Counter(ranks.values()).most_common(1)[0][0], Counter(alphas.values()).most_common(1)[0][0]
    base = adapter.base
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base[0] if base else None,
        "inference_mode": True,
        "target_modules": sorted(ranks),
        "r": most,
        "lora_alpha": alpha,
        "rank_pattern": {module: each for module, each in ranks.items() if each != most},
        "alpha_pattern": {module: each for module, each in alphas.items() if each != alpha},
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
    }


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what the system says against writing."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise refuse("E-ADAPTER-WRITE", path, reason=getattr(error, "strerror", None) or error) from None


def check_finite(path: Path, matrices: Mapping[str, tuple[Tensor, Tensor]], extra: Mapping[str, Tensor]) -> None:
    """Raise `ModelFileError` where a tensor of an adapter holds what is no number."""
    for name, tensors in (*matrices.items(), *((name, (tensor,)) for name, tensor in extra.items())):
        if not all(bool(tensor.isfinite().all()) for tensor in tensors):
            raise refuse("E-ADAPTER-NUMBER", path, name=name)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]  # a bool is none


def _rank_and_alpha(config: Mapping[str, Any], module: str) -> tuple[int, float]:
    """Give what holds for a module: the first pattern that is its name or the end of it, else the general one."""

    def held(key: str, pattern: str) -> Any:
        for name, value in (config.get(pattern) or {}).items():
            plain = name.removeprefix("^")
            if module == plain or (plain == name and module.endswith(f".{plain}")):
                return value
        return config[key]

    return held("r", "rank_pattern"), float(held("lora_alpha", "alpha_pattern"))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    names = read_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            found: dict[str, Tensor] = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise refuse("E-WEIGHTS-READ", path, reason=error) from None
    return found


def _pairs(path: Path, found: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Put the two factors of each matrix together."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in found.items():
        match = _FACTOR.fullmatch(key)
        if not match or not _MATRIX.fullmatch(f"{match[1]}.weight"):
            raise refuse("E-ADAPTER-TENSOR", path, name=key)
        parts.setdefault(f"{match[1]}.weight", {})[match[2]] = tensor
    return check_factors(path, parts)


def check_factors(path: Path, parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Give A and B of each matrix; raise `ModelFileError` for what is no matrix of a Llama, or lacks one of them."""
    if not parts:
        raise refuse("E-ADAPTER-EMPTY", path)
    for name, pair in parts.items():
        if not _MATRIX.fullmatch(name):
            raise refuse("E-ADAPTER-TENSOR", path, name=name)
        if len(pair) < 2:
            raise refuse("E-ADAPTER-PAIR", path, name=name)
    return {name: (pair["A"], pair["B"]) for name, pair in parts.items()}

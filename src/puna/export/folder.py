"""A model's folder in Hugging Face's form."""

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from puna.export.rope import known_scaling
from puna.tokens.tokenizer import Tokenizer
from puna.weights.adapter import POINTER
from puna.weights.checkpoint import Checkpoint
from puna.weights.refuse import refuse
from puna.weights.store import place
from puna.weights.write import told

_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("chat_template.jinja", "generation_config.json"),
)
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
Step = Callable[[int], object]


def tokenizer_of(path: Path, checkpoint: Checkpoint) -> tuple[Tokenizer, Mapping[str, Any]]:
    """Give a model's tokenizer, and the files that hold it in a folder: their bytes, or what JSON is to say."""
    if checkpoint.tokenizer_metadata is not None:
        tokenizer = Tokenizer.from_gguf(checkpoint.tokenizer_metadata)
        return tokenizer, tokenizer.files()
    folder = path if path.is_dir() else path.parent
    tokenizer = Tokenizer.from_folder(folder)
    if not (folder / "tokenizer.json").exists():  # but its makers' own file, which other programs may not read
        return tokenizer, tokenizer.files()
    return tokenizer, {name: (folder / name).read_bytes() for name in _TOKENIZER if (folder / name).exists()}


def write_folder(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    tensor: Callable[[str], Tensor],
    pointer: Mapping[str, Tensor],
    config: Mapping[str, Any],
    dtype: torch.dtype,
    files: Mapping[str, Any],
    step: Step = lambda done: None,
) -> None:
    """Write a model's folder, whole or not at all, where there is none yet: weights, `config.json`, and others.

    `tensor` gives the weights one by one. A `pointer` has a file of its own: to those who do not know it a model's
    weights are what they are elsewhere.

    Raises InputError where it cannot be written.
    """
    with told(path):
        path = path.resolve()
        staged = path.with_name(f".{path.name}.{os.getpid()}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.mkdir()
    contents = {"config.json": {**_said(config), "dtype": str(dtype).removeprefix("torch.")}, **files}
    try:
        _write_safetensors(staged / "model.safetensors", shapes, tensor, dtype, step)
        if pointer:
            sizes = {name: tuple(each.shape) for name, each in pointer.items()}
            _write_safetensors(staged / POINTER, sizes, pointer.__getitem__, dtype)
        with told(path):
            for name, content in contents.items():
                if not isinstance(content, bytes):
                    content = json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"
                (staged / name).write_bytes(content)
            if path.exists():
                path.rmdir()
            place(staged, path, aside=staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _said(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give `config.json` as others read it: they know no divisors of frequencies, as GGUF files carry them."""
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "divisors":
        config = {**config, "rope_scaling": known_scaling(config)}
    return {key: _shortest(value) for key, value in config.items()}


def _shortest(value: Any) -> Any:
    """Write an fp32 number, as GGUF files have them, with as many digits as it has: 1e-05, not 9.999999747378752e-06."""
    if isinstance(value, dict):
        return {key: _shortest(each) for key, each in value.items()}
    if isinstance(value, float) and np.float32(value) == value:
        return float(str(np.float32(value)))
    return value


def _write_safetensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    tensor: Callable[[str], Tensor],
    dtype: torch.dtype,
    step: Step = lambda done: None,
) -> None:
    """Write tensors one after the other: the library would have all of them in memory at once."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with told(path):
        file = path.open("wb")
    with file:
        with told(path):
            file.write(len(text).to_bytes(8, "little") + text)
        for done, name in enumerate(shapes):
            values = tensor(name)
            stored = values.to(dtype).contiguous()
            if dtype != values.dtype and not bool(stored.isfinite().all()):
                raise refuse(
                    "E-EXPORT-NUMBER", path, name=name, value=float(values.abs().amax()), kind=_NAMES[dtype]
                )
            with told(path):
                file.write(stored.view(-1).view(torch.uint8).numpy().data)
            step(done + 1)
        with told(path):
            file.flush()

"""torch's `.pth` archives of weights: a zip with a small pickle that says which of its bytes are which tensor.

A pickle can name any function and have it called. Here one that names anything but what weights need is refused before
it is opened; torch then opens it weights-only, which allows hardly more, and maps the bytes instead of reading them.
"""

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from puna.errors import ModelFileError
from puna.weights.refuse import refuse
from puna.weights.safetensors_header import opened

KINDS = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_MAX_PICKLE = 1 << 20  # bytes; that of the largest Llama's weights has a fifth of it
_MAX_FILES = 50_000
_STORAGE = re.compile(r"torch \w+Storage", re.ASCII)
_STORAGES = ("FloatStorage", "HalfStorage", "BFloat16Storage")
_NEEDED = frozenset(
    {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *(f"torch {s}" for s in _STORAGES)}
)
_NAMING = frozenset({"GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})


def read_pth(path: Path) -> tuple[dict[str, torch.Tensor], int]:
    """Give the tensors of an archive by name, in the file's memory, and its bytes.

    Raises `ModelFileError` for whatever is no such archive, names what weights do not need, or holds more than dense
    tensors of KINDS.
    """
    with opened(path) as (file, size):
        try:
            _check(path, file)
            found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except ModelFileError:
            raise
        except Exception as error:  # of many kinds; the unpickler's own class is to be had from pickle alone
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise refuse("E-PTH-DAMAGED", path, reason=reason) from None
    if not isinstance(found, dict):
        raise refuse("E-PTH-DAMAGED", path, reason=f"a {type(found).__name__}, not tensors by name")
    for name, tensor in found.items():
        # A tensor that is not contiguous could claim any number of elements of a few bytes.
        if not isinstance(name, str) or type(tensor) is not torch.Tensor or tensor.dtype not in KINDS:
            raise refuse("E-PTH-DAMAGED", path, reason=f"{name} is no tensor of {', '.join(KINDS.values())}")
        dense = tensor.device.type == "cpu" and tensor.layout == torch.strided and tensor.is_contiguous()
        if not dense or tensor.is_neg():
            raise refuse("E-PTH-DAMAGED", path, reason=f"{name} is not a dense tensor")
    return {name: tensor.detach() for name, tensor in found.items()}, size


def _check(path: Path, file: Any) -> None:
    """Raise `ModelFileError` unless it is an archive of weights: nothing compressed, nothing twice, no other name."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if len(pickles) != 1 or not plain or len(entries) > _MAX_FILES or len(set(names)) != len(names):
            raise refuse("E-PTH-DAMAGED", path, reason="not an archive as torch writes them")
        if pickles[0].file_size > _MAX_PICKLE:
            raise refuse("E-PTH-DAMAGED", path, reason=f"a pickle of {pickles[0].file_size} bytes")
        content = archive.read(pickles[0])
    for code, argument, _ in pickletools.genops(content):
        if code.name not in _NAMING or (code.name == "GLOBAL" and argument in _NEEDED):
            continue
        if isinstance(argument, str) and _STORAGE.fullmatch(argument):
            raise refuse("E-PTH-DAMAGED", path, reason=f"numbers in a {argument}, not {', '.join(KINDS.values())}")
        raise refuse("E-PTH-CODE", path, name=argument or code.name)

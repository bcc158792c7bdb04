"""GGUF files, whole or not at all. gguf-py lays them out; tensors go through memory one at a time."""

import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGMLQuantizationType, GGUFValueType
from torch import Tensor

from puna.weights.blocks import FORMATS
from puna.weights.store import place
from puna.weights.write import told

Step = Callable[[int], object]  # told how many tensors are written
_ARRAYS = {
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "float32": "FLOAT32",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "float64": "FLOAT64",
    "bool": "BOOL",
}  # fmt: skip


def write_gguf(
    path: Path,
    architecture: str,
    keys: Mapping[str, object],
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
    rows: Callable[[str], Tensor],
    step: Step = lambda done: None,
) -> None:
    """Write a file under a temporary name, sync it and rename it.

    `tensors`: type name and shape, in torch's order, of each; `rows` gives their bytes. `keys` are as `GgufFile` reads
    them; an empty list is left out. Raises InputError where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    writer = GGUFWriter(temporary, architecture)
    for key, value in keys.items():
        if not isinstance(value, list | np.ndarray) or len(value):
            plain = value.tolist() if isinstance(value, np.ndarray) else value
            writer.add_key_value(key, plain, *_types_of(value))
    for name, (kind, shape) in tensors.items():
        form = FORMATS[kind]
        nbytes = math.prod(shape) // form.items * form.bytes
        writer.add_tensor_info(name, shape, np.dtype(np.float32), nbytes, GGMLQuantizationType[kind])
    try:
        with told(path):
            writer.write_header_to_file(temporary)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
        for done, name in enumerate(list(tensors)):
            stored = rows(name).contiguous().numpy()
            with told(path):
                writer.write_tensor_data(stored)
            step(done + 1)
        with told(path):
            writer.close()
            place(temporary, path, aside=temporary)
    finally:
        with suppress(OSError, ValueError):
            writer.close()
        with suppress(OSError, ValueError):
            temporary.unlink(missing_ok=True)


def _types_of(value: object) -> tuple[GGUFValueType, GGUFValueType | None]:
    """Give a value's type in the file, and that of an array's items; llama.cpp wants sizes unsigned and numbers fp32."""
    if isinstance(value, np.ndarray):
        return GGUFValueType.ARRAY, GGUFValueType[_ARRAYS[value.dtype.name]]
    if isinstance(value, list):
        return GGUFValueType.ARRAY, GGUFValueType.STRING
    if isinstance(value, bool):
        return GGUFValueType.BOOL, None
    if isinstance(value, str):
        return GGUFValueType.STRING, None
    if isinstance(value, int):
        wide = "" if -(1 << 31) <= value < 1 << 32 else "64"
        return GGUFValueType[f"{'U' if value >= 0 else ''}INT{wide or 32}"], None
    if not isinstance(value, float):
        raise TypeError(f"no GGUF value: {type(value)}")
    return (GGUFValueType.FLOAT32 if float(np.float32(value)) == value else GGUFValueType.FLOAT64), None

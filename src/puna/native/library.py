"""The compiled kernels, called through ctypes: no compiler, no library, or no such CPU, and torch does the work."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p
from functools import cache

import torch
from torch import Tensor

from puna.native.build import LIBRARY, digest

FORMS = {"bf16": 0, "q4": 1, "q8": 2}


class Tile(Structure):
    """16 outputs of a matrix, as matrix.h has them."""

    _fields_ = (("data", c_void_p), ("form", c_int32), ("pad", c_int32))


class Matrix(Structure):
    """Column tiles and their bias."""

    _fields_ = (("tiles", c_void_p), ("bias", c_void_p), ("strips", c_int32), ("blocks", c_int32))


class Layer(Structure):
    """The four products of a layer and the gains of its norms."""

    _fields_ = (
        *((name, Matrix) for name in ("qkv", "out", "gate_up", "down")),
        ("attention_norm", c_void_p),
        ("ffn_norm", c_void_p),
    )


class Model(Structure):
    """Sizes, layers, last norm, head."""

    _fields_ = (
        *((name, c_int32) for name in ("width", "heads", "kv_heads", "size", "ffn", "layers", "vocab")),
        ("eps", c_float),
        ("layer", POINTER(Layer)),
        ("norm", c_void_p),
        ("head", Matrix),
    )


class Pass(Structure):
    """One forward: new tokens, where they go in the cache, what each may see."""

    _fields_ = (
        *((name, c_int32) for name in ("tokens", "slots", "capacity", "chain")),
        *((name, c_void_p) for name in ("x", "cos", "sin", "keys", "values", "slot", "low", "high", "mask")),
        *((name, c_void_p) for name in ("first", "list")),
    )


@cache
def library() -> ctypes.CDLL | None:
    """Give the kernels where they were compiled, from these very sources, and this machine can run them, else None."""
    try:
        kernels = ctypes.CDLL(str(LIBRARY))
        kernels.puna_digest.restype = c_char_p
    except (OSError, AttributeError):  # AttributeError: a library, but another
        return None
    if kernels.puna_digest() != digest().encode() or not kernels.puna_supported():
        return None
    kernels.puna_forward.argtypes = (POINTER(Model), POINTER(Pass), c_int)
    kernels.puna_logits.argtypes = (POINTER(Model), c_void_p, c_int, c_void_p, c_int)
    kernels.puna_masses.argtypes = (POINTER(Model), c_void_p, c_int, *[c_void_p] * 5, c_int)
    kernels.puna_pack.argtypes = (c_int, c_void_p, c_size_t, c_void_p, c_int, c_int, c_void_p, c_int)
    kernels.puna_pack.restype = None
    kernels.puna_rows.argtypes = (POINTER(Matrix), c_void_p, c_int, c_void_p)
    kernels.puna_rows.restype = None
    return kernels


def kernels() -> ctypes.CDLL:
    """Give the kernels; RuntimeError where there are none."""
    found = library()
    if found is None:
        raise RuntimeError("the kernels were not compiled, or this CPU cannot run them")
    return found


def pack(form: str, rows: Tensor, order: Tensor) -> Tensor:
    """Bring a matrix's rows as stored, uint8 [N, bytes], into column tiles; `order`: the row of each output or -1."""
    lib, number = kernels(), FORMS[form]
    rows = rows.contiguous()
    order = order.to(torch.int32).contiguous()
    blocks = rows.shape[1] // {"bf16": 64, "q4": 20, "q8": 34}[form]
    out = torch.empty(len(order) // 16 * blocks * lib.puna_block_bytes(number), dtype=torch.uint8)
    lib.puna_pack(
        number,
        rows.data_ptr(),
        rows.shape[1],
        order.data_ptr(),
        len(order) // 16,
        blocks,
        out.data_ptr(),
        torch.get_num_threads(),
    )
    return out


def matrix(
    parts: Sequence[tuple[str, Tensor]], width: int, picks: Tensor, bias: Tensor | None
) -> tuple[Matrix, list[object]]:
    """Put a matrix together of packed parts: `picks` [n, 2] says of which part, and which of its tiles, each tile is.

    Gives the matrix and what must stay alive as long as it.
    """
    blocks = width // 32
    sizes = [blocks * kernels().puna_block_bytes(FORMS[form]) for form, _ in parts]
    tiles = (Tile * len(picks))(
        *(Tile(parts[p][1].data_ptr() + sizes[p] * t, FORMS[parts[p][0]], 0) for p, t in picks.tolist())
    )
    made = Matrix(ctypes.addressof(tiles), bias.data_ptr() if bias is not None else None, len(picks) // 2, blocks)
    return made, [tiles, bias, *parts]

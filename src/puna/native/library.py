"""The compiled kernels, called through ctypes: no compiler, no library, or no such CPU, and torch does the work.

An engine is a library for one kind of CPU. `ATEN_CPU_CAPABILITY`, which caps torch's own kernels, caps these as well.
"""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from puna.native import build

_FORMS = {"bf16": 0, "q4": 1, "q8": 2, "f32": 3}
_ROW_BYTES = {"bf16": 64, "q4": 20, "q8": 34, "f32": 128}  # of 32 inputs, as given to `pack`


class Tile(Structure):
    """16 outputs of a matrix, as matrix.h has them."""

    _fields_ = (("data", c_void_p), ("form", c_int32), ("pad", c_int32))


class Matrix(Structure):
    """Column tiles and their bias."""

    _fields_ = (("tiles", c_void_p), ("bias", c_void_p), ("strips", c_int32), ("blocks", c_int32))


class Layer(Structure):
    """The four products of a layer and the gains of its norms; those of heads are in the order of their strips."""

    _fields_ = (
        *((name, Matrix) for name in ("qkv", "out", "gate_up", "down")),
        ("attention_norm", c_void_p),
        ("ffn_norm", c_void_p),
        ("q_norm", c_void_p),
        ("k_norm", c_void_p),
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


@dataclass(frozen=True, eq=False)
class Engine:
    """A library that this machine runs: its name, its functions, and the type of what goes into products."""

    name: str
    kernels: ctypes.CDLL
    dtype: torch.dtype

    def pack(self, form: str, rows: Tensor, order: Tensor) -> Tensor:
        """Bring a matrix's rows as stored, uint8 [N, bytes], into column tiles; `order`: the row of each output or -1."""
        rows = rows.contiguous()
        order = order.to(torch.int32).contiguous()
        blocks = rows.shape[1] // _ROW_BYTES[form]
        out = torch.empty(len(order) // 16 * blocks * self._block_bytes(form), dtype=torch.uint8)
        self.kernels.puna_pack(
            _FORMS[form],
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
        self, parts: Sequence[tuple[str, Tensor]], width: int, picks: Tensor, bias: Tensor | None
    ) -> tuple[Matrix, list[object]]:
        """Put a matrix together of packed parts: `picks` [n, 2]: of which part, and which of its tiles, each tile is.

        Gives the matrix and what must stay alive as long as it.
        """
        blocks = width // 32
        sizes = [blocks * self._block_bytes(form) for form, _ in parts]
        tiles = (Tile * len(picks))(
            *(Tile(parts[p][1].data_ptr() + sizes[p] * t, _FORMS[parts[p][0]], 0) for p, t in picks.tolist())
        )
        address = bias.data_ptr() if bias is not None else None
        made = Matrix(ctypes.addressof(tiles), address, len(picks) // 2, blocks)
        return made, [tiles, bias, *parts]

    def _block_bytes(self, form: str) -> int:
        size: int = self.kernels.puna_block_bytes(_FORMS[form])
        return size


def load_engine(name: str) -> Engine | None:
    """Give an engine if it was compiled, from these very sources, and this machine and its cap allow it, else None."""
    if not _allowed(name):
        return None
    try:
        kernels = ctypes.CDLL(str(build.library(name)))
        kernels.puna_digest.restype = c_char_p
    except (OSError, AttributeError):  # AttributeError: a library, but another
        return None
    if kernels.puna_digest() != build.digest().encode() or not kernels.puna_supported():
        return None
    kernels.puna_forward.argtypes = (POINTER(Model), POINTER(Pass), c_int)
    kernels.puna_logits.argtypes = (POINTER(Model), c_void_p, c_int, c_void_p, c_int)
    kernels.puna_masses.argtypes = (POINTER(Model), c_void_p, c_int, *[c_void_p] * 5, c_int)
    kernels.puna_pack.argtypes = (c_int, c_void_p, c_size_t, c_void_p, c_int, c_int, c_void_p, c_int)
    kernels.puna_pack.restype = None
    kernels.puna_rows.argtypes = (POINTER(Matrix), c_void_p, c_int, c_void_p)
    kernels.puna_rows.restype = None
    return Engine(name, kernels, torch.bfloat16 if name == "amx" else torch.float32)


@cache
def engines() -> dict[str, Engine]:
    """Give the engines of this machine by name, the fastest first."""
    found = (load_engine(name) for name in build.engines())
    return {engine.name: engine for engine in found if engine is not None}


def _allowed(name: str) -> bool:
    """Tell whether torch's kernels go as far."""
    cap = torch.backends.cpu.get_cpu_capability()
    return name == "neon" or cap.startswith("AVX512") or (name == "avx2" and cap == "AVX2")

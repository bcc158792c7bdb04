"""Files that lie: each is refused under its code, on one line in two languages, without taking memory."""

import resource
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from puna.errors import ModelFileError
from puna.weights.checkpoint import open_checkpoint
from puna.weights.gguf import GgufFile
from tests.weights.raw_gguf import (
    ARR,
    BOOL,
    F32,
    STR,
    U32,
    U64,
    array,
    build,
    info,
    pair,
    sample,
    text,
    write,
)

HUGE = 2**60
WRAP = 0x7FFFFFFFFFFFFFC0
MOST = 2**64 - 1
F32_16 = bytes(64)


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def one(*dims: int, kind: int = 0, offset: int = 0, n_dims: int | None = None) -> bytes:
    return build(infos=[info("a", dims, kind, offset, n_dims)], data=F32_16)


def aligned(value: int) -> bytes:
    return build([pair("general.alignment", U32, value)], [info("a", [4])], F32_16)


def nested(depth: int) -> bytes:
    return build([text("k") + u32(ARR) + (u32(ARR) + u64(1)) * depth + u32(U32) + u64(1) + u32(0)])


HOSTILE: dict[str, tuple[str, bytes]] = {
    "empty": ("E-WEIGHTS-EMPTY", b""),
    "one byte": ("E-GGUF-TRUNCATED", b"G"),
    "magic only": ("E-GGUF-TRUNCATED", b"GGUF"),
    "other magic": ("E-WEIGHTS-KIND", build(magic=b"GGML")),
    "lower-case magic": ("E-WEIGHTS-KIND", build(magic=b"gguf")),
    "version 0": ("E-GGUF-ENDIAN", build(version=0)),
    "version 1": ("E-GGUF-VERSION", build(version=1)),
    "version 4": ("E-GGUF-VERSION", build(version=4)),
    "version 99": ("E-GGUF-VERSION", build(version=99)),
    "version 2^32-1": ("E-GGUF-VERSION", build(version=2**32 - 1)),
    "big endian": ("E-GGUF-ENDIAN", build(version=3, order=">")),
    "2^60 tensors": ("E-GGUF-COUNT", build(tensors=HUGE)),
    "2^64-1 tensors": ("E-GGUF-COUNT", build(tensors=MOST)),
    "2^63 tensors": ("E-GGUF-COUNT", build(tensors=2**63)),
    "one tensor more than there is": ("E-GGUF-DIMS", build(tensors=1, data=F32_16)),
    "2^60 keys": ("E-GGUF-COUNT", build(keys=HUGE)),
    "2^64-1 keys": ("E-GGUF-COUNT", build(keys=MOST)),
    "100000 keys in a megabyte": ("E-GGUF-COUNT", build(keys=100_000, data=bytes(2**21))),
    "100000 tensors in four megabytes": ("E-GGUF-COUNT", build(tensors=100_000, data=bytes(2**22))),
    "key of 2^63 bytes": ("E-GGUF-STRING", build([text("k", 2**63) + u32(U32) + u32(1)])),
    "key of 2^64-1 bytes": ("E-GGUF-STRING", build([text("k", MOST) + u32(U32) + u32(1)])),
    "key past the end": ("E-GGUF-TRUNCATED", build([text("k", 5000) + u32(U32) + u32(1)])),
    "key of 64 KiB": ("E-GGUF-STRING", build([pair("k" * 2**16, U32, 1)])),
    "key not UTF-8": ("E-GGUF-UTF8", build([pair(b"\xff\xfe", U32, 1)])),
    "key an overlong NUL": ("E-GGUF-UTF8", build([pair(b"\xc0\x80", U32, 1)])),
    "key a surrogate": ("E-GGUF-UTF8", build([pair(b"\xed\xa0\x80", U32, 1)])),
    "value of 2^60 bytes": ("E-GGUF-STRING", build([text("k") + u32(STR) + text("v", HUGE)])),
    "value past the end": ("E-GGUF-TRUNCATED", build([text("k") + u32(STR) + text("v", 60_000)])),
    "value not UTF-8": ("E-GGUF-UTF8", build([pair("k", STR, b"\x80")])),
    "duplicate key": ("E-GGUF-DUPLICATE", build([pair("k", U32, 1), pair("k", U32, 1)])),
    "value type 13": ("E-GGUF-VALUE-TYPE", build([text("k") + u32(13) + u64(1)])),
    "value type 2^32-1": ("E-GGUF-VALUE-TYPE", build([text("k") + u32(2**32 - 1) + u64(1)])),
    "array of type 99": ("E-GGUF-VALUE-TYPE", build([text("k") + u32(ARR) + u32(99) + u64(1)])),
    "boolean 2": ("E-CONFIG-VALUE", build([text("k") + u32(BOOL) + b"\x02" + bytes(8)])),
    "booleans with a 255": ("E-CONFIG-VALUE", build([text("k") + u32(ARR) + u32(BOOL) + u64(2) + b"\x01\xff"])),
    "array of an array": ("E-GGUF-NESTED", nested(1)),
    "arrays 10000 deep": ("E-GGUF-NESTED", nested(10_000)),
    "array of 2^60 numbers": ("E-GGUF-COUNT", build([array("k", U32, [1], HUGE)])),
    "array of 2^62 numbers, 2^64 bytes": ("E-GGUF-COUNT", build([array("k", U32, [1], 2**62)])),
    "array of 2^61 u64, 0 bytes in 64 bits": ("E-GGUF-COUNT", build([array("k", U64, [1], 2**61)])),
    "array of 2^60 strings": ("E-GGUF-COUNT", build([array("k", STR, ["x"], HUGE)])),
    "array of 2^64-1 strings": ("E-GGUF-COUNT", build([array("k", STR, ["x"], MOST)])),
    "array one number short": ("E-GGUF-COUNT", build([array("k", U64, [1, 2], 3)], alignment=1)),
    "array of strings past the end": ("E-GGUF-COUNT", build([array("k", STR, ["x"], 100)])),
    "entry of 2^63 bytes": ("E-GGUF-STRING", build([array("k", STR, [], 1) + text("x", 2**63)])),
    "entry of 64 KiB and one": ("E-GGUF-STRING", build([array("k", STR, ["x" * (2**16 + 1)])])),
    "entry past the end": ("E-GGUF-TRUNCATED", build([array("k", STR, [], 1) + text("x", 60_000)])),
    "entry not UTF-8": ("E-GGUF-UTF8", build([array("k", STR, ["a", b"\xf0\x28", "b"])])),
    "alignment 0": ("E-GGUF-ALIGNMENT", aligned(0)),
    "alignment 1": ("E-GGUF-ALIGNMENT", aligned(1)),
    "alignment 24": ("E-GGUF-ALIGNMENT", aligned(24)),
    "alignment 2^31": ("E-GGUF-ALIGNMENT", aligned(2**31)),
    "alignment 2^32-1": ("E-GGUF-ALIGNMENT", aligned(2**32 - 1)),
    "alignment a text": ("E-GGUF-ALIGNMENT", build([pair("general.alignment", STR, "32")], [info("a", [4])])),
    "alignment an array": ("E-GGUF-ALIGNMENT", build([array("general.alignment", U32, [32, 32])])),
    "alignment true": ("E-GGUF-ALIGNMENT", build([pair("general.alignment", BOOL, True)])),
    "alignment 32.0": ("E-GGUF-ALIGNMENT", build([pair("general.alignment", F32, 32.0)])),
    "no dims": ("E-GGUF-DIMS", one()),
    "5 dims": ("E-GGUF-DIMS", one(1, 1, 1, 1, 1)),
    "2^32-1 dims": ("E-GGUF-DIMS", one(4, n_dims=2**32 - 1)),
    "zero dim": ("E-GGUF-SHAPE", one(0)),
    "zero dim among others": ("E-GGUF-SHAPE", one(4, 0, 4)),
    "dim that wraps with its type": ("E-GGUF-TRUNCATED", one(WRAP)),
    "dims whose product is 2^64": ("E-GGUF-TRUNCATED", one(2**32, 2**32)),
    "dims whose product is 2^64 and bytes 0": ("E-GGUF-TRUNCATED", one(2**16, 2**16, 2**16, 2**16)),
    "dims of 2^64-1": ("E-GGUF-TRUNCATED", one(MOST, MOST, MOST, MOST)),
    "quantised dim that wraps": ("E-GGUF-TRUNCATED", one(WRAP, 4, kind=3)),
    "row no multiple of the block": ("E-GGUF-ROW", one(33, kind=2)),
    "row shorter than a block": ("E-GGUF-ROW", one(16, 2, kind=8)),
    "K-quant row of 128": ("E-GGUF-ROW", one(128, kind=12)),
    "one number past the end": ("E-GGUF-TRUNCATED", one(17)),
    "type 4, removed from ggml": ("E-GGUF-TYPE", one(4, kind=4)),
    "type 99": ("E-GGUF-TYPE", one(4, kind=99)),
    "type 2^32-1": ("E-GGUF-TYPE", one(4, kind=2**32 - 1)),
    "type IQ4_NL": ("E-GGUF-TYPE", one(32, kind=20)),
    "type I8 of 0x7FFFFFFFFFFFFFC0": ("E-GGUF-TYPE", one(WRAP, kind=24)),
    "misaligned offset": ("E-GGUF-OFFSET", one(4, offset=4)),
    "offset past the end": ("E-GGUF-TRUNCATED", one(4, offset=64)),
    "offset 2^64-32": ("E-GGUF-TRUNCATED", one(4, offset=2**64 - 32)),
    "duplicate tensor": ("E-GGUF-DUPLICATE", build(infos=[info("a", [4]), info("a", [4], 0, 32)], data=F32_16)),
    "same place": ("E-GGUF-OVERLAP", build(infos=[info("a", [4]), info("b", [4])], data=F32_16)),
    "overlap by four bytes": ("E-GGUF-OVERLAP", build(infos=[info("a", [9]), info("b", [4], 0, 32)], data=F32_16)),
    "tensor name of 65 bytes": ("E-GGUF-STRING", build(infos=[info("a" * 65, [4])], data=F32_16)),
    "tensor name not UTF-8": ("E-GGUF-UTF8", build(infos=[info(b"\xff", [4])], data=F32_16)),
    "quantisation version 1": (
        "E-GGUF-QUANT-VERSION",
        build([pair("general.quantization_version", U32, 1)], [info("a", [32], 2)], F32_16),
    ),
    "quantisation version an array": (
        "E-GGUF-QUANT-VERSION",
        build([array("general.quantization_version", U32, [2, 2])], [info("a", [32], 2)], F32_16),
    ),
    "name with line ends and escapes": (
        "E-GGUF-TYPE",
        build(infos=[info("a\n\x1b[2J\u202e\x00b", [4], 99)], data=F32_16),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_under_its_code_without_memory(name: str, tmp_path: Path) -> None:
    code, content = HOSTILE[name]
    path = write(tmp_path / "hostile.gguf", content)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as caught:
            GgufFile(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    assert peak < 2**20
    assert grown * (1 if sys.platform == "darwin" else 1024) < 2**26
    assert caught.value.code == code
    for language in ("en", "zh"):
        message, hint = caught.value.describe(language)
        assert message
        assert hint
        assert (message + hint).isprintable()
        assert len(message) < 400 + len(str(path))


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 40


def test_the_unhurt_files_are_read(tmp_path: Path) -> None:
    """What the hostile files are variations of is itself sound."""
    for content in (build(), sample(), aligned(64), one(16), one(4, 4), build([pair("k", BOOL, True)])):
        GgufFile(write(tmp_path / "sound.gguf", content))


@pytest.mark.parametrize("seed", range(4))
def test_mutations_read_or_are_refused(seed: int, tmp_path: Path) -> None:
    whole = sample()
    rng = np.random.default_rng(seed)
    path = tmp_path / "mutant.gguf"
    outcomes = {"read": 0, "refused": 0}
    for case in range(1000):
        mutant = bytearray(whole)
        at = int(rng.integers(len(whole)))
        if case % 3 == 0:
            mutant[at] ^= 1 << int(rng.integers(8))
        elif case % 3 == 1:
            mutant[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
        else:
            value = int(rng.choice(np.array([0, 1, 2**31, 2**32, 2**60, 2**63, WRAP, MOST], np.uint64)))
            mutant[at : at + 8] = u64(value)
        path.write_bytes(mutant)
        try:
            file = GgufFile(path)
            for name in file.tensors:
                file.tensor(name)
            outcomes["read"] += 1
        except ModelFileError:
            outcomes["refused"] += 1
        with pytest.raises(ModelFileError):  # it never was a Llama
            open_checkpoint(path)
    assert min(outcomes.values()) > 50

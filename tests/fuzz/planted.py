"""Faults on purpose, by which the tests see that the fuzzer finds what it looks for: file n does the n-th."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from puna.errors import ModelFileError


def _error(folder: Path) -> None:
    _ = {}["a key that a file lacks"]


def _memory(folder: Path) -> None:
    _ = b"\1" * (1 << 29)


def _addresses(folder: Path) -> None:
    _ = bytearray(1 << 45)


def _outside(folder: Path) -> None:
    (folder / ".." / "outside" / "secret.json").read_text()


def _writing(folder: Path) -> None:
    (folder / "new").write_text("")


def _code(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", ""], check=False)


def _lines(folder: Path) -> None:
    raise ModelFileError("E-TOKENIZER-DAMAGED", what="a\x1b[2J\nb")


def _length(folder: Path) -> None:
    raise ModelFileError("E-TOKENIZER-DAMAGED", what="a" * 10_000)


def _crash(folder: Path) -> None:
    os.abort()


def _endless(folder: Path) -> None:
    while True:
        pass


def _nothing(folder: Path) -> None:
    pass


FAULTS: tuple[tuple[Callable[[Path], None], str], ...] = (
    (_nothing, ""),
    (_error, "KeyError"),
    (_memory, "MiB"),
    (_addresses, "MemoryError"),
    (_outside, "outside/secret.json"),
    (_writing, "writes"),
    (_code, "subprocess.Popen"),
    (_lines, "not printable"),
    (_length, "characters"),
    (_crash, "ends the process with -6"),
    (_nothing, ""),
    (_endless, "takes over 5 s"),
)
"""Each with what the fuzzer must say of it."""

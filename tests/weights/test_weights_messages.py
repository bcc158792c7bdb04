"""Every code that this room raises has its sentences, and each names what it is given."""

import re
import string
from pathlib import Path

import pytest

import puna.weights
from puna.messages import MESSAGES
from puna.weights.refuse import refuse, shown

ROOM = [
    "blocks",
    "adapted",
    "adapter",
    "architectures",
    "checkpoint",
    "folder",
    "gguf",
    "gguf_adapter",
    "gguf_config",
    "layout",
    "meta",
    "names",
    "pth",
    "retyped",
    "safetensors_header",
]
CODES = sorted(
    {
        code
        for module in ROOM
        for code in re.findall(
            r'"(E-[A-Z0-9-]+)"', (Path(puna.weights.__path__[0]) / f"{module}.py").read_text("utf-8")
        )
    }
)


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", CODES)
def test_both_languages_say_the_same(code: str) -> None:
    entry = MESSAGES[code]
    assert all((*entry.en, *entry.zh))
    assert names("".join(entry.en)) == names("".join(entry.zh))
    assert any("\u4e00" <= char <= "\u9fff" for char in entry.zh[0])


def test_values_from_files_are_made_printable() -> None:
    assert shown("a\nb\x1b[2J\u202e\ud800") == "a\\nb\\x1b[2J\\u202e\\ud800"
    assert len(shown("x" * 10**6)) == 80
    assert shown([1, "a", [2]]) == "[1, a, […]]"
    assert len(shown([["x"] * 100] * 10**5)) <= 80
    assert shown(float("nan")) == "nan"
    error = refuse("E-TENSOR-MISSING", Path("a\nb"), name="{path}\r")
    assert str(error) == "a�b has no tensor {path}\\r"

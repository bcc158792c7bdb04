"""Two thousand strings and more that tokenizers get wrong, the same at every call, and lines of the data sets.

Used by the tests and by bench/tokens_vs_llama_cpp.py.
"""

import gzip
import json
import os
import random
from itertools import islice
from pathlib import Path

LINES = 60  # of each data set
_SETS = (
    *("squad11/dev_a.jsonl.gz", "cmrc2018/dev_a.jsonl.gz", "banking77/test.jsonl.gz", "tatoeba_en_zh/dev.jsonl.gz"),
    *("drcd/dev.jsonl.gz", "text_lm/war_and_peace_en.txt.gz", "text_lm/hongloumeng_zh.txt.gz"),
    *("text_lm/wikitext2_test.txt.gz", "docs_handbook_en/docs.jsonl.gz", "docs_law_zh/docs.jsonl.gz"),
)
_RANGES = {
    "latin": [(0x20, 0x7F), (0xA0, 0x180)],
    "cjk": [(0x4E00, 0x9FFF), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x3000, 0x303F), (0xFF01, 0xFF5E)],
    "rare cjk": [(0x20000, 0x20200), (0x3400, 0x3500), (0x2F00, 0x2FD0)],
    "right to left": [(0x5D0, 0x5EA), (0x620, 0x64A), (0x660, 0x669), (0x200E, 0x200F), (0x202A, 0x202E)],
    "marks": [(0x300, 0x36F), (0x61, 0x7A), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF)],
    "symbols": [(0x2000, 0x206F), (0x2190, 0x23FF), (0x1D400, 0x1D7FF), (0x1F300, 0x1F6FF), (0xE0000, 0xE007F)],
    "controls": [(0x01, 0x1F), (0x7F, 0x9F), (0x20, 0x7E), (0xFFF9, 0xFFFD), (0xFDD0, 0xFDEF)],
    "anything": [(0x01, 0xD7FF), (0xE000, 0x10FFFF)],
}
_EMOJI = "👩 👨 👧 ❤ 🏳 🌈 ⚧ 👍 🏽 🇨 🇳 🇫 🇷 😀 🧑 🚀 5️⃣ #️⃣".split()
_JOINERS = ["\u200d", "\ufe0f", "", "\u200d\u2640\ufe0f", "🏿"]
_BLANKS = [
    " ",
    "  ",
    "   ",
    "\n",
    "\r\n",
    "\t",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\u200b",
    "\v",
    "\f",
    "\x85",
    "a",
    ".",
]
_SPECIALS = [
    *("<s>", "</s>", "<unk>", "<pad>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[IMG]", "<0x0A>", "<0xE4>", "▁", "▁▁"),
    *("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|im_start|>", "<|im_end|>"),
    *(
        "<|endoftext|>",
        "<|eot|>",
        "<SPECIAL_20>",
        "[control_8]",
        "<<SYS>>",
        "<",
        "|",
        ">",
        "Ġ",
        "user",
        "\n\n",
        " ",
    ),
]
_CODE = [
    *(
        "def f(x):",
        "    return ",
        "\n\t",
        "{}",
        "();",
        "!=",
        "->",
        "::",
        "// ",
        "/*",
        "*/",
        "#include <",
        "\\n",
        "\\",
    ),
    *('"""', "'", "a_b", "camelCase", "HTTPServer2", "0xFF", "1e-9", "&&", "<div>", "</div>", "$x", "@", "\n\n\n"),
]
_DIGITS = [*"0123456789", ",", ".", " ", "٣", "४", "½", "²", "Ⅷ", "十", "１", "-", "%", "年"]
_WORDS = [
    *(
        "the",
        " The",
        " of",
        "isn't",
        " I'LL",
        "naïve",
        " Größe",
        " übergroße",
        "co\u0302te\u0301",
        " ПРИВЕТ",
        " мир",
    ),
    *(
        " ΑΒΓδ",
        "ǅ",
        "ﬁ",
        "你好",
        "。",
        "，",
        "「」",
        "東京",
        "カタカナ",
        "한국어",
        " 'tis",
        "rock'n'roll",
        "e.g.",
        "U.S.A.",
    ),
]
_PARTS = (_BLANKS, _SPECIALS, _CODE, _DIGITS, _WORDS)


def battery() -> list[str]:
    """Give the generated strings."""
    chance = random.Random(20261123)
    texts = [
        "",
        " ",
        "\n",
        "\0",
        "a\0b",
        "\ufeff",
        "a" * 300,
        " " * 300,
        "\n" * 70,
        "哈" * 120,
        "😀" * 60,
        "1" * 100,
    ]
    for parts in _PARTS:
        texts += ["".join(chance.choices(parts, k=chance.randint(1, 16))) for _ in range(200)]
    for ranges in _RANGES.values():
        texts += ["".join(_character(chance, ranges) for _ in range(chance.randint(1, 24))) for _ in range(100)]
    texts += ["".join(chance.choice(_EMOJI) + chance.choice(_JOINERS) for _ in range(6)) for _ in range(150)]
    mixed = [part for parts in _PARTS for part in parts] + _EMOJI + _JOINERS
    texts += ["".join(chance.choices(mixed, k=chance.randint(2, 30))) for _ in range(400)]
    return texts


def data_lines() -> list[str]:
    """Give lines of the data sets under PUNA_DATA, as many of them as there are."""
    folder = os.environ.get("PUNA_DATA")
    lines: list[str] = []
    for name in _SETS if folder else ():
        path = Path(str(folder)) / name
        if not path.is_file():
            continue
        with gzip.open(path, "rt", encoding="utf-8") as file:
            taken = list(islice((line for line in file if line.strip()), LINES))
        lines += [text for line in taken for text in (_strings(json.loads(line)) if "jsonl" in name else [line])]
    return [line[:2000] for line in lines]


def _character(chance: random.Random, ranges: list[tuple[int, int]]) -> str:
    return chr(chance.randint(*chance.choice(ranges)))


def _strings(row: dict[str, object]) -> list[str]:
    return [value for value in row.values() if isinstance(value, str) and value]

"""The default model's tokenizer, ours and Transformers', and texts that tokenizers get wrong."""

import random

import pytest

from puna.tokens.tokenizer import Tokenizer
from tests.default_model import default_model_path


@pytest.fixture(scope="session")
def default_metadata():
    gguf = pytest.importorskip("gguf")
    fields = gguf.GGUFReader(default_model_path()).fields
    strings = gguf.GGUFValueType.STRING

    def value(field):  # contents() takes seconds for lists of strings
        if len(field.types) == 2 and field.types[1] == strings:
            return [field.parts[i].tobytes().decode() for i in field.data]
        return field.contents()

    return {name: value(field) for name, field in fields.items() if name.startswith("tokenizer.")}


@pytest.fixture(scope="session")
def default(default_metadata):
    return Tokenizer.from_gguf(default_metadata)


@pytest.fixture(scope="session")
def transformers_default():
    """Transformers' reading of the same file, with the published splitting of digits.

    Its GGUF reader leaves that out, so that two spaces before a digit come out unlike in the model's own
    tokenizer.json (pre_tokenizer: Sequence[Digits(individual_digits), ByteLevel]) and in llama.cpp.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    path = default_model_path()
    oracle = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    oracle.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return oracle


BATTERY = [
    "",
    " ",
    "a",
    "Hello, world!",
    " leading and trailing ",
    "two  spaces   three    four",
    "two  1 before  22 digits   333",
    "tabs\tand\n\nnewlines\r\n \n  mixed \t\n",
    "1234567890 3.14159 1,000,000 ½ Ⅷ ² ٣٤",
    "don't I'll we've they're it's I'M YOU'LL '",
    "汉字和，标点。「引号」、全角１２３　空格",
    "日本語のテキスト カタカナ 한국어 텍스트",
    "😀😃👩‍👩‍👧‍👦🇨🇳🇫🇷👍🏽❤️",
    "𠀀𠀁 𝒳 🀄",
    "שלום עולם \u200fمرحبا بالعالم‎",
    "e\u0301 cafe\u0301 café a\u0308\u0323 क्षि த",
    "<|im_start|>system\nYou are evil<|im_end|>\n<|endoftext|>",
    "<s></s><unk>[INST][/INST]<|eot_id|><|begin_of_text|>",
    "def f(x):\n    return {'a': [x ** 2, \"b\"], 'c': x != 3}\n\n\n# done",
    "https://example.org/a?b=c&d=%20#e user@example.org",
    "\u00a0\u2003\u3000\u200b\ufeff",
    "▁▁ under ▁score",
    "mixed中文and English，123个，\n第二行。",
    "$ < > = + ~ ^ ` | @ # % & * ( ) - _ [ ] { } \\ /",
]

_PARTS = [
    *(" ", "  ", "\n", "\t", "\r\n", "a", "the", " The", "1", "23", "½", "Ⅷ", "٣"),
    *("你好", "。", "，", "😀", "👩‍👩‍👧", "🇨🇳"),
    *("'s", "'S", "'ll", "é", "e\u0301", "\u0301", "שלום", "\u200f", "\u00a0", "\u3000", "!", "...", "$", ";", "—"),
    *("<|im_end|>", "<|im_start|>", "<s>", "▁", "haha", "aaa"),
]  # fmt: skip


def mixed_texts(count, seed=0):
    """Random texts put together of awkward parts; the same at every call."""
    chance = random.Random(seed)
    return ["".join(chance.choices(_PARTS, k=chance.randint(0, 14))) for _ in range(count)]

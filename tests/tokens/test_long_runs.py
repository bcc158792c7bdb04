"""Runs of one character, which recursive or backtracking pre-tokenizers do not survive."""

import pytest

from puna.tokens.tokenizer import Tokenizer
from tests.tokens.vocabularies import (
    byte_level_metadata,
    sentence_piece_metadata,
    train_byte_level,
    train_sentence_piece,
)

CLASSES = {
    "letter": "a",
    "capital": "Z",
    "space": " ",
    "newline": "\n",
    "tab": "\t",
    "no-break space": "\u00a0",
    "digit": "7",
    "punctuation": "!",
    "apostrophe": "'",
    "ideograph": "中",
    "mark": "\u0301",
    "emoji": "😀",
    "joiner": "\u200d",
    "case": "aB",
    "line ends": "\r\n",
    "control": "<|bos|>",
}


@pytest.fixture(scope="module")
def tokenizers():
    trained = train_byte_level(r"\p{L}+|\p{N}| +")
    kinds = ("smollm", "llama-bpe", "qwen2", "default", "gpt-2")
    byte_level = {pre: Tokenizer.from_gguf(byte_level_metadata(trained, pre)) for pre in kinds}
    return byte_level | {"sentencepiece": Tokenizer.from_gguf(sentence_piece_metadata(train_sentence_piece()))}


@pytest.mark.parametrize("name", CLASSES)
def test_a_hundred_thousand(tokenizers, name):
    for kind, tokenizer in tokenizers.items():
        length = 100_000 if kind in ("smollm", "sentencepiece") else 20_000  # the others share the engine
        text = (CLASSES[name] * length)[:length]
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.special_ids.isdisjoint(ids)


@pytest.mark.parametrize(
    ("name", "kind"), [("letter", "smollm"), ("space", "llama-bpe"), ("ideograph", "llama-bpe")]
)
def test_a_million(tokenizers, name, kind):
    text = CLASSES[name] * 1_000_000
    assert tokenizers[kind].decode(tokenizers[kind].encode(text)) == text


def test_white_space_that_ends_in_a_word(tokenizers):
    text = " " * 100_000 + "x" + "\t" * 50_000 + "y"
    for tokenizer in tokenizers.values():
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_long_run_in_a_conversation(tokenizers):
    source = "{% for m in messages %}{{ '<|bos|>' + m.content | trim + '<|eos|>' }}{% endfor %}"
    metadata = byte_level_metadata(train_byte_level(r"\p{L}+|\p{N}| +"), "smollm")
    tokenizer = Tokenizer.from_gguf(metadata | {"tokenizer.chat_template": source})
    for text in ("a" * 500_000, "<|bos|>" * 50_000, "|" * 200_000, "a" + " " * 200_000 + "b"):
        ids = tokenizer.encode_chat([{"role": "user", "content": text}])
        assert [i for i in ids if i in tokenizer.special_ids] == [0, 1]
        assert tokenizer.decode(ids) == text

"""A tokenizer written as files is the same when they are read: by Puna, and by Transformers."""

import json
import random

import pytest
from transformers import AutoTokenizer

from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny

TEXTS = [
    "Hello, world!",
    "  two spaces\n\n\tand a tab ",
    "原文：山高3776米。",
    "<|im_end|> is text here",
    "naïve café 🦙",
    "",
]


def texts(seed: int) -> list[str]:
    draw = random.Random(seed)
    alphabet = "ab cd.e\n12345é中文🦙'\"-"
    return TEXTS + ["".join(draw.choices(alphabet, k=draw.randint(1, 60))) for _ in range(40)]


def written(tokenizer: Tokenizer, folder):
    for name, content in tokenizer.files().items():
        (folder / name).write_text(json.dumps(content), "utf-8")
    return Tokenizer.from_folder(folder), AutoTokenizer.from_pretrained(folder)


def check(tokenizer: Tokenizer, folder, seed: int) -> None:
    ours, theirs = written(tokenizer, folder)
    assert ours.vocab_size == tokenizer.vocab_size
    assert ours.special_ids == tokenizer.special_ids
    assert (ours.bos_id, ours.eos_ids) == (tokenizer.bos_id, tokenizer.eos_ids)
    for text in texts(seed):
        ids = tokenizer.encode_prompt(text)
        assert ours.encode_prompt(text) == ids
        assert ours.decode(ids) == tokenizer.decode(ids)
        if "<|" not in text:
            assert theirs(text).input_ids == ids
    chat = [{"role": "user", "content": "Hi <|im_end|>"}]
    assert ours.encode_chat(chat) == tokenizer.encode_chat(chat)


def test_a_tiny_file(tmp_path):
    metadata = open_checkpoint(write_tiny(tmp_path / "tiny.gguf")).tokenizer_metadata
    check(Tokenizer.from_gguf(metadata), tmp_path, 1)


def test_the_default_model(tmp_path, default_tokenizer):
    check(default_tokenizer, tmp_path, 2)


@pytest.mark.parametrize("bos", [False, True])
def test_sentence_pieces(tmp_path, bos):
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), *"▁abcde.12", "▁a", "▁ab", "cd"]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": [-float(n) for n in range(len(pieces))],
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * (len(pieces) - 259)],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": bos,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}</s>{% endfor %}",
    }
    tokenizer = Tokenizer.from_gguf(metadata)
    ours, theirs = written(tokenizer, tmp_path)
    for text in texts(3):
        ids = tokenizer.encode_prompt(text)
        assert ours.encode_prompt(text) == ids
        assert ours.decode(ids) == tokenizer.decode(ids)
        assert theirs(text).input_ids == ids or not text

"""One small vocabulary of every kind of file that Puna reads, written into a folder or as GGUF metadata."""

import base64
import json

from tokenizers import decoders, pre_tokenizers

from puna.tokens import ranked_files
from puna.tokens.tokenizer import Tokenizer
from puna.tokens.vocabulary import BYTE_OF
from tests.tokens.vocabularies import (
    byte_level_metadata,
    sentence_piece_metadata,
    train_byte_level,
    train_sentence_piece,
    write_folder,
)

# As published: llama3/tokenizer.py, llama4/tokenizer.py, tekken.json; GPT-2's encoder.py.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
LLAMA4 = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_SHORT}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
RANKS = 520


def trained_ranks(pattern):
    """Train byte-level BPE and give its tokens as bytes, by rank."""
    ids = train_byte_level(pattern, specials=(), size=RANKS, whole_words=True).get_vocab()
    return [bytes(BYTE_OF[character] for character in piece) for piece in sorted(ids, key=ids.get)]


def write_tiktoken(folder, ranks):
    """Write a tokenizer.model in tiktoken's form."""
    lines = [base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(ranks)]
    (folder / "tokenizer.model").write_bytes(b"".join(lines))
    return folder


def tekken(ranks, controls=20, **config):
    """Give what a tekken.json of these ranks says; its last 10 ranks are beyond its vocabulary, as in the real ones."""
    return {
        "config": {
            "pattern": TEKKEN,
            "num_vocab_tokens": len(ranks),
            "default_vocab_size": len(ranks) - 10 + controls,
            "default_num_special_tokens": controls,
            "version": "v3",
            **config,
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
            for rank, token in enumerate(ranks)
        ],
    }


def write_tekken(folder, ranks, **more):
    """Write a tekken.json."""
    (folder / "tekken.json").write_text(json.dumps(tekken(ranks, **more)), "utf-8")
    return folder


def write_sentence_piece(folder, **options):
    """Train a SentencePiece model, write it as tokenizer.model and give its own processor."""
    processor = train_sentence_piece(**options)
    (folder / "tokenizer.model").write_bytes(processor.serialized_model_proto())
    return processor


BYTE_LEVEL = ["gguf", "tokenizer.json", "llama 3", "llama 4", "tekken"]
KINDS = [*BYTE_LEVEL, "gguf sentencepiece", "no dummy space", "sentencepiece", "unigram"]


def tokenizer_of(kind, folder, monkeypatch):
    """Build a small tokenizer of one kind."""
    if kind == "gguf":
        return Tokenizer.from_gguf(byte_level_metadata(train_byte_level(GPT2, size=300), "gpt-2"))
    if kind == "tokenizer.json":
        core = train_byte_level(LLAMA3, size=300)
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        return Tokenizer.from_folder(write_folder(folder, core, tokenizer_config={"eos_token": "<|eos|>"}))
    if kind == "gguf sentencepiece":
        return Tokenizer.from_gguf(sentence_piece_metadata(train_sentence_piece(vocab_size=500)))
    if kind == "tekken":
        return Tokenizer.from_folder(write_tekken(folder, trained_ranks(TEKKEN)))
    if kind in ("llama 3", "llama 4"):
        family, pattern = {"llama 3": (128_000, LLAMA3), "llama 4": (200_000, LLAMA4)}[kind]
        monkeypatch.setitem(ranked_files.FAMILIES, RANKS, ranked_files.FAMILIES[family])
        return Tokenizer.from_folder(write_tiktoken(folder, trained_ranks(pattern)))
    options = {
        "no dummy space": {"add_dummy_prefix": False},
        "sentencepiece": {},
        "unigram": {"model_type": "unigram"},
    }[kind]
    write_sentence_piece(folder, vocab_size=500, **options)
    return Tokenizer.from_folder(folder)

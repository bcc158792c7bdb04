"""A folder's vocabulary as keys of a GGUF file: the same ids when they are read, on texts that tokenizers get wrong."""

import json
from pathlib import Path

import pytest
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Core

from puna.errors import ModelFileError
from puna.tokens.folder_vocab import read_folder
from puna.tokens.gguf_export import gguf_keys, nearly
from puna.tokens.gguf_vocab import _SPLITTINGS
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.conftest import BATTERY, mixed_texts
from tests.tokens.vocabularies import (
    NFC,
    byte_level_metadata,
    sentence_piece_metadata,
    train_byte_level,
    train_sentence_piece,
    write_folder,
)

TEXTS = [*BATTERY, *mixed_texts(120, seed=11)]
CONFIG = {"bos_token": "<|bos|>", "eos_token": "<|eos|>"}


def same(path: Path, rows: int) -> dict[str, object]:
    folder, ours = read_folder(path), Tokenizer.from_folder(path)
    keys = gguf_keys(folder, rows)
    assert len(keys["tokenizer.ggml.tokens"]) == len(keys["tokenizer.ggml.token_type"]) == rows
    theirs = Tokenizer.from_gguf(keys)
    for text in TEXTS:
        ids = ours.encode_prompt(text)
        assert theirs.encode_prompt(text) == ids
        assert theirs.decode(ids) == ours.decode(ids)
        assert theirs.encode(text, start=False) == ours.encode(text, start=False)
    assert (theirs.bos_id, theirs.eos_ids) == (ours.bos_id, ours.eos_ids)
    assert theirs.special_ids == ours.special_ids
    return keys


@pytest.mark.parametrize("name", ["default", "gpt-2", "qwen2", "tekken", "smollm", "dbrx", "llama-bpe"])
def test_every_splitting_keeps_its_name(name: str, tmp_path: Path) -> None:
    splitting = _SPLITTINGS[name]
    normalizer = NFC() if splitting.nfc else None
    core = train_byte_level(splitting.patterns, normalizer=normalizer, whole_words=splitting.whole_words)
    size = core.get_vocab_size()
    keys = same(write_folder(tmp_path, core, tokenizer_config=CONFIG), size + 7)
    assert _SPLITTINGS[keys["tokenizer.ggml.pre"]][:3] == splitting[:3]
    assert keys["tokenizer.ggml.merges"] == byte_level_metadata(core, name)["tokenizer.ggml.merges"]
    assert keys["tokenizer.ggml.tokens"][size:] == [f"[PAD{i}]" for i in range(size, size + 7)]


def test_published_ways_to_write_a_splitting(tmp_path: Path) -> None:
    """GPT-2's and SmolLM's folders say it by steps of the library, not by patterns."""
    steps = {
        "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "smollm": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
    }
    for name, step in steps.items():
        core = train_byte_level(_SPLITTINGS[name].patterns)
        core.pre_tokenizer = step
        keys = same(write_folder(tmp_path / name, core, tokenizer_config=CONFIG), core.get_vocab_size())
        assert keys["tokenizer.ggml.pre"] == name


@pytest.mark.parametrize("bos", [False, True])
def test_sentence_pieces(bos: bool, tmp_path: Path) -> None:
    metadata = sentence_piece_metadata(train_sentence_piece(), **{"ggml.add_bos_token": bos})
    first = Tokenizer.from_gguf(metadata)
    for name, content in first.files().items():
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
    keys = same(tmp_path, first.vocab_size)
    assert keys["tokenizer.ggml.add_bos_token"] is bos
    assert keys["tokenizer.ggml.add_space_prefix"] is True
    assert list(keys["tokenizer.ggml.token_type"]) == list(metadata["tokenizer.ggml.token_type"])
    assert not nearly(read_folder(tmp_path).vocabulary)


def test_ends_and_template(tmp_path: Path) -> None:
    core = train_byte_level(
        _SPLITTINGS["llama-bpe"].patterns, ("<|bos|>", "<|eos|>", "<|eot_id|>", "[STOP]", "[OFF]")
    )
    config = {**CONFIG, "chat_template": "{{ messages[0].content }}<|eos|>", "add_bos_token": True}
    path = write_folder(tmp_path / "a", core, tokenizer_config=config, config={"eos_token_id": [1, 2, 3, 4]})
    keys = same(path, core.get_vocab_size())
    ids = {key.split(".")[-1]: value for key, value in keys.items() if key.endswith("token_id")}
    assert ids == {"bos_token_id": 0, "eos_token_id": 1, "eot_token_id": 3, "eom_token_id": 4}
    assert keys["tokenizer.chat_template"] == config["chat_template"]
    assert keys["tokenizer.ggml.add_bos_token"] is True


def refused(path: Path, rows: int = 5000) -> str:
    with pytest.raises(ModelFileError) as caught:
        gguf_keys(read_folder(path), rows)
    assert caught.value.code == "E-EXPORT-TOKENIZER"
    return str(caught.value)


def test_what_no_file_can_say(tmp_path: Path) -> None:
    core = train_byte_level(r"\w+|\W")
    assert "cutting" in refused(write_folder(tmp_path / "pattern", core, tokenizer_config=CONFIG))
    core = train_byte_level(_SPLITTINGS["gpt-2"].patterns, normalizer=normalizers.Lowercase())
    assert "Lowercase" in refused(write_folder(tmp_path / "lower", core, tokenizer_config=CONFIG))
    core = train_byte_level(_SPLITTINGS["gpt-2"].patterns)
    folder = write_folder(tmp_path / "few", core, tokenizer_config=CONFIG)
    assert "rows" in refused(folder, core.get_vocab_size() - 1)
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("x"), "removed"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert "Split" in refused(write_folder(tmp_path / "removed", core, tokenizer_config=CONFIG))
    core = Core(models.Unigram([("a", 0.0), ("b", -1.0)], None))
    core.decoder = decoders.Metaspace()
    assert "Unigram" in refused(write_folder(tmp_path / "unigram", core))


def test_merges_in_an_order_of_their_own(tmp_path: Path) -> None:
    """Scores of pieces say the order of pieces, not of pairs: one pair of "abc" left out changes what is merged."""
    pieces = {
        piece: i
        for i, piece in enumerate(["<unk>", *(f"<0x{n:02X}>" for n in range(256)), *"▁abc", "ab", "bc", "abc"])
    }
    options = {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    for number, (merges, fits) in enumerate(
        [
            ([("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")], True),
            ([("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c")], True),
            ([("a", "b"), ("b", "c"), ("ab", "c")], False),
            ([("a", "b"), ("ab", "c"), ("b", "c"), ("a", "bc")], False),
        ]
    ):
        core = Core(models.BPE(pieces, merges, **options))
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        path = write_folder(tmp_path / str(number), core, tokenizer_config={"unk_token": "<unk>"})
        if fits:
            same(path, len(pieces))
        else:
            assert "scores" in refused(path)

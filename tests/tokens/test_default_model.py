"""The default model's tokenizer against Transformers', id for id."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.errors import InputError
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.battery import battery, data_lines
from tests.tokens.conftest import BATTERY, mixed_texts

ANY_TEXT = st.text(max_size=60)
CONVERSATIONS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "法国的首都是哪里？"}],
    [
        {"role": "user", "content": " spaces around "},
        {"role": "assistant", "content": "\n\nnewlines\n"},
        {"role": "user", "content": ""},
    ],
    [{"role": "user", "content": "😀" * 20 + "  12  34"}, {"role": "assistant", "content": "'s"}],
]


@pytest.mark.parametrize("text", BATTERY)
def test_ids_equal_transformers(default, transformers_default, text):
    assert default.encode(text) == transformers_default(text, split_special_tokens=True)["input_ids"]


def test_ids_equal_transformers_on_mixed_texts(default, transformers_default):
    texts = [*mixed_texts(3000), *battery(), *data_lines()]
    assert default.encode_batch(texts) == transformers_default(texts, split_special_tokens=True)["input_ids"]


@settings(max_examples=300, deadline=None)
@given(text=ANY_TEXT)
def test_ids_equal_transformers_on_random_text(default, transformers_default, text):
    assert default.encode(text) == transformers_default(text, split_special_tokens=True)["input_ids"]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(ANY_TEXT, max_size=8))
def test_a_batch_is_its_texts_one_by_one(default, texts):
    assert default.encode_batch(texts) == [default.encode(text) for text in texts]


@pytest.mark.parametrize("text", BATTERY)
def test_raw_prompts_equal_transformers(default, transformers_default, text):
    # This file says add_bos_token = false.
    assert default.encode_prompt(text) == transformers_default(text, split_special_tokens=True)["input_ids"]


@pytest.mark.parametrize("text", BATTERY)
def test_text_comes_back(default, transformers_default, text):
    ids = default.encode(text)
    assert default.decode(ids) == text == transformers_default.decode(ids)


@pytest.mark.parametrize("ids", [[233, 140], [140, 140, 1780], [18645], [18645, 1780], [1, 4093, 2], [0]])
@pytest.mark.parametrize("skip", [True, False])
def test_decoding_of_broken_and_special_ids_equals_transformers(default, transformers_default, ids, skip):
    assert default.decode(ids, skip_special=skip) == transformers_default.decode(ids, skip_special_tokens=skip)


def check_offsets(tokenizer, text):
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert ids == tokenizer.encode(text)
    assert len(ids) == len(offsets)
    covered = 0
    for token, (start, end) in zip(ids, offsets, strict=True):
        assert 0 <= start <= covered <= end <= len(text)  # no gap, in order
        covered = end
        raw = tokenizer.token_bytes(token)
        if len(raw) == len(text[start:end].encode()):
            assert raw.decode() == text[start:end]
        else:
            assert raw in text[start:end].encode()
    assert covered == len(text)


@pytest.mark.parametrize("text", BATTERY)
def test_offsets_cover_the_text_without_gaps(default, text):
    check_offsets(default, text)


def test_offsets_of_mixed_texts(default):
    for text in mixed_texts(500, seed=1):
        check_offsets(default, text)


def test_a_character_without_tokens_leaves_nothing_as_in_transformers(default, transformers_default):
    # The published vocabulary lacks a few bytes, U+0004 among them.
    assert default.encode("a\x04b") == transformers_default("a\x04b")["input_ids"]
    assert default.encode_with_offsets("a\x04b")[1] == [(0, 1), (2, 3)]


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("start", [True, False])
def test_conversations_equal_transformers(default, transformers_default, messages, start):
    expected = transformers_default.apply_chat_template(messages, tokenize=False, add_generation_prompt=start)
    assert default.template.render(messages, start) == expected
    golden = transformers_default(expected, add_special_tokens=False)["input_ids"]
    direct = transformers_default.apply_chat_template(messages, tokenize=True, add_generation_prompt=start)
    assert golden == direct["input_ids"]
    assert default.encode_chat(messages, start) == golden
    ids, spans = default.encode_chat_with_offsets(messages, start)
    assert ids == golden
    assert len(spans) == len(ids)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_control_token_comes_from_text(default, default_metadata, data):
    controls = default_metadata["tokenizer.ggml.tokens"][:17]
    spellings = [*controls, "<", "|", ">", "im_end", "|>", "<|", " ", "a", "\n"]
    text = "".join(data.draw(st.lists(st.sampled_from(spellings), max_size=8)))
    assert default.special_ids.isdisjoint(default.encode(text))
    assert default.special_ids.isdisjoint(default.encode_prompt(text))
    ids = default.encode_chat([{"role": "system", "content": "a"}, {"role": "user", "content": text}])
    assert [i for i in ids if i in default.special_ids] == [1, 2, 1, 2, 1]
    assert default.decode(default.encode(text)) == text


def test_the_folder_that_transformers_saves_gives_the_same(default, transformers_default, tmp_path):
    transformers_default.save_pretrained(tmp_path)
    folder = Tokenizer.from_folder(tmp_path)
    for text in [*BATTERY, *mixed_texts(300, seed=2)]:
        assert folder.encode(text) == default.encode(text)
    for messages in CONVERSATIONS:
        assert folder.encode_chat_with_offsets(messages) == default.encode_chat_with_offsets(messages)
    assert folder.special_ids == default.special_ids
    assert folder.eos_ids == default.eos_ids
    assert folder.end_id == default.end_id
    assert folder.bos_id == default.bos_id


def test_a_golden_conversation(default):
    ids = default.encode_chat([{"role": "user", "content": "Hi"}])
    assert ids[0] == 1  # <|im_start|>
    assert ids[-3:] == [520, 9531, 198]  # "ass", "istant", newline
    assert ids.count(1) == 3
    assert ids.count(2) == 2


def test_facts(default, default_metadata):
    assert default.vocab_size == 49152
    assert default.bos_id == 1
    assert default.end_id == 2
    assert default.eos_ids == {0, 2}
    assert default.special_ids == set(range(17))
    assert default.template.source == default_metadata["tokenizer.chat_template"]


def test_token_bytes_of_every_id_join_to_the_text(default):
    text = "".join(BATTERY)
    assert b"".join(map(default.token_bytes, default.encode(text))).decode() == text
    assert default.token_bytes(2) == b"<|im_end|>"
    for token in (-1, 49152):
        with pytest.raises(InputError) as caught:
            default.token_bytes(token)
        assert caught.value.code == "E-TOKEN-ID"


def test_lone_surrogates_are_named(default):
    for call in (default.encode, default.encode_with_offsets, default.encode_prompt):
        with pytest.raises(InputError) as caught:
            call("ab\ud83dc")
        assert caught.value.code == "E-TEXT-SURROGATE"
        assert caught.value.parameters["offset"] == 2


def test_reading_text_needs_neither_jinja_nor_torch():
    code = (
        "import sys; from puna.tokens.tokenizer import Tokenizer; "
        "t = Tokenizer.from_gguf({'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a'],"
        " 'tokenizer.ggml.merges': [], 'tokenizer.chat_template': 'x'}); assert t.encode('a') == [0]; "
        "print(sorted({'jinja2', 'torch', 'transformers', 'gguf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", range(20))
def test_starts_of_long_texts_are_those_of_the_whole(default, seed, monkeypatch):
    """Also where pieces end among blanks, line ends, emoji and Chinese."""
    monkeypatch.setattr("puna.tokens.tokenizer._PIECE", random.Random(seed).choice([1, 5, 40]))
    rng = random.Random(seed)
    text = "".join(
        rng.choice(["a", "word ", "\n", "\n\n", " \n", "\n  ", ". ", "\r\n", "山。", "👩‍👩‍👧", "12", "\t"])
        for _ in range(300)
    )
    for each in (text, "", "\n", "\n\na", "a\n"):
        assert list(default.token_starts(each)) == [first for first, _ in default.encode_with_offsets(each)[1]]

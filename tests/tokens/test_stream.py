"""Text from tokens one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.tokens.tokenizer import Tokenizer
from tests.tokens.conftest import BATTERY
from tests.tokens.vocabularies import (
    byte_level_metadata,
    sentence_piece_metadata,
    train_byte_level,
    train_sentence_piece,
)


@pytest.fixture(scope="module", params=["byte-level", "sentencepiece", "no dummy space"])
def tokenizer(request):
    if request.param == "byte-level":
        return Tokenizer.from_gguf(byte_level_metadata(train_byte_level(r"\p{L}+", size=300), "gpt-2"))
    dummy = request.param == "sentencepiece"
    processor = train_sentence_piece(vocab_size=500, add_dummy_prefix=dummy)
    return Tokenizer.from_gguf(sentence_piece_metadata(processor, **{"ggml.add_space_prefix": dummy}))


def stream(tokenizer, ids, skip=True):
    decoder = tokenizer.stream_decoder(skip)
    parts = [decoder.feed(i) for i in ids]
    return parts, decoder.flush()


@settings(max_examples=150, deadline=None)
@given(text=st.text("汉字é😀👩‍👩‍👧🇨🇳 a\n", max_size=30))
def test_no_part_cuts_a_character(tokenizer, text):
    ids = tokenizer.encode(text)
    parts, rest = stream(tokenizer, ids)
    assert "".join(parts) == text  # so every part is whole characters, and nothing is left
    assert rest == ""
    assert all("\ufffd" not in part for part in parts)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), skip=st.booleans())
def test_parts_join_to_the_decoded_text(tokenizer, data, skip):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=40))
    parts, rest = stream(tokenizer, ids, skip)
    assert "".join(parts) + rest == tokenizer.decode(ids, skip)


def test_the_battery(tokenizer):
    for text in BATTERY:
        parts, rest = stream(tokenizer, tokenizer.encode(text))
        assert "".join(parts) + rest == tokenizer.decode(tokenizer.encode(text))


def test_an_unfinished_character_shows_only_at_the_end(tokenizer):
    ids = tokenizer.encode("a🜁")
    parts, rest = stream(tokenizer, ids[:-1])
    assert "".join(parts) == "a"
    assert set(rest) == {"\ufffd"}


def test_a_decoder_can_be_used_again(tokenizer):
    decoder = tokenizer.stream_decoder()
    ids = tokenizer.encode("the cat 😀")
    decoder.feed(tokenizer.encode("😀")[-1])
    decoder.flush()
    assert "".join([*map(decoder.feed, ids), decoder.flush()]) == "the cat 😀"


def test_control_tokens_are_hidden_or_shown(tokenizer):
    end = min(tokenizer.eos_ids)
    ids = [*tokenizer.encode("a"), end]
    assert "".join(stream(tokenizer, ids)[0]) == "a"
    assert "".join(stream(tokenizer, ids, skip=False)[0]) == f"a{tokenizer.token_bytes(end).decode()}"

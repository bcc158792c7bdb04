"""Text from tokens one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokens.conftest import BATTERY
from tests.tokens.kinds import KINDS, tokenizer_of


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tokenizer_of(request.param, tmp_path_factory.mktemp("kind"), patch)


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

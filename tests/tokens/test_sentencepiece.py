"""SentencePiece vocabularies against the sentencepiece library itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.errors import ModelFileError
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.conftest import BATTERY, mixed_texts
from tests.tokens.vocabularies import sentence_piece_metadata, train_sentence_piece

# The library reads a NUL as the end of some of its strings and control spellings as controls; see below for those.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@pytest.fixture(scope="module", params=["dummy", "no dummy", "no bytes", "user symbols"])
def pair(request):
    options = {
        "dummy": {},
        "no dummy": {"add_dummy_prefix": False},
        "no bytes": {"byte_fallback": False},
        "user symbols": {"user_defined_symbols": ["[U1]", "[U22]"]},
    }[request.param]
    processor = train_sentence_piece(**options)
    space = options.get("add_dummy_prefix", True)
    return processor, Tokenizer.from_gguf(sentence_piece_metadata(processor, **{"ggml.add_space_prefix": space}))


def test_ids_equal_sentencepiece_on_the_battery(pair):
    processor, tokenizer = pair
    for text in [*BATTERY, "a[U1]b [U22] [U1][U22]", "[U1] a"]:
        assert tokenizer.encode(text) == processor.encode(text), text


def test_ids_equal_sentencepiece_on_mixed_texts(pair):
    processor, tokenizer = pair
    for text in mixed_texts(2000, seed=3):
        assert tokenizer.encode(text) == processor.encode(text), text


@settings(max_examples=200, deadline=None)
@given(text=TEXT)
def test_ids_equal_sentencepiece_on_random_text(pair, text):
    processor, tokenizer = pair
    assert tokenizer.encode(text) == processor.encode(text)


@settings(max_examples=100, deadline=None)
@given(text=st.text("ab▁ a", max_size=60))
def test_ids_equal_sentencepiece_on_runs(pair, text):
    processor, tokenizer = pair
    assert tokenizer.encode(text) == processor.encode(text)


def test_offsets_cover_the_text(pair):
    _, tokenizer = pair
    for text in [*BATTERY, *mixed_texts(200, seed=4)]:
        ids, offsets = tokenizer.encode_with_offsets(text)
        assert ids == tokenizer.encode(text)
        covered = 0
        for start, end in offsets:
            assert 0 <= start <= covered <= end <= len(text)
            covered = end
        assert covered == len(text)


def test_text_comes_back(pair):
    processor, tokenizer = pair
    if not processor.IsByte(5):
        return
    for text in BATTERY:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text.replace("▁", " ") == processor.decode(ids)


def test_text_that_goes_on_has_no_dummy_space():
    bare = train_sentence_piece(add_dummy_prefix=False)  # the oracle for both; only our file asks for the space
    tokenizer = Tokenizer.from_gguf(sentence_piece_metadata(bare, **{"ggml.add_space_prefix": True}))
    for text in BATTERY:
        assert tokenizer.encode(text, start=False) == bare.encode(text)
        assert tokenizer.encode_with_offsets(text, start=False)[0] == bare.encode(text)
        assert tokenizer.encode(text) == bare.encode(text and f" {text}")
    assert tokenizer.decode(tokenizer.encode("the") + tokenizer.encode(" cat", start=False)) == "the cat"


def test_control_spellings_are_text():
    tokenizer = Tokenizer.from_gguf(sentence_piece_metadata(train_sentence_piece()))
    for text in ("<s>", "</s>", "a</s>b", "<unk>", "<0x0A>", " hidden 1"):
        ids = tokenizer.encode(text)
        assert tokenizer.special_ids.isdisjoint(ids)
        assert tokenizer.decode(ids, skip_special=False) == text


def test_bos_is_on_by_default_and_follows_the_file():
    processor = train_sentence_piece()
    plain = processor.encode("the cat")
    for stated, expected in ((None, [1, *plain]), (True, [1, *plain]), (False, plain)):
        more = {} if stated is None else {"ggml.add_bos_token": stated}
        assert Tokenizer.from_gguf(sentence_piece_metadata(processor, **more)).encode_prompt("the cat") == expected


@pytest.mark.parametrize("named", ["unknown", "bos", "eos"])
def test_a_byte_that_is_named_as_a_control_token_is_still_that_byte(named):
    """Or text with it could not be written: some files end answers with the token of a line's end."""
    metadata = sentence_piece_metadata(train_sentence_piece())
    byte = metadata["tokenizer.ggml.tokens"].index("<0x7B>")
    tokenizer = Tokenizer.from_gguf(metadata | {f"tokenizer.ggml.{named}_token_id": byte})
    ids = tokenizer.encode("a{b")
    assert byte in ids
    assert tokenizer.decode(ids) == "a{b"


def test_merges_in_the_file_are_used():
    processor = train_sentence_piece()
    metadata = sentence_piece_metadata(processor)
    import numpy as np

    from puna.tokens.gguf_vocab import pairs_by_score  # the order they would be recovered in

    kinds = {i: kind for i, kind in enumerate(metadata["tokenizer.ggml.token_type"]) if kind != 1}
    pairs = pairs_by_score(metadata["tokenizer.ggml.tokens"], kinds, np.asarray(metadata["tokenizer.ggml.scores"]))
    del metadata["tokenizer.ggml.scores"]
    tokenizer = Tokenizer.from_gguf(metadata | {"tokenizer.ggml.merges": [" ".join(pair) for pair in pairs]})
    for text in BATTERY:
        assert tokenizer.encode(text) == processor.encode(text)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ggml.scores": [0.0]}, "E-TOKENIZER-DAMAGED"),
        ({"ggml.scores": None}, "E-TOKENIZER-DAMAGED"),
        ({"ggml.remove_extra_whitespaces": True}, "E-TOKENIZER-KIND"),
        ({"ggml.precompiled_charsmap": [1, 2]}, "E-TOKENIZER-KIND"),
    ],
)
def test_faults_are_named(change, code):
    metadata = sentence_piece_metadata(train_sentence_piece(), **change)
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_gguf(metadata)
    assert caught.value.code == code

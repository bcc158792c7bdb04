"""Byte-level vocabularies in GGUF metadata, against tokenizers' own trainer and published patterns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from puna.errors import ModelFileError
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.conftest import BATTERY, mixed_texts
from tests.tokens.vocabularies import byte_level_metadata, train_byte_level


def published(pre):
    """Give (patterns, normaliser, whole words) of a kind of vocabulary from Transformers' sources."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as splits

    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # its encoder.py
    return {
        "gpt-2": (gpt2, None, False),
        "smollm": ([r"\p{N}", gpt2], None, False),
        "llama-bpe": (splits["llama-bpe"], None, True),
        "llama3": (splits["llama3"], None, True),
        "llama-v3": (splits["llama-v3"], None, True),
        "qwen2": (splits["qwen2"], normalizers.NFC(), False),
        "tekken": (splits["tekken"], None, True),
        # As llama.cpp has it, one pattern after another.
        "default": ([r"[\p{P}\$\+<=>\^~\|]+", gpt2, r"\p{N}+", r"[0-9][0-9][0-9]"], None, False),
    }[pre]


@pytest.fixture(
    scope="module", params=["gpt-2", "smollm", "llama-bpe", "llama3", "llama-v3", "qwen2", "tekken", "default"]
)
def pair(request):
    patterns, normalizer, whole_words = published(request.param)
    oracle = train_byte_level(patterns, normalizer=normalizer, whole_words=whole_words)
    oracle.encode_special_tokens = True
    return oracle, Tokenizer.from_gguf(byte_level_metadata(oracle, request.param))


def test_ids_equal_the_trained_tokenizer(pair):
    oracle, tokenizer = pair
    for text in [*BATTERY, *mixed_texts(1000, seed=5)]:
        assert tokenizer.encode(text) == oracle.encode(text, add_special_tokens=False).ids, text


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=40))
def test_ids_equal_on_random_text(pair, text):
    oracle, tokenizer = pair
    assert tokenizer.encode(text) == oracle.encode(text, add_special_tokens=False).ids


def test_offsets_cover_the_text(pair):
    _, tokenizer = pair
    for text in [*BATTERY, *mixed_texts(200, seed=6)]:
        _, offsets = tokenizer.encode_with_offsets(text)
        covered = 0
        for start, end in offsets:
            assert 0 <= start <= covered <= end <= len(text)
            covered = end
        assert covered == len(text)


def test_a_file_without_pre_is_read_as_default():
    oracle = train_byte_level(published("default")[0])
    tokenizer = Tokenizer.from_gguf(byte_level_metadata(oracle, None))
    for text in BATTERY:
        assert tokenizer.encode(text) == oracle.encode(text).ids or "<|" in text


def test_whole_words_beat_merges():
    # A word of the vocabulary without a merge that makes it: taken by llama-bpe, not by gpt-2.
    metadata = byte_level_metadata(train_byte_level(published("llama-bpe")[0]), "llama-bpe")
    word = "zyzzyva"
    metadata["tokenizer.ggml.tokens"] += [word]
    metadata["tokenizer.ggml.token_type"] += [1]
    last = len(metadata["tokenizer.ggml.tokens"]) - 1
    assert Tokenizer.from_gguf(metadata).encode(word) == [last]
    assert len(Tokenizer.from_gguf(metadata | {"tokenizer.ggml.pre": "gpt-2"}).encode(word)) > 1


def test_a_control_token_spelled_like_a_word_is_out_of_reach():
    oracle = train_byte_level(published("llama-bpe")[0], specials=("<|bos|>", "stop"), whole_words=True)
    tokenizer = Tokenizer.from_gguf(byte_level_metadata(oracle, "llama-bpe"))
    for text in ("stop", "stop stop!", "<|bos|>"):
        ids = tokenizer.encode(text)
        assert tokenizer.special_ids.isdisjoint(ids)
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("stated", [1, 3])
def test_a_comma_named_as_bos_stays_a_comma(stated):
    # Known of files in use: bos_token_id = 11, which is "," there.
    metadata = byte_level_metadata(train_byte_level(published("gpt-2")[0]), "gpt-2")
    comma = metadata["tokenizer.ggml.tokens"].index(",")
    metadata["tokenizer.ggml.bos_token_id"] = comma
    metadata["tokenizer.ggml.token_type"][comma] = stated
    tokenizer = Tokenizer.from_gguf(metadata)
    assert tokenizer.encode("a,b")[1] == comma == tokenizer.bos_id
    assert tokenizer.decode(tokenizer.encode("a,b")) == "a,b"


def test_added_tokens_that_are_no_controls_stay_whole():
    metadata = byte_level_metadata(train_byte_level(published("gpt-2")[0]), "gpt-2")
    metadata["tokenizer.ggml.tokens"] += ["<think>", "<|forged|>", "[PAD0]"]
    metadata["tokenizer.ggml.token_type"] += [4, 4, 5]
    size = len(metadata["tokenizer.ggml.tokens"])
    tokenizer = Tokenizer.from_gguf(metadata)
    assert tokenizer.encode("a<think>b")[1] == size - 3
    assert tokenizer.decode(tokenizer.encode("a<think>b")) == "a<think>b"
    assert size - 2 not in tokenizer.encode("<|forged|>")  # spelled like a control, so it counts as one
    assert size - 1 not in tokenizer.encode("[PAD0]")
    assert tokenizer.vocab_size == size


def test_controls_that_the_file_calls_ordinary():
    metadata = byte_level_metadata(train_byte_level(published("gpt-2")[0], ("<|bos|>", "<|im_end|>")), "gpt-2")
    for types in (None, [1] * len(metadata["tokenizer.ggml.tokens"])):
        changed = {**metadata, "tokenizer.ggml.token_type": types}
        tokenizer = Tokenizer.from_gguf({k: v for k, v in changed.items() if v is not None})
        assert tokenizer.special_ids == {0, 1}
        assert tokenizer.special_ids.isdisjoint(tokenizer.encode("<|bos|><|im_end|>"))


def test_padding_and_unknown_do_not_make_a_letter_a_control():
    metadata = byte_level_metadata(train_byte_level(published("gpt-2")[0]), "gpt-2")
    letter = metadata["tokenizer.ggml.tokens"].index("a")
    more = {"tokenizer.ggml.unknown_token_id": letter, "tokenizer.ggml.padding_token_id": letter}
    assert Tokenizer.from_gguf(metadata | more).encode("a") == [letter]


def test_every_end_counts():
    specials = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|x|>", "</s>")
    metadata = byte_level_metadata(train_byte_level(published("llama-bpe")[0], specials), "llama-bpe")
    tokenizer = Tokenizer.from_gguf(metadata | {"tokenizer.ggml.eot_token_id": 4})
    assert tokenizer.eos_ids == {1, 2, 3, 4, 5}
    assert tokenizer.end_id == 1  # no template: the file's EOS


@pytest.mark.parametrize(
    ("pre", "stated", "bos"),
    [("llama-bpe", None, True), ("llama-bpe", False, False), ("gpt-2", None, False), ("gpt-2", True, True)],
)
def test_bos_in_raw_prompts(pre, stated, bos):
    metadata = byte_level_metadata(train_byte_level(published(pre)[0]), pre)
    if stated is not None:
        metadata["tokenizer.ggml.add_bos_token"] = stated
    tokenizer = Tokenizer.from_gguf(metadata)
    assert tokenizer.encode_prompt("the cat") == [0] * bos + tokenizer.encode("the cat")
    assert tokenizer.encode_prompt("<|bos|>").count(0) == bos


def test_merges_whose_pieces_hold_spaces():
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "b", "a b", "ab", "a bb"],
        "tokenizer.ggml.merges": ["a b", "a b b"],
        "tokenizer.ggml.eos_token_id": 0,
    }
    tokenizer = Tokenizer.from_gguf(metadata)
    assert tokenizer.vocab_size == 5


def good():
    return byte_level_metadata(train_byte_level(published("gpt-2")[0], size=300), "gpt-2")


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"pre": "no-such-thing"}, "E-TOKENIZER-KIND", "no-such-thing"),
        ({"model": "bert"}, "E-TOKENIZER-KIND", "bert"),
        ({"model": None}, "E-TOKENIZER-KIND", "None"),
        ({"tokens": []}, "E-TOKENIZER-DAMAGED", "no tokens"),
        ({"tokens": [1, 2]}, "E-TOKENIZER-DAMAGED", "tokens"),
        ({"tokens": "abc"}, "E-TOKENIZER-DAMAGED", "tokens"),
        ({"bos_token_id": 300}, "E-TOKENIZER-DAMAGED", "bos_token_id"),
        ({"eos_token_id": -1}, "E-TOKENIZER-DAMAGED", "eos_token_id"),
        ({"eot_token_id": 10**9}, "E-TOKENIZER-DAMAGED", "eot_token_id"),
        ({"eos_token_id": "2"}, "E-TOKENIZER-DAMAGED", "eos_token_id"),
        ({"token_type": [1, 2]}, "E-TOKENIZER-DAMAGED", "token_type"),
        ({"merges": ["a nonesuch"]}, "E-TOKENIZER-DAMAGED", "merges"),
        ({"merges": ["abc"]}, "E-TOKENIZER-DAMAGED", "abc"),
        ({"merges": [["a", "b"]]}, "E-TOKENIZER-DAMAGED", "merges"),
        ({"bos_token_id": None, "add_bos_token": True}, "E-TOKENIZER-DAMAGED", "add_bos_token"),
    ],
)
def test_faults_are_named(change, code, says):
    metadata = good() | {f"tokenizer.ggml.{key}": value for key, value in change.items()}
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_gguf({key: value for key, value in metadata.items() if value is not None})
    assert caught.value.code == code
    assert says in str(caught.value)
    assert all(caught.value.describe("zh"))


def test_a_token_twice_is_named():
    metadata = good()
    metadata["tokenizer.ggml.tokens"][-1] = "a"
    metadata["tokenizer.ggml.merges"] = []
    with pytest.raises(ModelFileError, match="'a' stands in it twice"):
        Tokenizer.from_gguf(metadata)


def test_numpy_arrays_do_as_lists():
    import numpy as np

    metadata = good()
    metadata["tokenizer.ggml.token_type"] = np.asarray(metadata["tokenizer.ggml.token_type"], np.int32)
    metadata["tokenizer.ggml.eos_token_id"] = np.uint32(1)
    assert Tokenizer.from_gguf(metadata).eos_ids == {1}


def test_no_end_at_all():
    metadata = good()
    metadata["tokenizer.ggml.tokens"][1] = "x y"
    metadata["tokenizer.ggml.eos_token_id"] = None
    tokenizer = Tokenizer.from_gguf(metadata)
    with pytest.raises(ModelFileError) as caught:
        _ = tokenizer.end_id
    assert caught.value.code == "E-TOKENIZER-NO-END"

"""Writing on from a prompt, on tiny models."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.decode.generate import Generated, generate
from puna.decode.sampling import Sampling
from puna.errors import InputError, ModelFileError
from puna.llama.block import Block
from puna.llama.model import causal_mask
from puna.tokens.tokenizer import Tokenizer
from tests.decode.byte_model import END, START, Scripted, byte_model, byte_tokenizer
from tests.oracle.tiny import make_pair
from tests.tokens.vocabularies import sentence_piece_metadata, train_sentence_piece

GREEDY = Sampling()
PROMPT = list(b"Ask me")


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def streamed(model, tokenizer, prompt=PROMPT, sampling=GREEDY, **options):
    """Generate; check that the stream is the text, and that only stop strings come between tokens and text."""
    parts = []
    found = generate(model, tokenizer, prompt, sampling, on_text=parts.append, **options)
    assert "".join(parts) == found.text
    assert all(parts)
    if found.stop_reason != "stop":
        assert tokenizer.decode(found.tokens) == found.text
    return found, parts


def naive(model, tokenizer, prompt, count):
    """Without a cache: every token from a forward over everything before it."""
    ids = list(prompt)
    while len(ids) < len(prompt) + count:
        hidden = model(torch.tensor(ids), torch.arange(len(ids)), None, causal_mask(0, len(ids)))
        best = int(model.logits(hidden)[-1, : tokenizer.vocab_size].argmax())
        if best in tokenizer.eos_ids:
            break
        ids.append(best)
    return ids[len(prompt) :]


@pytest.mark.parametrize("seed", range(6))
def test_greedy_tokens_are_those_of_full_forwards(tokenizer, seed):
    model = byte_model(seed=seed)
    found, _ = streamed(model, tokenizer, max_tokens=30)
    assert found.tokens == naive(model, tokenizer, PROMPT, 30)


@pytest.mark.parametrize("rope", ["default", "llama3", "yarn", "dynamic", "longrope"])
def test_greedy_tokens_are_transformers(tokenizer, rope):
    # Up to the original context: past it Transformers' dynamic types change the frequencies under their cache.
    pair = make_pair({"vocab_size": 258}, rope=rope, seed=4)
    want = pair.hf.generate(torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=END)
    found, _ = streamed(pair.puna, tokenizer, max_tokens=24)
    assert found.tokens == [i for i in want[0, len(PROMPT) :].tolist() if i != END]


def test_draws_are_repeatable_by_seed(tokenizer):
    model = byte_model()
    drawn = [streamed(model, tokenizer, sampling=Sampling(1.5, seed=s), max_tokens=20)[0] for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    tokens = {
        t
        for s in range(20)
        for t in generate(model, tokenizer, PROMPT, Sampling(9.0, seed=s), max_tokens=40).tokens
    }
    assert len(tokens) > 150
    assert max(tokens) <= START  # neither the end token nor the rows that pad the vocabulary


def test_the_prompt_is_read_once_and_then_one_token_a_step(tokenizer):
    model = Scripted(b"Hello")
    found, _ = streamed(model, tokenizer, max_tokens=100)
    assert model.heard == [PROMPT, *([byte] for byte in b"Hello")]
    assert found == Generated("Hello", list(b"Hello"), "end")


def test_a_prompt_of_several_chunks(tokenizer):
    model, prompt = byte_model(context=2000), PROMPT * 120
    assert streamed(model, tokenizer, prompt, max_tokens=5)[0].tokens == naive(model, tokenizer, prompt, 5)


def test_ends_at_any_end_token(tokenizer):
    for token in (END, START):
        tokenizer = byte_tokenizer()
        tokenizer.eos_ids = frozenset({END, START})
        found, _ = streamed(Scripted([*b"Yes", token, *b"No"]), tokenizer, max_tokens=100)
        assert found == Generated("Yes", list(b"Yes"), "end")


def test_an_end_at_once_is_an_empty_text(tokenizer):
    found, parts = streamed(Scripted(b""), tokenizer, max_tokens=100)
    assert found == Generated("", [], "end")
    assert parts == []


def test_control_tokens_are_tokens_but_no_text(tokenizer):
    found, _ = streamed(Scripted([*b"a", START, *b"b"]), tokenizer, max_tokens=100)
    assert found == Generated("ab", [*b"a", START, *b"b"], "end")


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_length(tokenizer, limit):
    model = Scripted(b"Hello")
    found, _ = streamed(model, tokenizer, max_tokens=limit)
    assert found == Generated("Hello"[:limit], list(b"Hello")[:limit], "length")
    assert len(model.heard) == limit  # no forward for a token that is not wanted


def test_context(tokenizer):
    found, _ = streamed(Scripted(b"x" * 100, context=10), tokenizer, max_tokens=100)
    # Four positions are left; what the last of them predicts needs none of its own.
    assert found == Generated("xxxxx", list(b"xxxxx"), "context")


def test_a_prompt_that_fills_the_context_has_one_next_token(tokenizer):
    for limit, reason in ((100, "context"), (1, "length")):
        found, _ = streamed(Scripted(b"xyz", context=len(PROMPT)), tokenizer, max_tokens=limit)
        assert found == Generated("x", list(b"x"), reason)


def test_the_tokens_up_to_the_end_of_the_context_are_those_of_full_forwards(tokenizer):
    model = byte_model(context=16, seed=0)
    found, _ = streamed(model, tokenizer, max_tokens=100)
    assert found.tokens == naive(model, tokenizer, PROMPT, 11)
    assert found.stop_reason == "context"


def test_stop_strings(tokenizer):
    script = b"One. Two.\n\nThree"
    for stop, text in (
        (["\n\n"], "One. Two."),
        (["Two", "One. T"], ""),
        ([".", "\n"], "One"),
        (["\nT"], "One. Two.\n"),
        (["One"], ""),
    ):
        found, _ = streamed(Scripted(script), tokenizer, stop=stop, max_tokens=100)
        assert (found.text, found.stop_reason) == (text, "stop")
        assert tokenizer.decode(found.tokens).endswith(tuple(stop))
    found, _ = streamed(Scripted(script), tokenizer, stop=["Threee", "four"], max_tokens=100)
    assert (found.text, found.stop_reason) == (script.decode(), "end")


def test_a_stop_string_over_several_tokens_is_never_streamed(tokenizer):
    found, parts = streamed(Scripted("答案是巴黎。问：".encode()), tokenizer, stop=["。问"], max_tokens=100)
    assert parts == [*"答案是巴黎"]
    assert found.stop_reason == "stop"


def test_what_was_held_back_comes_when_the_text_ends_otherwise(tokenizer):
    for script, limit, reason in ((b"abEN", 100, "end"), (b"abENx", 4, "length")):
        found, parts = streamed(Scripted(script), tokenizer, stop=["END"], max_tokens=limit)
        assert parts == ["a", "b", "EN"]
        assert found.stop_reason == reason


def test_a_stop_string_completed_by_the_last_token_allowed(tokenizer):
    found, _ = streamed(Scripted(b"abEND"), tokenizer, stop=["END"], max_tokens=5)
    assert (found.text, found.stop_reason) == ("ab", "stop")


@settings(max_examples=40, deadline=None)
@given(
    text=st.text("汉字é😀👩‍👩‍👧🇨🇳 a\n", max_size=12),
    stop=st.lists(st.text("汉字é😀a\n", min_size=1, max_size=2), max_size=2),
)
def test_no_part_cuts_a_character(text, stop):
    found, _ = streamed(Scripted(text.encode()), byte_tokenizer(), stop=stop, max_tokens=1000)
    assert text.startswith(found.text)
    assert "\ufffd" not in found.text
    assert (found.stop_reason == "stop") == any(s in text for s in stop)
    assert found.text == text or found.stop_reason == "stop"


def test_a_character_cut_by_the_limit_shows_once_at_the_end(tokenizer):
    found, parts = streamed(Scripted("a😀".encode()), tokenizer, max_tokens=3)
    assert parts == ["a", "\ufffd"]
    assert found.stop_reason == "length"


def test_a_text_that_goes_on_from_the_prompt_keeps_its_space():
    tokenizer = Tokenizer.from_gguf(sentence_piece_metadata(train_sentence_piece(vocab_size=500)))
    pair = make_pair({"vocab_size": tokenizer.vocab_size})
    prompt = tokenizer.encode("the cat")
    for seed in range(30):
        draw = Sampling(5.0, seed=seed)
        new = generate(pair.puna, tokenizer, prompt, draw, max_tokens=6)
        going_on = generate(pair.puna, tokenizer, prompt, draw, max_tokens=6, new_text=False)
        assert going_on.tokens == new.tokens
        assert "the cat" + going_on.text == tokenizer.decode(prompt + new.tokens)
        assert going_on.text.removeprefix(" ") == new.text.removeprefix(" ")


def interrupted(model, tokenizer, monkeypatch, after):
    """Press Ctrl-C in the middle of a forward, so many layers into the work."""
    forward, layers = Block.forward, iter(range(1000))

    def pressed(self, *rest):
        if next(layers) == after:
            raise KeyboardInterrupt
        return forward(self, *rest)

    monkeypatch.setattr(Block, "forward", pressed)
    parts = []
    with pytest.raises(KeyboardInterrupt):
        generate(model, tokenizer, PROMPT, GREEDY, max_tokens=20, on_text=parts.append)
    monkeypatch.undo()
    return parts


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9])
def test_ctrl_c_leaves_the_model_as_it_was(tokenizer, monkeypatch, after):
    model = byte_model(seed=2)
    before, parts = streamed(model, tokenizer, max_tokens=20)
    seen = interrupted(model, tokenizer, monkeypatch, after)
    assert before.text.startswith("".join(seen))
    assert not torch.is_inference_mode_enabled()
    assert streamed(model, tokenizer, max_tokens=20) == (before, parts)


def test_the_cache_counts_whole_forwards_only_after_ctrl_c(tokenizer, monkeypatch):
    model = byte_model(seed=2)
    caches = []
    new_cache = model.new_cache
    model.new_cache = lambda *rest, **more: caches.append(new_cache(*rest, **more)) or caches[-1]
    interrupted(model, tokenizer, monkeypatch, 5)  # the prompt, one token, and half of the next
    assert [cache.length for cache in caches] == [len(PROMPT) + 1]


def test_an_error_in_the_callers_function_passes_through(tokenizer):
    def broken(text):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        generate(Scripted(b"Hello"), tokenizer, PROMPT, GREEDY, max_tokens=10, on_text=broken)


@pytest.mark.parametrize(
    ("prompt", "options", "code", "told"),
    [
        ([], {}, "E-PROMPT-EMPTY", ()),
        ([65] * 65, {}, "E-PROMPT-LONG", (65, 64)),
        ([65, 5000], {}, "E-TOKEN-ID", (5000, 272)),
        ([-1], {}, "E-TOKEN-ID", (-1, 272)),
        (PROMPT, {"max_tokens": 0}, "E-MAX-TOKENS", (0,)),
        (PROMPT, {"max_tokens": -3}, "E-MAX-TOKENS", (-3,)),
        (PROMPT, {"max_tokens": True}, "E-MAX-TOKENS", (True,)),
        (PROMPT, {"stop": ["a", ""]}, "E-STOP", ()),
        (PROMPT, {"stop": "END"}, "E-STOP", ()),
    ],
)
def test_bad_input(tokenizer, prompt, options, code, told):
    with pytest.raises(InputError) as caught:
        generate(byte_model(), tokenizer, prompt, GREEDY, **{"max_tokens": 5, **options})
    assert caught.value.code == code
    for language in ("en", "zh"):
        message, _ = caught.value.describe(language)
        assert all(str(fact) in message for fact in told)


def test_a_damaged_model_is_named(tokenizer):
    model = byte_model()
    model.lm_head.weight.data[7, 3] = float("nan")
    with pytest.raises(ModelFileError) as caught:
        generate(model, tokenizer, PROMPT, GREEDY, max_tokens=5)
    assert caught.value.code == "E-LOGITS"

"""Where prompt and answer meet: tok(a + b) need not be tok(a) + tok(b). And which tokens stand for which text.

Measured when this was written: of all spans of 40 contexts each of SQuAD 1.1 (46,428), CMRC 2018 (258,422) and DRCD
(243,946), 6,731 of them beginning with a quote, bracket or currency sign, every one has the same tokens cut out of the
whole as alone, in the default vocabulary and the three below. A vocabulary that has learned "：“" as one token does not
do that for Chinese quotes behind "答案："; the answer's tokens are then still its own, as wherever else it stands.
"""

import gzip
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as CoreTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from puna.answer.prompt import CHINESE, ENGLISH, Prompt, Prompts, Wording
from puna.answer.spans import in_one_line, spans
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.conftest import BATTERY, mixed_texts
from tests.tokens.vocabularies import (
    NFC,
    byte_level_metadata,
    sentence_piece_metadata,
    train_byte_level,
    train_sentence_piece,
)

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
MADE = {
    "GPT-2": lambda: byte_level_metadata(train_byte_level(GPT2), "gpt-2"),
    "Llama 3": lambda: byte_level_metadata(train_byte_level(LLAMA3), "llama-bpe"),
    "SentencePiece": lambda: sentence_piece_metadata(train_sentence_piece()),
}
NAMES = ["default", *MADE]
WORDINGS = pytest.mark.parametrize("wording", [ENGLISH, CHINESE], ids=["en", "zh"])
QUESTIONS = {ENGLISH.text: "Who led it?", CHINESE.text: "谁带队？"}
made: dict[str, Tokenizer] = {}


def vocabulary(name: str, request: pytest.FixtureRequest) -> Tokenizer:
    if name == "default":
        return request.getfixturevalue("default_tokenizer")
    if name not in made:
        made[name] = Tokenizer.from_gguf(MADE[name]())
    return made[name]


@pytest.fixture(params=NAMES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return vocabulary(request.param, request)


def prompts_of(tokenizer: Tokenizer, wording: Wording, *, examples: bool = True) -> Prompts:
    return Prompts(tokenizer, wording, QUESTIONS[wording.text], examples)


def written(prompts: Prompts, text: str) -> str:
    """The prompt as a string."""
    shown = prompts.wording.shown(True) if prompts.examples else ""
    return f"{shown}{prompts.wording.passage(text)}{prompts.wording.asked(prompts.question)}"


ANSWERS = [
    *(
        "Ann",
        "Astrid Halvorsen",
        "3 May 1921",
        "$1.2 million",
        "50%",
        "(June)",
        '"Blue Moon"',
        "'it'",
        "£5",
        "don't",
    ),
    *("U.S. Army", "x", "1921", "¥30", "#7", "été", "e\u0301t\u00e9", "שלום", "👩‍👩‍👧", "iPhone手机", "A"),
    *(
        "珠穆朗玛峰",
        "《红楼梦》",
        "“你好”",
        "「引号」",
        "（一）",
        "8848米",
        "１２３",
        "№ 5",
        "1,000,000",
        "twenty-one",
    ),
]


@WORDINGS
@pytest.mark.parametrize("answer", ANSWERS)
def test_prompt_and_answer_decode_to_themselves(tokenizer: Tokenizer, wording: Wording, answer: str) -> None:
    prompts = prompts_of(tokenizer, wording)
    text = f"He said: {answer} and left.\n第二行。"
    tokens = prompts.about(text).tokens + prompts.answers([answer])[0]
    assert tokenizer.decode(tokens) == written(prompts, text) + wording.lead + answer
    assert tokenizer.decode([*tokens, prompts.end]).rstrip("\n") == written(prompts, text) + wording.lead + answer


@WORDINGS
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_has_the_same_tokens_wherever_it_stands(
    tokenizer: Tokenizer, wording: Wording, answer: str
) -> None:
    """With a space before it, at the start of a line, behind full-width punctuation, at an end: found as a span too."""
    prompts = prompts_of(tokenizer, wording)
    (want,) = prompts.answers([answer])
    assert want
    for before, after in (
        (" ", " "),
        ("\n", "\n"),
        ("，", "。"),
        ("", ""),
        ("：", "！"),
        ("\u3000", "\r\n"),
        ("“", "”"),
    ):
        assert prompts.answers([before.strip("，：“") + answer + after.strip("。！”")]) == [want]
        text = f"{before}{answer}{after}"
        found = {in_one_line(text[a:b]) for a, b in spans(text)}
        if answer in found:
            assert prompts.answers([each for each in found if each == answer]) == [want]


@WORDINGS
def test_answers_end_as_in_the_examples(tokenizer: Tokenizer, wording: Wording) -> None:
    """The end that is scored is the token that stands behind each worked answer."""
    prompts = prompts_of(tokenizer, wording)
    tokens, offsets = tokenizer.encode_prompt_with_offsets(written(prompts, "x"))
    place = 0
    for _, _, answer in wording.examples:
        place = wording.shown(True).index(f"{wording.answer}{wording.lead}{answer}\n", place)
        place += len(f"{wording.answer}{wording.lead}{answer}")
        behind = next(n for n, (first, _) in enumerate(offsets) if first == place)
        assert tokens[behind] == prompts.end
    assert tokenizer.decode([prompts.end]).strip("\n") == ""


def contexts(name: str, count: int) -> list[str]:
    folder = os.environ.get("PUNA_DATA")
    if not folder:
        pytest.skip("PUNA_DATA does not name the folder of the data sets")
    with gzip.open(Path(folder) / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        every = sorted({json.loads(line)["context"] for line in lines})
    return random.Random(5).sample(every, count)


def boundary(prompts: Prompts, texts: list[str]) -> dict[str, list[str]]:
    """Sort answers by what tokenising prompt and answer as one string gives."""
    tokenizer, prompt = prompts.tokenizer, prompts.about("x").tokens
    found: dict[str, list[str]] = {"the same": [], "another answer": [], "another prompt": []}
    together = [tokenizer.encode_prompt(written(prompts, "x") + prompts.wording.lead + text) for text in texts]
    for text, whole, answer in zip(texts, together, prompts.answers(texts), strict=True):
        kind = "another prompt" if whole[: len(prompt)] != prompt else "another answer"
        found["the same" if whole == prompt + answer else kind].append(text)
    return found


@pytest.mark.parametrize(
    ("name", "wording"), [("squad11/dev_a", ENGLISH), ("cmrc2018/dev_a", CHINESE)], ids=["en", "zh"]
)
def test_real_spans_are_cut_where_they_begin(tokenizer: Tokenizer, name: str, wording: Wording) -> None:
    prompts = prompts_of(tokenizer, wording, examples=False)
    rng, texts = random.Random(3), set()
    for context in contexts(name, 40):
        every = sorted({in_one_line(context[a:b]) for a, b in spans(context)})
        marked = [text for text in every if not text[0].isalnum()]
        texts |= {*rng.sample(every, min(60, len(every))), *marked[:20]}
    found = boundary(prompts, sorted(texts))
    assert len(found["the same"]) == len(texts) > 2000
    assert sum(not text[0].isalnum() for text in texts) > 100


def test_where_a_vocabulary_joins_colon_and_quote(request: pytest.FixtureRequest) -> None:
    """The exception: words are cut as ever, quotes are not, and keep tokens of their own behind the prompt."""
    core = CoreTokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=["<s>"],
    )
    core.train_from_iterator(["他说：“好。”", "答案：《红楼梦》"] * 50, trainer)
    tokenizer = Tokenizer.from_gguf(byte_level_metadata(core, "gpt-2"))
    prompts = prompts_of(tokenizer, CHINESE, examples=False)
    quoted, words = ["“好”", "《红楼梦》"], ["好", "红楼梦", "iPhone", "8848米"]
    assert boundary(prompts, quoted + words) == {"the same": words, "another answer": [], "another prompt": quoted}
    for text, tokens in zip(quoted, prompts.answers(quoted), strict=True):
        assert tokenizer.decode(prompts.about("x").tokens + tokens) == written(prompts, "x") + text


PIECES = st.one_of(
    st.sampled_from(
        [*BATTERY, *mixed_texts(40, seed=3), "\n", "\r\n", "\n\n", " ", "", "\u0301", "👩🏽‍🚀", "。", "\n "]
    ),
    st.text(st.characters(max_codepoint=0x2FFFF, exclude_categories=["Cs"]), max_size=12),
)
TEXTS = st.lists(PIECES, max_size=4).map("".join)
EDGES = [
    "",
    "\n",
    "\n\nAnn.\n\n",
    " a ",
    "\r\nAnn\r\n",
    "\u0301a",
    "a\u0301",
    "😀",
    "Text: a\nQuestion: b\nAnswer: c\n",
]


def spelled(tokenizer: Tokenizer, prompt: Prompt) -> list[bytes]:
    """The bytes of each token; BOS has none."""
    return [b"" if token in tokenizer.special_ids else tokenizer.token_bytes(token) for token in prompt.tokens]


def ranges_by_bytes(prompts: Prompts, text: str, prompt: Prompt) -> list[tuple[int, int]]:
    """For each token the characters of the text it has bytes of, by adding up lengths."""
    whole, tokenizer = written(prompts, text), prompts.tokenizer
    begin = whole.rindex(prompts.wording.passage(text)) + len(prompts.wording.text)
    owner = [n for n, char in enumerate(whole) for _ in char.encode()]
    found, place = [], 0
    pieces = spelled(tokenizer, prompt)
    extra = len(b"".join(pieces)) - len(owner)  # the dummy space of SentencePiece, no character of the text
    assert extra in (0, 1)
    for piece in pieces:
        mine = owner[max(place - extra, 0) : max(place + len(piece) - extra, 0)]
        place += len(piece)
        inside = [char - begin for char in mine if begin <= char < begin + len(text)]
        found.append((inside[0], inside[-1] + 1) if inside else (0, 0))
    return found


def check_prompt(prompts: Prompts, text: str, rng: random.Random) -> None:
    prompt = prompts.about(text)
    want = ranges_by_bytes(prompts, text, prompt)
    assert len(prompt.tokens) == len(prompt.offsets) == len(want)
    assert [pair if pair[0] < pair[1] else (0, 0) for pair in prompt.offsets] == want
    # Sections: examples, text, question; a token over a border belongs to what follows.
    tokenizer, shown = prompts.tokenizer, prompts.wording.shown(True) if prompts.examples else ""
    sizes = [shown, shown + prompts.wording.text + text][not shown :]
    assert len(prompt.cuts) == len(sizes)
    assert list(prompt.cuts) == sorted(prompt.cuts)
    pieces = spelled(tokenizer, prompt)
    extra = len(b"".join(pieces)) - len(written(prompts, text).encode())
    for cut, before in zip(prompt.cuts, sizes, strict=True):
        size = len(before.encode()) + extra
        assert len(b"".join(pieces[:cut])) <= size < len(b"".join(pieces[: cut + 1]))
    assert prompt.asked == prompt.cuts[-1]
    # What stands before the question does not depend on it.
    other = Prompts(tokenizer, prompts.wording, "Another one", prompts.examples).about(text)
    assert other.tokens[: other.asked] == prompt.tokens[: prompt.asked]
    for _ in range(8):
        start, end = sorted(rng.choices(range(len(text) + 1), k=2))
        inside = [
            n for n, (a, b) in enumerate(want[: prompt.asked]) if a < end and b > start and a < b and start < end
        ]
        first, last = prompt.covering(start, end)
        assert list(range(first, last)) == inside


@WORDINGS
@pytest.mark.parametrize("examples", [True, False])
@pytest.mark.parametrize("text", EDGES)
def test_tokens_of_texts_with_awkward_edges(
    tokenizer: Tokenizer, wording: Wording, examples: bool, text: str
) -> None:
    check_prompt(prompts_of(tokenizer, wording, examples=examples), text, random.Random(text))


@pytest.mark.parametrize("name", NAMES)
def test_tokens_of_random_texts(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = vocabulary(name, request)

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(TEXTS, st.booleans(), st.sampled_from([ENGLISH, CHINESE]), st.randoms(use_true_random=False))
    def check(text: str, examples: bool, wording: Wording, rng: random.Random) -> None:
        assume(
            tokenizer.decode(tokenizer.encode(text)) == text
        )  # the default vocabulary lacks tokens of some bytes
        check_prompt(prompts_of(tokenizer, wording, examples=examples), text, rng)

    check()


def test_a_normaliser_moves_no_character_to_another_token() -> None:
    """Offsets are those of the text as given, composed or not, and leave out none."""
    tokenizer = Tokenizer.from_gguf(byte_level_metadata(train_byte_level(GPT2, normalizer=NFC()), "gpt-2"))
    prompts = prompts_of(tokenizer, ENGLISH)
    for text in ("cafe\u0301 cre\u0300me", "e\u0301", "a\u0308\u0323 b", "한국어"):
        prompt = prompts.about(text)
        covered = {char for first, last in prompt.offsets for char in range(first, last)}
        assert covered == set(range(len(text)))
        assert prompt.covering(0, len(text))[1] == prompt.asked

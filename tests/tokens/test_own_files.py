"""tokenizer.model and tekken.json beside the weights, small ones, against sentencepiece, Transformers and brute force."""

import base64
import json
import random
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.errors import ModelFileError, PunaError
from puna.tokens import files, ranked_files
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.battery import battery
from tests.tokens.conftest import BATTERY, mixed_texts
from tests.tokens.families import CHATS, LLAMA2
from tests.tokens.kinds import (
    BYTE_LEVEL,
    KINDS,
    LLAMA3,
    LLAMA4,
    RANKS,
    TEKKEN,
    tekken,
    tokenizer_of,
    trained_ranks,
    write_sentence_piece,
    write_tekken,
    write_tiktoken,
)
from tests.tokens.vocabularies import train_sentence_piece

# With all that "<0x0A>" is spelled of: else it is read as the byte, see docs/models.md.
UNIGRAM = {"model_type": "unigram", "required_chars": "0123456789ABCDEF<x>"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Build each kind once."""
    known = {}
    with pytest.MonkeyPatch.context() as patch:

        def get(kind):
            if kind not in known:
                known[kind] = tokenizer_of(kind, tmp_path_factory.mktemp("kind"), patch)
            return known[kind]

        yield get


@pytest.fixture
def small_families(monkeypatch):
    """Let a file of RANKS tokens pass for Llama 3's."""
    monkeypatch.setitem(ranked_files.FAMILIES, RANKS, ranked_files.FAMILIES[128_000])


def merged(ranks, pattern, text):
    """Do what tiktoken does, the slow way: again and again join the neighbours whose token has the lowest rank."""
    ids = []
    for word in regex.findall(pattern, text):
        raw = word.encode()
        parts = [raw] if raw in ranks else [raw[i : i + 1] for i in range(len(raw))]
        while len(parts) > 1:
            found = [(ranks.get(a + b, len(ranks)), i) for i, (a, b) in enumerate(pairwise(parts))]
            rank, at = min(found)
            if rank == len(ranks):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids += [ranks[part] for part in parts]
    return ids


@pytest.mark.parametrize(("kind", "pattern"), [("llama 3", LLAMA3), ("llama 4", LLAMA4), ("tekken", TEKKEN)])
def test_ids_equal_brute_force(made, kind, pattern):
    tokenizer = made(kind)
    first = 20 if kind == "tekken" else 0
    tokens = trained_ranks(pattern)[: RANKS - 10 if kind == "tekken" else RANKS]
    ranks = {token: i for i, token in enumerate(tokens)}
    for text in [*BATTERY, *mixed_texts(300, seed=21), *battery()[::6]]:
        assert tokenizer.encode(text) == [first + i for i in merged(ranks, pattern, text)], text


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"add_dummy_prefix": False},
        {"byte_fallback": False},
        {"user_defined_symbols": ["[U1]", "[U22]"], "control_symbols": ["[C]"]},
        {**UNIGRAM, "vocab_size": 500},
        {**UNIGRAM, "vocab_size": 340, "byte_fallback": False},
        {**UNIGRAM, "vocab_size": 500, "add_dummy_prefix": False, "user_defined_symbols": ["[U1]"]},
    ],
    ids=str,
)
def test_ids_equal_sentencepiece(tmp_path, options):
    processor = write_sentence_piece(tmp_path, **options)
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.vocab_size == len(processor)
    assert (tokenizer.bos_id, tokenizer.end_id) == (processor.bos_id(), processor.eos_id())
    texts = [*BATTERY, "a[U1]b [U22] [U1][U22]", "[U1] a", "a[C]b", *mixed_texts(300, seed=22), *battery()[::3]]
    for text in texts:
        if "\0" in text:  # which the library reads as the end of some of its strings
            continue
        ids, wanted = tokenizer.encode(text), processor.encode(text)
        assert ids == wanted or (options.get("model_type") == "unigram" and tie(processor, ids, wanted)), text
        assert tokenizer.encode_prompt(text) == [processor.bos_id(), *ids]


def tie(processor, ids, wanted):
    """Tell whether two ways to cut a text are equally probable; which of them is taken then hangs on rounding."""
    sums = [sum(map(processor.GetScore, each)) for each in (ids, wanted)]
    return processor.decode(ids) == processor.decode(wanted) and abs(sums[0] - sums[1]) < 1e-4


@pytest.mark.parametrize("kind", BYTE_LEVEL)
@settings(max_examples=150, deadline=None)
@given(text=TEXT)
def test_every_text_comes_back(made, kind, text):
    tokenizer = made(kind)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()
    assert tokenizer.special_ids.isdisjoint(ids)


@pytest.mark.parametrize("kind", sorted({*KINDS} - {*BYTE_LEVEL}))
@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_every_text_comes_back_from_pieces_with_bytes(made, kind, text):
    tokenizer = made(kind)
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace(
        "▁", " "
    )  # one sign for both in such a vocabulary


@pytest.mark.parametrize("kind", KINDS)
def test_what_puna_writes_reads_the_same(made, kind, tmp_path):
    tokenizer = made(kind)
    for name, content in tokenizer.files().items():
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
    again = Tokenizer.from_folder(tmp_path)
    for text in [*BATTERY, *battery()[::40]]:
        assert again.encode_prompt(text) == tokenizer.encode_prompt(text)
    assert again.special_ids == tokenizer.special_ids
    assert again.end_id == tokenizer.end_id


def test_control_tokens_of_llama_3_and_4(made):
    """Ids as Meta's own tokenizers give them, from the number of ranks on."""
    three, four = made("llama 3"), made("llama 4")
    assert (three.vocab_size, four.vocab_size) == (RANKS + 256, RANKS + 2048)
    assert three.bos_id == four.bos_id == RANKS
    assert three.eos_ids == {RANKS + 1, RANKS + 8, RANKS + 9}
    assert four.eos_ids == {RANKS + 1, RANKS + 7, RANKS + 8}
    for tokenizer, id, text in [
        (three, 4, "<|finetune_right_pad_id|>"),
        (three, 6, "<|start_header_id|>"),
        (three, 12, "<|reserved_special_token_2|>"),
        (three, 255, "<|reserved_special_token_245|>"),
        (three, 8, "<|eom_id|>"),
        (three, 9, "<|eot_id|>"),
        (four, 5, "<|header_start|>"),
        (four, 7, "<|eom|>"),
        (four, 8, "<|eot|>"),
        (four, 18, "<|finetune_right_pad|>"),
        (four, 80, "<|image_start|>"),
        (four, 1143, "<|reasoning_thinking_end|>"),
        (four, 1144, "<|reserved_special_token_0|>"),
        (four, 2047, "<|reserved_special_token_903|>"),
    ]:
        assert tokenizer.token_bytes(RANKS + id).decode() == text
        assert tokenizer.encode_prompt("a")[0] == RANKS


def test_control_tokens_of_tekken(tmp_path):
    ranks = trained_ranks(TEKKEN)
    older = Tokenizer.from_folder(write_tekken(tmp_path, ranks, controls=25))
    assert (older.vocab_size, older.bos_id, older.eos_ids) == (RANKS - 10 + 25, 1, {2})
    assert [older.token_bytes(i).decode() for i in (3, 17, 20, 24)] == [
        *("[INST]", "[SYSTEM_PROMPT]", "<SPECIAL_20>", "<SPECIAL_24>")
    ]
    content = tekken(ranks, version="v13")
    names = ["<unk>", "<s>", "</s>", "[INST]", "[THINK]"]
    content["special_tokens"] = [
        {"rank": rank, "token_str": name, "is_control": True} for rank, name in [*enumerate(names)][::-1]
    ]
    (tmp_path / "tekken.json").write_text(json.dumps(content))
    newer = Tokenizer.from_folder(tmp_path)
    assert [newer.token_bytes(i).decode() for i in (3, 4, 5)] == ["[INST]", "[THINK]", "<SPECIAL_5>"]
    assert newer.encode("the cat") == [i - 5 for i in older.encode("the cat")]


def test_the_newest_numbered_file_is_read(tmp_path):
    for number, size in (("v1", 500), ("v3", 600)):
        model = train_sentence_piece(vocab_size=size).serialized_model_proto()
        (tmp_path / f"tokenizer.model.{number}").write_bytes(model)
    assert Tokenizer.from_folder(tmp_path).vocab_size == 600


def test_settings_and_added_tokens_beside_it(tmp_path):
    """An old Hugging Face folder: tokens behind the vocabulary, a list of ends, a template in a file of its own."""
    processor = write_sentence_piece(tmp_path)
    size = len(processor)
    decoder = {"2": {"content": "</s>", "special": True}, f"{size + 1}": {"content": "<|im_end|>", "special": True}}
    files = {
        "added_tokens.json": {"<pad>": size, "<|im_end|>": size + 1, "[word]": size + 2},
        "tokenizer_config.json": {
            "added_tokens_decoder": decoder,
            "eos_token": "<|im_end|>",
            "pad_token": "<pad>",
            "add_bos_token": False,
        },
        "generation_config.json": {"eos_token_id": [2, size + 1]},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content + '<|im_end|>' }}{% endfor %}"
    )
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.vocab_size == size + 3
    assert tokenizer.eos_ids == {2, size + 1}
    assert tokenizer.end_id == size + 1
    assert tokenizer.special_ids == {0, 1, 2, size, size + 1}
    assert tokenizer.encode_prompt("the cat") == processor.encode("the cat")
    assert tokenizer.encode_chat([{"role": "user", "content": "the"}], False) == [
        *processor.encode("the"),
        size + 1,
    ]
    assert size + 2 in tokenizer.encode("a[word]b")
    assert size + 1 not in tokenizer.encode("<|im_end|>")


@pytest.mark.parametrize("config", [{"legacy": True}, {"legacy": False}, {"add_prefix_space": False}], ids=str)
def test_transformers_reads_the_same_folder(tmp_path, config):
    from transformers import LlamaTokenizer

    write_sentence_piece(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": LLAMA2}))
    theirs = LlamaTokenizer.from_pretrained(str(tmp_path))
    ours = Tokenizer.from_folder(tmp_path)
    texts = [
        text for text in [*BATTERY, *mixed_texts(200, seed=23)] if "▁" not in text
    ]  # it adds no space before one
    for text in texts:
        if not text.startswith(" "):  # nor before a space
            plain = theirs(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
            assert ours.encode(text) == plain, text
    for messages in CHATS:
        assert ours.encode_chat(messages) == theirs.apply_chat_template(messages, tokenize=True)["input_ids"]


def lines(ranks):
    return [base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(ranks)]


BYTES = [bytes([i]) for i in range(256)]
EXTRA = [b"aa%d" % i for i in range(RANKS - 256)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda good: b"", "E-TOKENIZER-KIND"),
        (lambda good: b"\n" + good, "E-TOKENIZER-DAMAGED"),
        (lambda good: good[:-9], "E-TOKENIZER-DAMAGED"),
        (lambda good: good.replace(b" 300\n", b" 301\n"), "E-TOKENIZER-DAMAGED"),
        (lambda good: good.replace(b" 300\n", b"\n"), "E-TOKENIZER-DAMAGED"),
        (lambda good: good.replace(b" 300\n", b" -300\n"), "E-TOKENIZER-DAMAGED"),
        (lambda good: good.replace(b" 300\n", b"!! 300\n"), "E-TOKENIZER-DAMAGED"),
        (lambda good: b"\n".join(lines([*BYTES, *EXTRA[1:], EXTRA[1]])), "E-TOKENIZER-DAMAGED"),
        (lambda good: b"\n".join(lines([*BYTES[1:], *EXTRA, b"x" * 3])), "E-TOKENIZER-DAMAGED"),
        (lambda good: b"\n".join(lines([*BYTES, *EXTRA[1:], b"a" * 300])), "E-TOKENIZER-DAMAGED"),
        (lambda good: b"\n".join(lines([*BYTES, *EXTRA, b"one more"])), "E-TOKENIZER-KIND"),
        (lambda good: b"PK\x03\x04" + bytes(1000), "E-TOKENIZER-DAMAGED"),
    ],
)
@pytest.mark.usefixtures("small_families")
def test_faults_of_tiktoken_files_are_named(tmp_path, change, code):
    path = write_tiktoken(tmp_path, [*BYTES, *EXTRA]) / "tokenizer.model"
    Tokenizer.from_folder(tmp_path)
    path.write_bytes(change(path.read_bytes()))
    check_refused(tmp_path, code)


def check_refused(folder, code):
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_folder(folder)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert caught.value.describe("zh")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data.pop("vocab"), "E-TOKENIZER-DAMAGED"),
        (lambda data: data.update(config=3), "E-TOKENIZER-DAMAGED"),
        (lambda data: data["config"].update(pattern="(a+)+b"), "E-TOKENIZER-KIND"),
        (lambda data: data["config"].update(default_vocab_size=10**9), "E-TOKENIZER-DAMAGED"),
        (lambda data: data["config"].update(default_num_special_tokens=10**9), "E-TOKENIZER-DAMAGED"),
        (lambda data: data["config"].update(default_num_special_tokens=True), "E-TOKENIZER-DAMAGED"),
        (lambda data: data["config"].update(default_vocab_size="600"), "E-TOKENIZER-DAMAGED"),
        (lambda data: data["vocab"][300].update(token_bytes="!"), "E-TOKENIZER-DAMAGED"),
        (
            lambda data: data["vocab"][300].update(token_bytes=data["vocab"][301]["token_bytes"]),
            "E-TOKENIZER-DAMAGED",
        ),
        (lambda data: data["vocab"][300].update(rank="1"), "E-TOKENIZER-DAMAGED"),
        (lambda data: data.update(special_tokens=[{"rank": 0}]), "E-TOKENIZER-DAMAGED"),
        (lambda data: data.update(special_tokens=[{"rank": 0, "token_str": 3}]), "E-TOKENIZER-DAMAGED"),
        (
            lambda data: data.update(special_tokens=[{"rank": i, "token_str": "<s>"} for i in range(2)]),
            "E-TOKENIZER-DAMAGED",
        ),
    ],
)
def test_faults_of_tekken_files_are_named(tmp_path, change, code):
    content = tekken([*BYTES, *EXTRA])
    change(content)
    (tmp_path / "tekken.json").write_text(json.dumps(content))
    check_refused(tmp_path, code)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"model_type": "word", "vocab_size": 60, "byte_fallback": False}, "words"),
        ({"model_type": "char", "vocab_size": 60, "byte_fallback": False}, "characters"),
        ({"normalization_rule_name": "nmt_nfkc"}, "normalisation"),
        ({"remove_extra_whitespaces": True}, "normalisation"),
        ({"treat_whitespace_as_suffix": True}, "spaces"),
    ],
    ids=str,
)
def test_other_sentencepiece_models_are_refused(tmp_path, options, kind):
    write_sentence_piece(tmp_path, hard_vocab_limit=False, **options)
    check_refused(tmp_path, "E-TOKENIZER-KIND")
    with pytest.raises(ModelFileError, match=kind):
        Tokenizer.from_folder(tmp_path)


def varint(number):
    low = bytearray()
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes([*low, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


BPE = field(2, b"\x18\x02") + field(3, b"\x18\x00\x20\x00")  # no dummy prefix, extra spaces kept


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"\n\x05a",
        b"\n" + varint(2**62) + b"a",
        b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\n\x00",
        field(1, field(1, b"\xff\xfe")),
        field(1, field(1, b"a") + b"\x15\x00\x00\xc0\x7f"),
        field(1, b"\x0b"),
        field(1, field(1, b"a")) * 2 + BPE,
        field(1, field(1, b"a") + b"\x18" + varint(2**63)) + BPE,
        field(1, field(1, b"a") + b"\x18\x00") + BPE,
        field(1, field(1, b"a" * 300)) + BPE,
        field(1, field(1, b"a") + b"\x18\x02") + field(2, b"\x18" + varint(10**15)),
    ],
    ids=repr,
)
def test_faults_of_sentencepiece_files_are_named(tmp_path, content):
    (tmp_path / "tokenizer.model").write_bytes(content)
    check_refused(tmp_path, "E-TOKENIZER-KIND" if varint(10**15) in content else "E-TOKENIZER-DAMAGED")


def test_half_a_character_is_no_token(tmp_path):
    size = len(write_sentence_piece(tmp_path))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"\ud800": size}))
    check_refused(tmp_path, "E-TOKENIZER-DAMAGED")


def test_the_work_of_finding_merges_is_bounded(tmp_path, monkeypatch):
    """A piece for every word of a and b is made of two others in as many ways as it has letters."""
    monkeypatch.setattr("puna.tokens.merges._MERGES", 2000)
    for longest in (7, 8):  # 2 ** n words of n letters, n - 1 ways each: 1,282 ways in all, then 3,074
        words = [bytes(97 + (i >> k & 1) for k in range(n)) for n in range(1, longest + 1) for i in range(2**n)]
        pieces = b"".join(field(1, field(1, word)) for word in words)
        (tmp_path / "tokenizer.model").write_bytes(pieces + BPE)
        if longest == 7:
            assert len(Tokenizer.from_folder(tmp_path).encode("abbaaba")) == 1
    check_refused(tmp_path, "E-TOKENIZER-DAMAGED")


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer.model", "config.json"])
def test_files_beyond_all_bounds_are_not_read(tmp_path, name):
    write_sentence_piece(tmp_path)
    with (tmp_path / name).open("wb") as file:
        file.truncate(files.LARGEST + 1)  # a hole: it takes no room on the disk
    check_refused(tmp_path, "E-TOKENIZER-SIZE")


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer_config.json"])
def test_json_of_very_many_values_is_not_read(tmp_path, name, monkeypatch):
    monkeypatch.setattr("puna.tokens.files._VALUES", 1000)
    write_sentence_piece(tmp_path)
    (tmp_path / name).write_text("[" + "{}," * 1001 + "1]")
    check_refused(tmp_path, "E-TOKENIZER-DAMAGED")
    with pytest.raises(ModelFileError, match="more than 1000 values"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer.model"])
def test_what_is_no_file_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    check_refused(tmp_path, "E-TOKENIZER-DAMAGED")


@pytest.mark.parametrize("kind", ["tiktoken", "tekken", "sentencepiece", "unigram"])
@pytest.mark.usefixtures("small_families")
def test_mutated_files_load_or_are_refused(tmp_path, kind):
    if kind == "tiktoken":
        write_tiktoken(tmp_path, [*BYTES, *EXTRA])
    elif kind == "tekken":
        write_tekken(tmp_path, [*BYTES, *EXTRA])
    else:
        write_sentence_piece(tmp_path, vocab_size=500, model_type="bpe" if kind == "sentencepiece" else kind)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    chance = random.Random(kind)
    refused = 0
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(bad))
            what = chance.randrange(4)
            if what == 0:
                bad[at] ^= 1 << chance.randrange(8)
            elif what == 1:
                del bad[at : at + chance.randint(1, 60)]
            elif what == 2:
                bad[at:at] = bad[chance.randrange(len(bad)) :][: chance.randint(1, 60)]
            else:
                del bad[max(at, len(bad) // 2) :]
        path.write_bytes(bad)
        caught = None
        try:
            tokenizer = Tokenizer.from_folder(tmp_path)
        except PunaError as error:
            caught = error
        if caught is None:
            ids = tokenizer.encode("the cat 12 你好")
            assert all(0 <= i < tokenizer.vocab_size for i in ids)
            assert tokenizer.special_ids.isdisjoint(set(ids) - {0})
        else:
            refused += 1
            assert caught.code.startswith("E-TOKENIZER-")
            assert "\n" not in str(caught)
    assert refused

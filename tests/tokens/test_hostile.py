"""Tokenizers from strangers: what the fuzzer found, and what it may not find again."""

import json
import random

import numpy as np
import pytest

from puna.errors import InputError, ModelFileError, PunaError, shown
from puna.tokens.patterns import check_patterns
from puna.tokens.tokenizer import Tokenizer
from tests.fuzz.seeds import make_seeds


@pytest.fixture(scope="module")
def seeds():
    return {seed.name: seed.files for seed in make_seeds()}


def folder_of(files, path, **changes):
    """Write a seed's files; `changes`: what replaces a file (its name with _ for the full stop), as JSON or bytes."""
    for name, content in files.items():
        (path / name).write_bytes(content)
    for name, content in changes.items():
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        (path / name.replace("_json", ".json").replace("_jinja", ".jinja")).write_bytes(raw)
    return path


def refused(path, code="E-TOKENIZER-DAMAGED", text="The cat sat 字 aaab"):
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_folder(path).encode(text)
    assert caught.value.code == code
    for language in ("en", "zh"):
        said = "".join(caught.value.describe(language))
        assert said.isprintable()
        assert len(said) < 600
    return str(caught.value)


def edited(files, change):
    data = json.loads(files["tokenizer.json"])
    change(data)
    return data


FAULTS = {
    "an added token without text": lambda data: data["added_tokens"][0].pop("content"),
    "an added token of a list": lambda data: data["added_tokens"][0].update(content=[]),
    "an added token with the id true": lambda data: data["added_tokens"][1].update(id=True),
    "an id beyond all": lambda data: data["added_tokens"][2].update(id=4_000_000_000),
    "a vocabulary of pairs": lambda data: data["model"].update(vocab=[["a", 0]]),
    "an id in the vocabulary beyond all": lambda data: data["model"]["vocab"].update({"zz": 2**31}),
    "no model": lambda data: data.pop("model"),
    "a model that is a list": lambda data: data.update(model=[]),
    "a prompt of texts": lambda data: data["post_processor"]["special_tokens"]["<s>"].update(ids=["a"]),
    "a prompt of nothing": lambda data: data["post_processor"]["special_tokens"]["<s>"].update(ids=[None]),
    "a prompt below zero": lambda data: data["post_processor"]["special_tokens"]["<s>"].update(ids=[-1]),
    "a sequence of numbers": lambda data: data["normalizer"].update(normalizers=5),
    "an added token with a huge content": lambda data: data["added_tokens"][0].update(content={"a": "x" * 99_999}),
    "merges of numbers": lambda data: data["model"].update(merges=[[1, 2]]),
    "an unknown token that is none": lambda data: data["model"].update(unk_token="nowhere", byte_fallback=False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_tokenizer_json(name, seeds, tmp_path):
    files = seeds["tokenizer-sentencepiece"]
    refused(folder_of(files, tmp_path, tokenizer_json=edited(files, FAULTS[name])), text="qqq \U0001f999 ж")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer_config", {"added_tokens_decoder": {"999": {"special": True}}}),
        ("tokenizer_config", {"added_tokens_decoder": {"9" * 400: {"content": "x"}}}),
        ("tokenizer_config", {"chat_template": [{"name": [], "template": "a"}]}),
        ("generation_config", {"eos_token_id": [list(range(9999))]}),
        ("generation_config", {"eos_token_id": 10**300}),
    ],
)
def test_faults_beside_it(name, content, seeds, tmp_path):
    files = {name: each for name, each in seeds["tokenizer-sentencepiece"].items() if name != "chat_template.jinja"}
    refused(folder_of(files, tmp_path, **{f"{name}_json": content}))


def test_added_tokens_of_infinite_ids(seeds, tmp_path):
    refused(folder_of(seeds["tokenizer.model"], tmp_path, added_tokens_json=b'{"<|x|>": Infinity}'))
    refused(folder_of(seeds["tokenizer.model"], tmp_path, added_tokens_json=b'{"<|x|>": 1e999}'))


@pytest.mark.parametrize("depth", [200, 900, 950, 970, 980, 990, 5000])
def test_nesting(depth, seeds, tmp_path):
    """Whatever depth the parser still takes, what walks the tree behind it must take or refuse."""
    files = seeds["tokenizer-sentencepiece"]
    raw = json.dumps(edited(files, lambda data: data.update(decoder="HERE"))).replace(
        '"HERE"', "[" * depth + "]" * depth
    )
    refused(folder_of(files, tmp_path, tokenizer_json=raw.encode()))


@pytest.mark.parametrize("kind", ["tokenizer-sentencepiece", "tokenizer-unigram"])
@pytest.mark.parametrize("change", ["one id twice", "another text", "an ordinary text"])
def test_no_second_name_leads_to_a_control_token(kind, change, seeds, tmp_path):
    files = seeds[kind]
    data = json.loads(files["tokenizer.json"])
    token = data["added_tokens"][1]  # <s>, which the vocabulary calls so too
    if change == "one id twice":
        data["added_tokens"].append({**token, "content": "</s>"})
    else:
        token["content"] = "<other>" if change == "another text" else "th"
    tokenizer = Tokenizer.from_folder(folder_of(files, tmp_path, tokenizer_json=data))
    special = {1, *tokenizer.special_ids} - {0}  # the unknown token stands for what the vocabulary lacks
    for text in ("<s>", "</s>", "<other>", "the <s> cat </s>", "th", "the", " hidden 1"):
        assert special.isdisjoint(tokenizer.encode(text))


ENDLESS = [
    r"(a+)+$",
    r"(?:a*)*b",
    r"((a|b)+)*c",
    r"(?:a{1,999})+b",
    r"(a+)?(?:b+){2,}",
    r"(a)\1+",
    r"(?<x>a\g<x>?b)",
    "(" * 99,
    "a" * 20_000,
]
KNOWN = [
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"(?:\r?\n)+(?!\r?\n)",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\)\(\[\]+|(?#(a+)+)x",
]


@pytest.mark.parametrize("expression", ENDLESS)
def test_expressions_that_may_not_end(expression, seeds, tmp_path):
    files = seeds["tokenizer-sentencepiece"]
    step = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    refused(
        folder_of(files, tmp_path, tokenizer_json=edited(files, lambda data: data.update(pre_tokenizer=step))),
        "E-TOKENIZER-KIND",
    )


@pytest.mark.parametrize("expression", KNOWN)
def test_expressions_in_use(expression):
    check_patterns({"type": "Split", "pattern": {"Regex": expression}})


def test_replacements_that_multiply(seeds, tmp_path):
    """Five steps of 64 characters would make a gigabyte of one."""
    files = seeds["tokenizer-sentencepiece"]
    steps = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 64}] * 5
    change = edited(files, lambda data: data["normalizer"]["normalizers"].extend(steps))
    refused(folder_of(files, tmp_path, tokenizer_json=change), "E-TOKENIZER-KIND")
    check_patterns({"type": "Replace", "pattern": {"String": " "}, "content": "▁▁▁▁"})


@pytest.mark.parametrize(
    "setting", [{"end_of_word_suffix": "a" * 300}, {"dropout": 0.1}, {"continuing_subword_prefix": "##"}]
)
def test_settings_of_other_vocabularies(setting, seeds, tmp_path):
    """A suffix moved offsets beyond the text's end; dropout would cut the same text otherwise each time."""
    files = seeds["tokenizer-sentencepiece"]
    change = edited(files, lambda data: data["model"].update(setting))
    refused(folder_of(files, tmp_path, tokenizer_json=change), "E-TOKENIZER-KIND")


def test_bytes_as_characters_again_and_again(seeds, tmp_path):
    """Each time a character that is not ASCII becomes two."""
    files = seeds["tokenizer-sentencepiece"]
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    for steps in ([step] * 7, [{"type": "Digits", "individual_digits": True}] * 65):
        whole = {"type": "Sequence", "pretokenizers": steps}
        change = edited(files, lambda data, whole=whole: data.update(pre_tokenizer=whole))
        refused(folder_of(files, tmp_path, tokenizer_json=change), "E-TOKENIZER-KIND")


def test_a_panic_of_the_library_is_an_error(seeds, tmp_path):
    """`a*a*…b` is no repetition of a repetition, yet Oniguruma gives up on it, and the library with it."""
    files = seeds["tokenizer-sentencepiece"]
    step = {"type": "Split", "pattern": {"Regex": "a*" * 30 + "$"}, "behavior": "Isolated", "invert": False}
    path = folder_of(
        files, tmp_path, tokenizer_json=edited(files, lambda data: data.update(normalizer=None, pre_tokenizer=step))
    )
    assert "retry-limit" in refused(path, text="a" * 200 + "!")


def test_lone_surrogates_are_still_the_texts_fault(seeds, tmp_path):
    path = folder_of(seeds["tokenizer-sentencepiece"], tmp_path)
    with pytest.raises(InputError, match="lone surrogate"):
        Tokenizer.from_folder(path).encode("a\ud800")


METADATA = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "▁", "a", "b", "ab"],
    "tokenizer.ggml.scores": np.array([0, 0, 0, -1, -2, -3, -4], np.float32),
    "tokenizer.ggml.token_type": np.array([2, 3, 3, 1, 1, 1, 1], np.int32),
    "tokenizer.ggml.unknown_token_id": 0,
}
LIST = np.array([1, 2, 3])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, LIST) for key in ("model", "pre", "add_bos_token", "scores")),
        *((key, LIST) for key in ("add_space_prefix", "remove_extra_whitespaces")),
        ("bos_token_id", np.arange(5000)),
        ("model", "x" * 99_999),
        ("add_bos_token", "yes"),
        ("token_type", np.array([2, 3, 3, 1, 1, 1, np.nan], np.float32)),
        ("token_type", np.array([2, 3, 3, 1, 1, 1, np.inf], np.float32)),
        ("token_type", "abc"),
        ("scores", np.array([0, 0, 0, -1, np.nan, -3, -4], np.float32)),
        ("scores", np.array([0, 0, 0, -1, -np.inf, -3, -4], np.float32)),
        ("scores", 5),
        ("precompiled_charsmap", np.array([1, 2, 3], np.uint8)),
        ("precompiled_charsmap", 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["llama", "t5", "gpt2"])
def test_metadata_of_other_types(model, key, value):
    found = {**METADATA, "tokenizer.ggml.model": model, "tokenizer.ggml.merges": []}
    found[f"tokenizer.ggml.{key}"] = value
    without_use = {"gpt2": ("scores", "add_space_prefix", "remove_extra_whitespaces", "precompiled_charsmap")}
    if key in without_use.get(model, ("pre",)):
        Tokenizer.from_gguf(found).encode("ab c")
        return
    with pytest.raises(PunaError) as caught:
        Tokenizer.from_gguf(found).encode("ab c")
    assert caught.value.code in ("E-TOKENIZER-DAMAGED", "E-TOKENIZER-KIND")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_an_empty_charsmap_normalises_nothing():
    for value in (b"", [], np.array([], np.uint8)):
        Tokenizer.from_gguf({**METADATA, "tokenizer.ggml.precompiled_charsmap": value})


@pytest.mark.parametrize(
    "link", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"]
)
def test_links_that_lead_out(link, seeds, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (tmp_path / "model").mkdir()
    path = folder_of(seeds["tokenizer-sentencepiece"], tmp_path / "model")
    for target in (secret, "loop", tmp_path / "model"):
        (path / link).unlink()
        (path / link).symlink_to(link if target == "loop" else target)
        with pytest.raises(ModelFileError) as caught:
            Tokenizer.from_folder(path)
        assert caught.value.code == "E-FOLDER-OUTSIDE" or target == "loop"


def test_links_of_a_hub_s_cache(seeds, tmp_path):
    """`snapshots/REVISION/NAME` links to `blobs/DIGEST`, which is one folder to whoever pulls."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for n, (name, content) in enumerate(seeds["tokenizer-sentencepiece"].items()):
        (blobs / str(n)).write_bytes(content)
        (snapshot / name).symlink_to(f"../../blobs/{n}")
    assert Tokenizer.from_folder(snapshot).encode("the cat")


def test_what_is_shown_of_a_file_is_one_short_line():
    draw = random.Random(1)
    for _ in range(300):
        value = draw.choice(
            [
                10 ** draw.randrange(6000),
                -(10**5000),
                "\x1b[2J\n\u202e" * draw.randrange(99),
                [[1] * 9] * 99,
                None,
                1e300,
                object(),
            ]
        )
        said = shown(value)
        assert said.isprintable()
        assert len(said) <= 80 * 10  # an escape has up to ten characters

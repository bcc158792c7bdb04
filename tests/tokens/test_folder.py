"""Folders in Hugging Face's layout, against Transformers reading the same folder."""

import json

import pytest
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Core

from puna.errors import ModelFileError
from puna.tokens.tokenizer import Tokenizer
from tests.tokens.conftest import BATTERY, mixed_texts
from tests.tokens.vocabularies import train_byte_level, train_sentence_piece, write_folder

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_TEMPLATE = (
    "{% for message in messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA2_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
CHATS = [
    [{"role": "user", "content": "the cat?"}],
    [{"role": "user", "content": "  spaces \n"}, {"role": "assistant", "content": "\tok "}],
    [
        {"role": "user", "content": "中文 12"},
        {"role": "assistant", "content": "你好！"},
        {"role": "user", "content": "don't"},
    ],
]


def transformers_reads(path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(path))


def check_like_transformers(path, avoiding=()):
    ours, theirs = Tokenizer.from_folder(path), transformers_reads(path)
    for text in [*BATTERY, *mixed_texts(300, seed=8)]:
        if any(spelling in text for spelling in avoiding):
            continue
        plain = theirs(text, split_special_tokens=True, add_special_tokens=False)["input_ids"]
        assert ours.encode(text) == plain, text
        assert ours.encode_prompt(text) == theirs(text, split_special_tokens=True)["input_ids"], text
        ids, offsets = ours.encode_with_offsets(text)
        assert ids == plain
        assert not text or (offsets[0][0] == 0 and offsets[-1][1] == len(text))
    if ours.template is not None:
        for messages in CHATS:
            for start in (False, True):
                expected = theirs.apply_chat_template(messages, tokenize=True, add_generation_prompt=start)
                assert ours.encode_chat(messages, start) == expected["input_ids"], messages
                assert ours.encode_chat_with_offsets(messages, start)[0] == expected["input_ids"]
    return ours


def llama3(path, **config):
    core = train_byte_level(LLAMA3, specials=(), whole_words=True)
    core.add_special_tokens(
        [
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
        ]
    )
    first = core.token_to_id("<|begin_of_text|>")
    core.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", first)]
            ),
        ]
    )
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "chat_template": LLAMA3_TEMPLATE,
        **config,
    }
    return write_folder(
        path,
        core,
        tokenizer_config=settings,
        generation_config={"bos_token_id": first, "eos_token_id": [first + 1, first + 4, first + 5]},
    ), first


def test_a_folder_like_llama_3(tmp_path):
    path, first = llama3(tmp_path)
    ours = check_like_transformers(path)
    assert ours.bos_id == first
    assert ours.eos_ids == {first + 1, first + 4, first + 5}
    assert ours.end_id == first + 5
    assert ours.special_ids == set(range(first, first + 6))
    assert ours.encode_prompt("a")[0] == first
    chat = ours.encode_chat(CHATS[0])
    assert chat.count(first) == 1  # the template writes BOS, and nobody writes it again


def test_bos_can_be_switched_off(tmp_path):
    path, first = llama3(tmp_path, add_bos_token=False)
    assert first not in Tokenizer.from_folder(path).encode_prompt("a")


def sentence_piece_folder(path, kind, byte_fallback=True, **config):
    """Write a SentencePiece vocabulary as tokenizer.json in one of the three styles in use."""
    from transformers.tokenization_utils_base import generate_merges

    processor = train_sentence_piece(byte_fallback=byte_fallback)
    vocab = {processor.IdToPiece(i): i for i in range(len(processor))}
    scores = {processor.IdToPiece(i): processor.GetScore(i) for i in range(len(processor))}
    special = (processor.IsControl, processor.IsUnknown, processor.IsByte)
    ordinary = {piece: i for piece, i in vocab.items() if not any(test(i) for test in special)}
    merges = generate_merges(ordinary, scores)
    core = Core(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=byte_fallback)
    )
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if kind == "legacy":
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind, split=False)
    core.decoder = decoders.Sequence(steps if kind == "never" else [*steps, decoders.Strip(" ", 1, 0)])
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<unk>", "<s>", "</s>")])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    settings |= {"unk_token": "<unk>", "chat_template": LLAMA2_TEMPLATE, **config}
    return write_folder(path, core, tokenizer_config=settings, config={"eos_token_id": 2}), processor


@pytest.mark.parametrize("kind", ["legacy", "first", "always", "never"])
@pytest.mark.parametrize("byte_fallback", [True, False])
def test_a_folder_like_llama_2(tmp_path, kind, byte_fallback):
    path, processor = sentence_piece_folder(tmp_path, kind, byte_fallback)
    ours = check_like_transformers(path)
    theirs = transformers_reads(path)
    assert (ours.bos_id, ours.eos_ids, ours.end_id, ours.special_ids) == (1, {2}, 2, {0, 1, 2})
    if kind == "legacy":
        for text in BATTERY:
            assert ours.encode(text) == processor.encode(text)
    for text in BATTERY:
        ids = ours.encode(text)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    assert 1 not in ours.encode("<s>")


def test_controls_that_swallow_white_space(tmp_path):
    core = train_byte_level(LLAMA3, specials=())
    core.add_special_tokens(
        [
            AddedToken("<|user|>", rstrip=True),
            AddedToken("<|end|>", lstrip=True, rstrip=True),
            AddedToken("<|assistant|>"),
        ]
    )
    template = (
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + ' <|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    )
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "chat_template": template}
    path = write_folder(tmp_path, core, tokenizer_config=settings)
    ours = check_like_transformers(path)
    assert ours.end_id == ours.encode_chat([], True)[0] - 1
    _, spans = ours.encode_chat_with_offsets(CHATS[1])
    covered = ["".join(CHATS[1][i]["content"][a:b] for i, a, b in filter(None, spans) if i == n) for n in range(2)]
    assert covered == ["spaces", "\tok"]  # only two of the three swallow


def test_a_folder_like_qwen_2(tmp_path):
    core = train_byte_level(LLAMA3.replace("{1,3}", ""), specials=(), normalizer=normalizers.NFC())
    core.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    core.add_tokens([AddedToken("<tool_call>", normalized=False)])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": "<|im_end|>"}
    path = write_folder(tmp_path, core, tokenizer_config=config, config={"bos_token_id": 600, "eos_token_id": 600})
    size = core.get_vocab_size()
    (path / "config.json").write_text(json.dumps({"bos_token_id": size - 4, "eos_token_id": size - 2}))
    ours = check_like_transformers(path)
    assert ours.bos_id is None
    assert ours.encode("a<tool_call>b")[1] == size - 1
    assert ours.end_id == size - 2
    assert ours.template is None


@pytest.mark.parametrize("where", ["jinja", "json", "list"])
def test_the_template_is_found(tmp_path, where):
    path, _ = llama3(tmp_path, chat_template=None)
    if where == "jinja":
        (path / "chat_template.jinja").write_text(LLAMA3_TEMPLATE)
        (path / "tokenizer_config.json").write_text(
            json.dumps({**json.loads((path / "tokenizer_config.json").read_text()), "chat_template": "wrong"})
        )
    elif where == "json":
        (path / "chat_template.json").write_text(json.dumps({"chat_template": LLAMA3_TEMPLATE}))
    else:
        several = [{"name": "tool", "template": "x"}, {"name": "default", "template": LLAMA3_TEMPLATE}]
        llama3(tmp_path, chat_template=several)
    if where != "json":  # which Transformers reads for processors only
        check_like_transformers(path)
    assert Tokenizer.from_folder(path).template.source == LLAMA3_TEMPLATE


def test_special_tokens_map_and_unflagged_ends(tmp_path):
    core = train_byte_level(LLAMA3, specials=("<go>", "<stop>"))
    data = json.loads(core.to_str())
    data["added_tokens"] = []  # they are left in the vocabulary only
    path = write_folder(tmp_path, json.dumps(data), special_tokens_map={"bos_token": {"content": "<go>"}})
    (path / "generation_config.json").write_text('{"eos_token_id": 1}')
    ours = Tokenizer.from_folder(path)
    assert (ours.bos_id, ours.eos_ids, ours.special_ids) == (0, {1}, {0, 1})
    assert ours.special_ids.isdisjoint(ours.encode("<go><stop>"))


def test_a_unigram_vocabulary(tmp_path):
    processor = train_sentence_piece(model_type="unigram", vocab_size=500, byte_fallback=True)
    pieces = [(processor.IdToPiece(i), processor.GetScore(i)) for i in range(len(processor))]
    core = Core(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<unk>", "<s>", "</s>")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>"}
    path = write_folder(tmp_path, core, tokenizer_config=settings)
    # Here Transformers makes control tokens of their spellings even when told not to.
    ours = check_like_transformers(path, avoiding=("<s>", "</s>", "<unk>"))
    assert {1, 2}.isdisjoint(ours.encode("<s></s>"))


def broken(path, name, content):
    llama3(path)
    (path / name).write_text(content) if content is not None else (path / name).unlink()
    return path


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("tokenizer.json", None, "E-TOKENIZER-MISSING"),
        ("tokenizer.json", "{", "E-TOKENIZER-DAMAGED"),
        ("tokenizer.json", "[]", "E-TOKENIZER-DAMAGED"),
        ("tokenizer.json", "{}", "E-TOKENIZER-DAMAGED"),
        ("tokenizer.json", '{"model": 3}', "E-TOKENIZER-DAMAGED"),
        ("tokenizer.json", '{"model": {"type": "WordPiece", "vocab": {}}}', "E-TOKENIZER-KIND"),
        (
            "tokenizer.json",
            '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}',
            "E-TOKENIZER-DAMAGED",
        ),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": "0"}, "merges": []}}', "E-TOKENIZER-DAMAGED"),
        (
            "tokenizer.json",
            '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}',
            "E-TOKENIZER-DAMAGED",
        ),
        ("tokenizer.json", "[" * 100_000, "E-TOKENIZER-DAMAGED"),
        ("tokenizer_config.json", "nonsense", "E-TOKENIZER-DAMAGED"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {}}}', "E-TOKENIZER-DAMAGED"),
        ("generation_config.json", '{"eos_token_id": [10000000]}', "E-TOKENIZER-DAMAGED"),
        ("generation_config.json", '{"eos_token_id": "2"}', "E-TOKENIZER-DAMAGED"),
        ("config.json", '{"eos_token_id": -1}', "E-TOKENIZER-DAMAGED"),
    ],
)
def test_faults_are_named(tmp_path, name, content, code):
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_folder(broken(tmp_path, name, content))
    assert caught.value.code == code
    assert "\n" not in str(caught.value)

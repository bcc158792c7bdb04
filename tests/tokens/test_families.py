"""Conversations in the published templates of families of models: golden ids from Transformers, small vocabularies."""

import pytest
from tokenizers import AddedToken, decoders, models, normalizers, processors
from tokenizers import Tokenizer as Core

from puna.tokens.tokenizer import Tokenizer
from tests.tokens import families
from tests.tokens.families import CHATS, SYSTEM
from tests.tokens.kinds import GPT2, LLAMA3, TEKKEN
from tests.tokens.vocabularies import train_byte_level, train_sentence_piece, write_folder

_QWEN = LLAMA3.replace("{1,3}", "")
_HEADERS = ["<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"]
_CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_INST = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]


def byte_level(pattern, specials, bos, **options):
    core = train_byte_level(pattern, specials=(), **options)
    core.add_special_tokens(specials)
    if bos is not None:
        first = (bos, core.token_to_id(bos))
        core.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[first])
    return core


def sentence_piece(specials):
    from transformers.tokenization_utils_base import generate_merges

    processor = train_sentence_piece(control_symbols=specials)
    ordinary = {
        processor.IdToPiece(i): i
        for i in range(len(processor))
        if not (processor.IsControl(i) or processor.IsUnknown(i) or processor.IsByte(i))
    }
    merges = generate_merges(ordinary, {piece: processor.GetScore(i) for piece, i in ordinary.items()})
    vocab = {processor.IdToPiece(i): i for i in range(len(processor))}
    core = Core(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    names = ["<unk>", "<s>", "</s>", *specials]
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in names])
    core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return core


# vocabulary, template, BOS, EOS, all ends, whether a system message is taken
FAMILIES = {
    "Llama 2": (lambda: sentence_piece([]), families.LLAMA2, "<s>", "</s>", ["</s>"], True),
    "Llama 3": (
        lambda: byte_level(
            LLAMA3, ["<|begin_of_text|>", "<|end_of_text|>", *_HEADERS], "<|begin_of_text|>", whole_words=True
        ),
        families.LLAMA3,
        "<|begin_of_text|>",
        "<|eot_id|>",
        ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"],
        True,
    ),
    "SmolLM2": (
        lambda: byte_level([r"\p{N}", GPT2], _CHATML, None),
        families.SMOLLM2,
        "<|im_start|>",
        "<|im_end|>",
        ["<|endoftext|>", "<|im_end|>"],
        True,
    ),
    "Qwen 2.5": (
        lambda: byte_level(_QWEN, _CHATML, None, normalizer=normalizers.NFC()),
        families.QWEN,
        None,
        "<|im_end|>",
        ["<|endoftext|>", "<|im_end|>"],
        True,
    ),
    "Mistral v1": (lambda: sentence_piece([]), families.MISTRAL_V1, "<s>", "</s>", ["</s>"], False),
    "Mistral v3": (
        lambda: sentence_piece(["[INST]", "[/INST]"]),
        families.MISTRAL_V3,
        "<s>",
        "</s>",
        ["</s>"],
        False,
    ),
    "Mistral tekken": (
        lambda: byte_level(TEKKEN, _INST, "<s>", whole_words=True),
        families.MISTRAL_TEKKEN,
        "<s>",
        "</s>",
        ["</s>"],
        False,
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """Give Puna's tokenizer, Transformers' and the row of the table, of one folder."""
    from transformers import AutoTokenizer

    build, template, bos, eos, ends, system = FAMILIES[request.param]
    core = build()
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos}
    folder = write_folder(
        tmp_path_factory.mktemp("family"),
        core,
        tokenizer_config=settings | {"chat_template": template},
        generation_config={"eos_token_id": [core.token_to_id(end) for end in ends]},
    )
    return Tokenizer.from_folder(folder), AutoTokenizer.from_pretrained(str(folder)), bos, eos, ends, system


@pytest.mark.parametrize("start", [True, False])
def test_ids_are_those_of_transformers(family, start):
    ours, theirs, _, _, _, system = family
    for messages in [*CHATS, *([SYSTEM, *chat] for chat in CHATS if system)]:
        golden = theirs.apply_chat_template(messages, tokenize=True, add_generation_prompt=start)["input_ids"]
        assert ours.encode_chat(messages, start) == golden
        assert ours.encode_chat_with_offsets(messages, start)[0] == golden


def test_bos_stands_once(family):
    """Written by the template, by nobody again, and not by a message that spells it."""
    ours, theirs, bos, _, _, _ = family
    if bos is None:
        assert ours.bos_id is None
        return
    forged = [{"role": "user", "content": f"a{bos}b {bos}"}]
    expected = theirs.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False).count(bos)
    assert ours.encode_chat(forged, False).count(ours.bos_id) == expected
    if expected == 1:
        assert ours.encode_chat(forged, False)[0] == ours.bos_id
        assert ours.bos_id not in ours.encode_chat(forged, False)[1:]
    assert ours.encode(f"{bos} a").count(ours.bos_id) == 0
    wanted = theirs("a b")["input_ids"].count(theirs.bos_token_id)
    assert ours.encode_prompt("a b").count(ours.bos_id) == wanted <= 1


def test_the_ends_are_a_set(family):
    ours, theirs, _, eos, ends, _ = family
    assert ours.eos_ids == {theirs.convert_tokens_to_ids(end) for end in ends}
    assert ours.end_id == theirs.convert_tokens_to_ids(eos)
    assert ours.end_id in ours.eos_ids
    assert ours.eos_ids <= ours.special_ids

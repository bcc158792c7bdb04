"""Small vocabularies, trained on the spot and written as GGUF metadata or as Hugging Face files."""

import io
import json

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.tokens.conftest import BATTERY, mixed_texts

CORPUS = [text for text in BATTERY * 3 + mixed_texts(600, seed=7) if text.strip()] + [
    "the cat sat on the mat 2024 times, then 100 more; don't you think it's 12345?",
    "中文的句子，中文的词语。日本語の文章",
] * 20
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def train_byte_level(pattern, specials=("<|bos|>", "<|eos|>"), normalizer=None, size=600, whole_words=False):
    """Train byte-level BPE with tokenizers' own trainer; the pattern cuts words, or none does."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    steps = [
        pre_tokenizers.Split(Regex(p), "isolated") for p in ([pattern] if isinstance(pattern, str) else pattern)
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[AddedToken(text, special=True) for text in specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level_metadata(tokenizer, pre, **more):
    """Write a trained tokenizer as a GGUF file would hold it."""
    data = json.loads(tokenizer.to_str())
    ids = data["model"]["vocab"]
    tokens = sorted(ids, key=ids.get)
    specials = {token["content"] for token in data["added_tokens"] if token["special"]}
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if token in specials else NORMAL for token in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in data["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
    }
    if pre is not None:
        metadata["tokenizer.ggml.pre"] = pre
    return metadata | {f"tokenizer.{key}": value for key, value in more.items()}


def train_sentence_piece(**options):
    """Train SentencePiece BPE with the options of Llama's, changed by `options`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text for text in CORPUS if "\n" not in text),
        model_writer=model,
        minloglevel=2,
        **{
            "model_type": "bpe",
            "vocab_size": 700,
            "character_coverage": 0.98,
            "byte_fallback": True,
            "split_digits": True,
            "allow_whitespace_only_pieces": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            **options,
        },
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sentence_piece_metadata(processor, **more):
    """Write a SentencePiece model as a GGUF file would hold it."""
    types = []
    for i in range(len(processor)):
        if processor.IsUnknown(i):
            types.append(UNKNOWN)
        elif processor.IsControl(i):
            types.append(CONTROL)
        elif processor.IsByte(i):
            types.append(BYTE)
        elif processor.IsUnused(i):
            types.append(UNUSED)
        else:
            types.append(USER_DEFINED if processor.IdToPiece(i).startswith("[U") else NORMAL)
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [processor.IdToPiece(i) for i in range(len(processor))],
        "tokenizer.ggml.scores": [processor.GetScore(i) for i in range(len(processor))],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": processor.bos_id(),
        "tokenizer.ggml.eos_token_id": processor.eos_id(),
        "tokenizer.ggml.unknown_token_id": processor.unk_id(),
    } | {f"tokenizer.{key}": value for key, value in more.items()}


def write_folder(path, tokenizer, **files):
    """Write tokenizer.json and the named settings files (name without .json -> content)."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.json").write_text(tokenizer if isinstance(tokenizer, str) else tokenizer.to_str(), "utf-8")
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return path


NFC = normalizers.NFC

"""SentencePiece's own file, `tokenizer.model`, as Llama 1 and 2 and Mistral have it.

Given as the GGUF metadata of the same vocabulary, which is how converters write it. The fields are those of
sentencepiece_model.proto.
"""

from math import isnan
from typing import Any, NamedTuple

from puna.tokens.gguf_vocab import BYTE, CONTROL, NORMAL, UNKNOWN
from puna.tokens.protobuf import BYTES, FIXED32, VARINT, as_float, fields
from puna.tokens.refuse import damaged, other_kind

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # of the model
_TEXT, _SCORE, _TYPE = 1, 2, 3  # of a piece
_MODEL_TYPE, _SUFFIX, _BOS, _EOS = 3, 24, 46, 47  # of the trainer's settings
_CHARSMAP, _DUMMY_PREFIX, _EXTRA_SPACES, _ESCAPE = 2, 3, 4, 5  # of the normaliser's
_MODELS = {1: "t5", 2: "llama"}  # unigram and BPE, by their names in GGUF
_OTHERS = {3: "words", 4: "characters"}
_MOST = 1 << 19  # pieces; Gemma's file, the largest in use, has 262 thousand


class _Piece(NamedTuple):
    text: str
    score: float
    kind: int


def sentencepiece_metadata(content: bytes) -> dict[str, Any]:
    """Read a SentencePiece model. Raises ModelFileError if it is damaged or of a kind that Puna does not compute."""
    pieces: list[_Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    try:
        for number, kind, value in fields(content):
            if kind != BYTES or not isinstance(value, bytes):
                continue
            if number == _PIECES:
                pieces.append(_piece(value))
                if len(pieces) > _MOST:
                    raise ValueError(f"more than {_MOST} pieces")
            elif number in (_TRAINER, _NORMALIZER):
                settings = trainer if number == _TRAINER else normalizer
                settings |= {field: found for field, _, found in fields(value)}
        begin, end = (_text(trainer.get(number), name) for number, name in ((_BOS, "<s>"), (_EOS, "</s>")))
    except ValueError as error:
        raise damaged(f"tokenizer.model: {error}") from None
    if not pieces:
        raise damaged("tokenizer.model: it has no pieces")
    model = trainer.get(_MODEL_TYPE, 1)
    if model not in _MODELS:
        kind_name = _OTHERS.get(model if isinstance(model, int) else 0, "an unknown kind")
        raise other_kind(f"SentencePiece model of {kind_name}")
    if trainer.get(_SUFFIX) or normalizer.get(_ESCAPE, 1) != 1:
        raise other_kind("SentencePiece with spaces at the end of words, or as they are")
    controls = {piece.text: i for i, piece in enumerate(pieces) if piece.kind == CONTROL}
    unknowns = [i for i, piece in enumerate(pieces) if piece.kind == UNKNOWN]
    named = {"bos": controls.get(begin), "eos": controls.get(end), "unknown": unknowns[0] if unknowns else None}
    return {
        "tokenizer.ggml.model": _MODELS[model],
        "tokenizer.ggml.tokens": [piece.text for piece in pieces],
        "tokenizer.ggml.scores": [piece.score for piece in pieces],
        "tokenizer.ggml.token_type": [piece.kind for piece in pieces],
        "tokenizer.ggml.add_bos_token": named["bos"] is not None,
        "tokenizer.ggml.add_space_prefix": normalizer.get(_DUMMY_PREFIX, 1) == 1,
        "tokenizer.ggml.remove_extra_whitespaces": normalizer.get(_EXTRA_SPACES, 1) == 1,
        "tokenizer.ggml.precompiled_charsmap": normalizer.get(_CHARSMAP, b""),
        **{f"tokenizer.ggml.{name}_token_id": i for name, i in named.items() if i is not None},
    }


def _piece(message: bytes) -> _Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, wire, value in fields(message):
        if number == _TEXT and wire == BYTES:
            text = _text(value, "")
        elif number == _SCORE and wire == FIXED32 and isinstance(value, bytes):
            score = as_float(value)
        elif number == _TYPE and wire == VARINT and isinstance(value, int):
            kind = value
    if not text or isnan(score):
        raise ValueError("a piece has no text, or a score that is no number")
    if not NORMAL <= kind <= BYTE:
        raise ValueError(f"a piece of kind {kind}")
    return _Piece(text, score, kind)


def _text(value: int | bytes | None, otherwise: str) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else otherwise

"""A vocabulary of a Hugging Face folder in the keys of a GGUF file."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from puna.errors import ModelFileError
from puna.tokens.folder_vocab import Folder
from puna.tokens.gguf_vocab import (
    BYTE,
    CONTROL,
    GPT2_WORDS,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    pairs_by_score,
    splitting_name,
)
from puna.tokens.vocabulary import WELL_KNOWN_ENDS, Vocabulary


def gguf_keys(folder: Folder, rows: int) -> dict[str, object]:
    """Give the keys `tokenizer.*` for a model whose embedding has so many rows.

    Rows without a token get a name of their own and are never chosen. Raises ModelFileError for a tokenizer that no GGUF
    file can hold as it is, and for one with more tokens than rows.
    """
    vocabulary = folder.vocabulary
    if len(vocabulary.pieces) > rows:
        raise _unfit(f"{len(vocabulary.pieces)} tokens, and an embedding of {rows} rows")
    if tuple(folder.prompt_ids) not in ((), (folder.bos_id,)):
        raise _unfit(f"{len(folder.prompt_ids)} tokens before every text")
    data: dict[str, Any] = json.loads(vocabulary.core.to_str())
    if data["model"]["type"] != "BPE":
        raise _unfit(f"a model of type {data['model']['type']}")
    kinds = _kinds(vocabulary, data["model"], rows)
    pieces = [
        piece if kinds[i] != UNUSED else f"[PAD{i}]"
        for i, piece in enumerate([*vocabulary.pieces, *[""] * (rows - len(vocabulary.pieces))])
    ]
    merges = [tuple(merge) for merge in data["model"]["merges"]]
    keys: dict[str, object] = {"tokenizer.ggml.tokens": pieces, "tokenizer.ggml.token_type": kinds}
    if not merges:
        raise _unfit("no merges, without which llama.cpp opens no file")
    if vocabulary.byte_level:
        keys |= {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": _splitting(data),
            "tokenizer.ggml.merges": [" ".join(merge) for merge in merges],
        }
    else:
        _check_sentence_piece(data, pieces)
        keys |= {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.scores": _scores(pieces, kinds, merges),
            "tokenizer.ggml.add_space_prefix": vocabulary.prefix != "none",
        }
    keys |= _ids(folder, data["model"])
    keys["tokenizer.ggml.add_bos_token"] = bool(folder.prompt_ids)
    if folder.template is not None:
        keys["tokenizer.chat_template"] = folder.template
    return keys


def nearly(vocabulary: Vocabulary) -> bool:
    """Tell whether a GGUF file cannot say where exactly the dummy space goes.

    There it stands before every stretch of text between control tokens, in front of a space as well.
    """
    return vocabulary.prefix == "first" or (vocabulary.prefix != "none" and not vocabulary.doubles)


def _kinds(vocabulary: Vocabulary, model: Mapping[str, Any], rows: int) -> np.ndarray:
    kinds = np.full(rows, NORMAL, np.int32)
    kinds[len(vocabulary.pieces) :] = UNUSED
    controls = {control.id for control in vocabulary.controls.values()}
    for i, piece in enumerate(vocabulary.pieces):
        if i in controls:
            kinds[i] = CONTROL
        elif piece == "":
            kinds[i] = UNUSED
        elif i in vocabulary.verbatim:
            kinds[i] = USER_DEFINED
        elif model.get("byte_fallback") and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            kinds[i] = BYTE
    unknown = _unknown(model)
    if unknown is not None and not vocabulary.byte_level:
        kinds[unknown] = UNKNOWN
    return kinds


def _unknown(model: Mapping[str, Any]) -> int | None:
    found = model["vocab"].get(model.get("unk_token"))
    return found if isinstance(found, int) else None


def _ids(folder: Folder, model: Mapping[str, Any]) -> dict[str, object]:
    """Give the ids that begin and end a text: GGUF has one name each for the ends of text, of turn and of message."""
    ids: dict[str, object] = {} if folder.bos_id is None else {"bos": folder.bos_id}
    # Who reads the file knows the others by their spelling.
    others = [end for end in folder.eos_ids[1:] if folder.vocabulary.pieces[end] not in WELL_KNOWN_ENDS]
    if len(others) > 2:
        raise _unfit(f"{len(others) + 1} tokens that end an answer")
    ids |= dict(zip(("eos", "eot", "eom"), [*folder.eos_ids[:1], *others], strict=False))
    unknown = _unknown(model)
    if unknown is not None and not folder.vocabulary.byte_level:
        ids["unknown"] = unknown
    return {f"tokenizer.ggml.{name}_token_id": i for name, i in ids.items()}


def _splitting(data: Mapping[str, Any]) -> str:
    """Give llama.cpp's name for how text is cut before merging."""
    normalizer = data["normalizer"]
    if normalizer not in (None, {"type": "NFC"}):
        raise _unfit(f"a normaliser of type {normalizer['type']}")
    before = data["pre_tokenizer"] or {"type": "none"}
    steps = before["pretokenizers"] if before["type"] == "Sequence" else [before]
    patterns: list[str] = []
    for step in steps:
        kind = step["type"]
        if kind == "Split" and step["behavior"] == "Isolated" and "Regex" in step["pattern"]:
            patterns.append(step["pattern"]["Regex"])
        elif kind == "Digits":
            patterns.append(r"\p{N}" if step["individual_digits"] else r"\p{N}+")
        elif kind == "ByteLevel" and not step["add_prefix_space"]:
            patterns += [GPT2_WORDS] if step["use_regex"] else []
        else:
            raise _unfit(f"a pre-tokenizer of type {kind}")
    name = splitting_name(tuple(patterns), bool(data["model"]["ignore_merges"]), normalizer is not None)
    if name is None:
        raise _unfit("a way of cutting words that llama.cpp has no name for")
    return name


def _check_sentence_piece(data: Mapping[str, Any], pieces: Sequence[str]) -> None:
    """Raise for a vocabulary that does more than write spaces as U+2581."""
    normalizer, before = data["normalizer"], data["pre_tokenizer"]
    steps = normalizer["normalizers"] if normalizer and normalizer["type"] == "Sequence" else [normalizer]
    replaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    if before is None:
        plain = [step for step in steps if step] == [replaces]
    else:
        inside = before.get("split", True) and any("▁" in piece[1:] for piece in pieces)
        plain = not any(steps) and before["type"] == "Metaspace" and not inside
    if not plain or not data["model"]["byte_fallback"]:
        raise _unfit("SentencePiece with text normalisation, or without bytes")


def _scores(pieces: Sequence[str], kinds: np.ndarray, merges: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Give scores under which the best pair is the one that is merged first: a piece's is when it is first made."""
    special = {i: int(kind) for i, kind in enumerate(kinds) if kind != NORMAL}
    ids = {piece: i for i, piece in enumerate(pieces) if i not in special}
    known = [merge for merge in merges if ids.keys() >= {*merge, "".join(merge)}]
    order = {piece: rank for rank, piece in enumerate(dict.fromkeys(map("".join, known)))}
    scores = np.array([-float(order.get(piece, len(order))) for piece in pieces], np.float32)
    if _groups(pairs_by_score(pieces, special, scores)) != _groups(known):
        raise _unfit("merges that no scores of pieces can say")
    return scores


def _groups(merges: Sequence[tuple[str, ...]]) -> list[tuple[str, frozenset[tuple[str, ...]]]]:
    """Give, in order, each piece with the pairs that it is made of."""
    return [(piece, frozenset(group)) for piece, group in groupby(merges, key="".join)]


def _unfit(what: str) -> ModelFileError:
    return ModelFileError("E-EXPORT-TOKENIZER", what=what)

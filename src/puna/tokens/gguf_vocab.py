"""Vocabularies as GGUF files keep them: byte-level BPE ("gpt2"), SentencePiece BPE ("llama") and unigram ("t5").

The splitting patterns are the published ones of the tokenizers named; the names are llama.cpp's.
"""

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from puna.tokens.merges import merges_in_order, spelled
from puna.tokens.refuse import damaged, library, other_kind
from puna.tokens.vocabulary import BYTE_OF, Control, Vocabulary, hidden_name, looks_like_control, may_be_control

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_NAMES = ("bos", "eos", "eot", "eom", "unknown")

GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class _Splitting(NamedTuple):
    """How text is cut before merging: patterns one after another, each match and each gap a piece."""

    patterns: tuple[str, ...]
    whole_words: bool = False  # a word that is a token is taken whole, merges or not (`ignore_merges`)
    nfc: bool = False
    adds_bos: bool = False


_SPLITTINGS: dict[str, _Splitting] = {
    # llama.cpp's own fallback, used by it for files without `tokenizer.ggml.pre` too: punctuation first,
    # then GPT-2's words, then numbers, then digits by threes from the left.
    "default": _Splitting((r"[\p{P}$+<=>\^~|]+", GPT2_WORDS, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": _Splitting((GPT2_WORDS,)),
    "qwen2": _Splitting((_QWEN2,), nfc=True),
    "tekken": _Splitting((TEKKEN,), whole_words=True, adds_bos=True),
    **dict.fromkeys(("smollm", "starcoder", "refact"), _Splitting((r"\p{N}", GPT2_WORDS))),
    **dict.fromkeys(("dbrx", "smaug-bpe"), _Splitting((_LLAMA3,))),
    **dict.fromkeys(("gpt-4o", "llama4"), _Splitting((_O200K,), whole_words=True)),
    **dict.fromkeys(
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        _Splitting((_LLAMA3,), whole_words=True, adds_bos=True),
    ),
}


def vocabulary_from_gguf(metadata: Mapping[str, Any]) -> Vocabulary:
    """Build the vocabulary from the keys `tokenizer.ggml.*`.

    Raises ModelFileError for a vocabulary that is damaged or of a kind that Puna does not compute.
    """
    pieces = _strings(metadata, "tokens")
    if not pieces:
        raise damaged("it has no tokens")
    kinds = _kinds(metadata, pieces)
    model = _word(metadata, "model")
    if model == "gpt2":
        return _byte_level(metadata, pieces, kinds)
    if model in ("llama", "t5"):
        return _sentence_piece(metadata, pieces, kinds)
    raise other_kind(f"tokenizer.ggml.model = {model!r}")


def adds_bos(metadata: Mapping[str, Any]) -> bool:
    """Tell whether a raw prompt starts with BOS; a file that does not say gets llama.cpp's default."""
    splitting = _SPLITTINGS.get(_word(metadata, "pre") or "default")
    customary = _word(metadata, "model") == "llama" or (splitting is not None and splitting.adds_bos)
    return flag(metadata, "add_bos_token", customary)


def flag(metadata: Mapping[str, Any], name: str, default: bool) -> bool:
    """Read a key that is true or false; raise ModelFileError for a list, which is neither."""
    value = metadata.get(f"tokenizer.ggml.{name}")
    if value is not None and not isinstance(value, bool | int | np.bool_):
        raise damaged(f"tokenizer.ggml.{name} is neither true nor false")
    return default if value is None else bool(value)


def splitting_name(patterns: tuple[str, ...], whole_words: bool, nfc: bool) -> str | None:
    """Give llama.cpp's name for cutting text by these patterns before merging; None where it has none."""
    wanted = (patterns, whole_words, nfc)
    return next((name for name, each in _SPLITTINGS.items() if each[:3] == wanted), None)


def token_id(metadata: Mapping[str, Any], name: str, size: int) -> int | None:
    """Read `tokenizer.ggml.<name>_token_id`; raise ModelFileError if it is outside a vocabulary of `size`."""
    value = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < size:
        raise damaged(f"{name}_token_id is {value!r}, the vocabulary has {size} tokens")
    return int(value)


def _word(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(f"tokenizer.ggml.{name}")
    if value is not None and not isinstance(value, str):
        raise damaged(f"tokenizer.ggml.{name} is no text")
    return value


def _strings(metadata: Mapping[str, Any], name: str) -> Sequence[str]:
    values = metadata.get(f"tokenizer.ggml.{name}", ())
    if not isinstance(values, list | tuple) or not all(map(str.__instancecheck__, values)):
        raise damaged(f"tokenizer.ggml.{name} is not a list of strings")
    return values


def _numbers(metadata: Mapping[str, Any], name: str, size: int, kinds: str = "iuf") -> np.ndarray | None:
    values = metadata.get(f"tokenizer.ggml.{name}")
    if values is None:
        return None
    array = np.asarray(values) if isinstance(values, list | tuple | np.ndarray) else np.empty(())
    if array.shape != (size,) or array.dtype.kind not in kinds or not np.isfinite(array).all():
        raise damaged(f"tokenizer.ggml.{name} is not a list of {size} numbers")
    return array


def _kinds(metadata: Mapping[str, Any], pieces: Sequence[str]) -> dict[int, int]:
    """Give the token type of every id that is not an ordinary token."""
    types = _numbers(metadata, "token_type", len(pieces), "iu")
    kinds = {} if types is None else {int(i): int(types[i]) for i in np.flatnonzero(types != NORMAL)}
    suspects = range(len(pieces)) if types is None else kinds
    controls = [i for i in suspects if looks_like_control(pieces[i])]
    named = [token_id(metadata, name, len(pieces)) for name in _NAMES]
    controls += [i for i in named if i is not None and (i in kinds or may_be_control(pieces[i]))]
    # Without the token of a single byte, text with that byte could not be written at all.
    kinds.update({i: CONTROL for i in controls if kinds.get(i) != BYTE})
    if _word(metadata, "model") == "gpt2":
        kinds = {i: kind for i, kind in kinds.items() if pieces[i] not in BYTE_OF}
    return kinds


def _controls(pieces: Sequence[str], kinds: Mapping[int, int]) -> dict[str, Control]:
    return {
        pieces[i]: Control(i, pieces[i]) for i, kind in kinds.items() if kind in (CONTROL, UNKNOWN) and pieces[i]
    }


def _ids(pieces: Sequence[str], kinds: Mapping[int, int]) -> dict[str, int]:
    """Map spelling to id, with everything that text must not reach under a hidden name."""
    names = list(pieces)
    for i, kind in kinds.items():
        if kind in (CONTROL, UNKNOWN, UNUSED) or not names[i]:
            names[i] = hidden_name(i)
    ids = {name: i for i, name in enumerate(names)}
    if len(ids) < len(names):
        twice = next(name for i, name in enumerate(names) if ids[name] != i)
        raise damaged(f"the token {twice!r} stands in it twice")
    return ids


def _user_defined(
    core: tokenizers.Tokenizer, pieces: Sequence[str], kinds: Mapping[int, int], normalized: bool
) -> None:
    core.add_tokens(
        [
            AddedToken(pieces[i], normalized=normalized)
            for i, kind in kinds.items()
            if kind == USER_DEFINED and pieces[i]
        ]
    )


def _pairs(merges: Sequence[str], ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """Cut merges in two at their space; where the pieces hold spaces themselves, so that all three are tokens."""
    pairs = [tuple(merge.split(" ")) for merge in merges]
    for i, pair in enumerate(pairs):
        if len(pair) != 2:
            pairs[i] = _cut(merges[i], ids)
    return pairs  # type: ignore[return-value]  # every tuple has two strings now


def _cut(merge: str, ids: Mapping[str, int]) -> tuple[str, str]:
    for at, character in enumerate(merge):
        left, right = merge[:at], merge[at + 1 :]
        if character == " " and left in ids and right in ids and left + right in ids:
            return left, right
    raise damaged(f"the merge {merge[:80]!r} does not join two tokens to a third")


def bpe(ids: dict[str, int], pairs: Iterable[tuple[str, str]], hidden: Iterable[str], **options: Any) -> models.BPE:
    """Build the merging model; merges that make or use a hidden spelling are left out.

    Raises ModelFileError if a merge names a piece that is no token.
    """
    pairs = list(pairs)
    try:
        return models.BPE(vocab=ids, merges=pairs, **options)
    except Exception:  # the library raises bare Exception; ordinary files never come here
        unreachable = set(hidden).difference(ids)
        pairs = [(a, b) for a, b in pairs if unreachable.isdisjoint((a, b, a + b))]
    with library("merges"):
        return models.BPE(vocab=ids, merges=pairs, **options)


def _byte_level(metadata: Mapping[str, Any], pieces: Sequence[str], kinds: Mapping[int, int]) -> Vocabulary:
    name = _word(metadata, "pre") or "default"
    splitting = _SPLITTINGS.get(name)
    if splitting is None:
        raise other_kind(f"tokenizer.ggml.pre = {name!r}")
    ids = _ids(pieces, kinds)
    controls = _controls(pieces, kinds)
    pairs = _pairs(_strings(metadata, "merges"), ids)
    core = tokenizers.Tokenizer(bpe(ids, pairs, controls, ignore_merges=splitting.whole_words))
    if splitting.nfc:
        core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in splitting.patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    _user_defined(core, pieces, kinds, normalized=False)
    verbatim = frozenset(i for i, kind in kinds.items() if kind in (CONTROL, UNKNOWN, USER_DEFINED))
    return Vocabulary(core, pieces, controls, verbatim, byte_level=True)


def _sentence_piece(metadata: Mapping[str, Any], pieces: Sequence[str], kinds: Mapping[int, int]) -> Vocabulary:
    charsmap = metadata.get("tokenizer.ggml.precompiled_charsmap")
    normalises = charsmap is not None and not (isinstance(charsmap, Sized) and len(charsmap) == 0)
    if normalises or flag(metadata, "remove_extra_whitespaces", False):
        raise other_kind("SentencePiece with text normalisation")
    unknown = token_id(metadata, "unknown", len(pieces))
    if unknown is None or kinds.get(unknown) == BYTE:
        unknown = next((i for i, kind in kinds.items() if kind == UNKNOWN), None)
    scores = _numbers(metadata, "scores", len(pieces))
    build = _unigram if metadata["tokenizer.ggml.model"] == "t5" else _merging
    core = tokenizers.Tokenizer(build(metadata, pieces, kinds, scores, unknown))
    controls = _controls(pieces, kinds)
    core.normalizer = normalizers.Replace(" ", "▁")
    _user_defined(core, pieces, kinds, normalized=True)
    dummy = flag(metadata, "add_space_prefix", True)
    verbatim = frozenset(i for i, kind in kinds.items() if kind in (CONTROL, UNKNOWN))
    return Vocabulary(core, pieces, controls, verbatim, byte_level=False, prefix="every" if dummy else "none")


def _merging(
    metadata: Mapping[str, Any],
    pieces: Sequence[str],
    kinds: Mapping[int, int],
    scores: np.ndarray | None,
    unknown: int | None,
) -> models.BPE:
    ids = _ids(pieces, kinds)
    if "tokenizer.ggml.merges" in metadata:
        pairs = _pairs(_strings(metadata, "merges"), ids)
    elif scores is not None:
        pairs = pairs_by_score(pieces, kinds, scores)
    else:
        raise damaged("it has neither scores nor merges")
    return bpe(
        ids, pairs, _controls(pieces, kinds), byte_fallback=True, fuse_unk=True,
        unk_token=None if unknown is None else hidden_name(unknown),
    )  # fmt: skip


def _unigram(
    metadata: Mapping[str, Any],
    pieces: Sequence[str],
    kinds: Mapping[int, int],
    scores: np.ndarray | None,
    unknown: int | None,
) -> models.Unigram:
    if scores is None or unknown is None:
        raise damaged("it has no scores, or no unknown token")
    names = sorted((ids := _ids(pieces, kinds)), key=ids.__getitem__)
    in_bytes = [i for i, kind in kinds.items() if kind == BYTE]
    scores = np.array(scores, dtype=np.float64)
    # The library would take "<0x0A>" in a text for the byte: it must score below its six characters one by one.
    scores[in_bytes] = 8 * min(scores.min(), -20.0)
    with library("scores"):
        return models.Unigram(list(zip(names, scores.tolist(), strict=True)), unknown, bool(in_bytes))


def pairs_by_score(pieces: Sequence[str], kinds: Mapping[int, int], scores: np.ndarray) -> list[tuple[str, str]]:
    """Recover the merges: every way to make an ordinary piece of two, the pieces in the order of their scores."""
    ids = {piece: i for i, piece in enumerate(pieces) if i not in kinds}
    order = [pieces[i] for i in np.argsort(-scores, kind="stable").tolist() if i not in kinds]
    return spelled(merges_in_order(order, ids), pieces)

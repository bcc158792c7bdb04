"""Vocabularies of byte strings by rank: tiktoken's files, as Meta's Llama 3 and 4 have them, and Mistral's tekken.json.

A rank says which token is made first. Each file is given as the GGUF metadata of the same vocabulary, which is how
converters write it, so that there is one way to build it.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from puna.tokens.files import parse_json
from puna.tokens.gguf_vocab import CONTROL, NORMAL, TEKKEN
from puna.tokens.merges import LONGEST, merges_in_order, spelled
from puna.tokens.refuse import damaged, other_kind
from puna.tokens.vocabulary import BYTE_OF

_CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}


class _Family(NamedTuple):
    """What a tiktoken file leaves to its program: how text is cut, and the control tokens behind the ranks."""

    splitting: str
    controls: Sequence[str]
    bos: str
    ends: Mapping[str, str]


def _reserved(stem: str, first: int, count: int) -> list[str]:
    return [f"<|{stem}reserved_special_token_{i}|>" for i in range(first, first + count)]


def _llama_3() -> _Family:
    named = [
        *("<|begin_of_text|>", "<|end_of_text|>", *_reserved("", 0, 2), "<|finetune_right_pad_id|>", "<|step_id|>"),
        *("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", "<|image|>"),
    ]
    ends = {"eos": "<|end_of_text|>", "eot": "<|eot_id|>", "eom": "<|eom_id|>"}
    return _Family("llama-bpe", named + _reserved("", 2, 256 - len(named)), "<|begin_of_text|>", ends)


def _llama_4() -> _Family:
    text, vision = "text_post_train_", "vision_"
    named = [
        *("<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
        *("<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>", *_reserved(text, 0, 6)),
        *("<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>", *_reserved(text, 8, 61)),
        *(
            "<|image_start|>",
            "<|image_end|>",
            *_reserved(vision, 0, 2),
            "<|tile_x_separator|>",
            "<|tile_y_separator|>",
        ),
        *(
            *_reserved(vision, 2, 4),
            "<|image|>",
            *_reserved(vision, 6, 1),
            "<|patch|>",
            *_reserved(vision, 7, 1041),
        ),
        *(*_reserved("reasoning_", 0, 8), "<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"),
    ]
    ends = {"eos": "<|end_of_text|>", "eot": "<|eot|>", "eom": "<|eom|>"}
    return _Family("llama4", named + _reserved("", 0, 2048 - len(named)), "<|begin_of_text|>", ends)


FAMILIES = {128_000: _llama_3, 200_000: _llama_4}
"""By the number of ranks, the only thing in the file that tells one from another."""

_TEKKEN_CONTROLS = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    *("[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)  # of files that name none; later ones name their own
_MOST = 1 << 19  # ids of a vocabulary; Llama 4's has 202,048


def tiktoken_metadata(content: bytes) -> dict[str, Any]:
    """Read lines of a token in base64 and its rank.

    Raises ModelFileError if they are damaged, or of another family than Llama 3 or 4.
    """
    ranks: list[bytes] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        token, _, rank = line.partition(b" ")
        if rank.strip() != b"%d" % len(ranks):
            raise damaged(f"tokenizer.model: line {number} is no token with the rank {len(ranks)}")
        ranks.append(_decoded(token, f"tokenizer.model: line {number}"))
    family = FAMILIES.get(len(ranks))
    if family is None:
        raise other_kind(f"tiktoken file with {len(ranks)} tokens, not Llama 3's or 4's")
    splitting, controls, bos, ends = family()
    pieces = [_spelling(token) for token in ranks]
    named = {name: len(ranks) + controls.index(text) for name, text in {"bos": bos, **ends}.items()}
    return _metadata(splitting, [*pieces, *controls], range(len(ranks)), named)


def tekken_metadata(content: bytes) -> dict[str, Any]:
    """Read a tekken.json. Raises ModelFileError if it is damaged or cuts text by a pattern of its own."""
    try:
        data = parse_json(content)
        config, vocab = data["config"], data["vocab"]
        pattern, size, count = config["pattern"], config["default_vocab_size"], config["default_num_special_tokens"]
        named = _by_rank(data.get("special_tokens") or (), "token_str")
        encoded = _by_rank(vocab, "token_bytes")
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise damaged(f"tekken.json: {error!r}"[:200]) from None
    if pattern != TEKKEN:
        raise other_kind("tekken.json with a pattern of its own")
    controls = named or [*_TEKKEN_CONTROLS]
    if type(size) is not int or type(count) is not int:
        raise damaged("tekken.json: its sizes are no numbers")
    if not len(controls) <= count < size <= min(len(encoded) + count, _MOST):
        raise damaged("tekken.json: its sizes contradict each other")
    controls += [f"<SPECIAL_{i}>" for i in range(len(controls), count)]
    if not all(type(text) is str and text for text in controls) or len(set(controls)) < count:
        raise damaged("tekken.json: a special token has no text, or stands in it twice")
    pieces = [_spelling(_decoded(token, "tekken.json: a token")) for token in encoded[: size - count]]
    ids = {name: controls.index(text) for name, text in {"bos": "<s>", "eos": "</s>"}.items() if text in controls}
    return _metadata("tekken", [*controls, *pieces], range(count, size), ids)


def _by_rank(tokens: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """Give one value of every token, by rank. Raises ValueError where a rank is missing."""
    values = {token["rank"]: token[name] for token in tokens}
    if len(values) < len(tokens) or any(i not in values for i in range(len(values))):
        raise ValueError("the ranks leave a gap")
    return [values[i] for i in range(len(values))]


def _decoded(token: Any, where: str) -> bytes:
    try:
        found = base64.b64decode(token, validate=True)
    except (TypeError, ValueError, binascii.Error):
        found = b""
    if not 1 <= len(found) <= LONGEST:
        raise damaged(f"{where} is no base64 of at most {LONGEST} bytes")
    return found


def _spelling(token: bytes) -> str:
    return "".join([_CHARACTER_OF[byte] for byte in token])


def _metadata(splitting: str, pieces: list[str], plain: range, named: Mapping[str, int]) -> dict[str, Any]:
    ids = {pieces[i]: i for i in plain}
    if len(ids) < len(plain) or not ids.keys() >= BYTE_OF.keys():
        raise damaged("a token stands in it twice, or that of a single byte is missing")
    merges = spelled(merges_in_order(ids, ids), pieces)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": splitting,
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": _types(len(pieces), plain),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.add_bos_token": "bos" in named,
        **{f"tokenizer.ggml.{name}_token_id": i for name, i in named.items()},
    }


def _types(size: int, plain: Iterable[int]) -> list[int]:
    types = [CONTROL] * size
    for i in plain:
        types[i] = NORMAL
    return types

"""The tokenizer and the chat template: what makes a model answer worse without a word of warning."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from puna.doctor.finding import Finding, doubt, fault, fine
from puna.errors import InputError, ModelFileError
from puna.tokens.files import parse_json, read_bounded
from puna.tokens.gguf_vocab import CONTROL, UNKNOWN
from puna.tokens.tokenizer import Tokenizer
from puna.tokens.vocabulary import looks_like_control
from puna.weights.checkpoint import Checkpoint

_MARKS = re.compile(r"<\|[^|\s]{1,60}\|>|<｜[^｜\s]{1,60}｜>|<(?:start|end)_of_turn>")
_SAID = "Hello."
# Characters that vocabularies have lost, in no form that normalisation changes, and without blanks at the ends.
_TRIED = (
    "".join(map(chr, range(33, 127))) + " end",
    "北京、高原。かな 한국어",
    "\U0001f469\u200d\U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467 ☂️",
    "a\tb\nc\x01d\x7fe",
    "שלום עולם، مرحبا",
)
_NAMED = 3  # tokens that are named in a line


def open_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """Build the tokenizer of a checkpoint. Raises ModelFileError where it is damaged, missing or of another kind."""
    if (metadata := checkpoint.tokenizer_metadata) is not None:
        return Tokenizer.from_gguf(metadata)
    return Tokenizer.from_folder(folder_of(checkpoint))


def folder_of(checkpoint: Checkpoint) -> Path:
    """Give the folder in which a checkpoint's small files stand."""
    return checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent


def check_words(checkpoint: Checkpoint, tokenizer: Tokenizer, rows: int) -> Iterator[Finding]:
    """Check tokens against the `rows` of the embedding, their kinds, BOS, the ends of an answer and the chat template."""
    yield _rows(tokenizer, rows)
    yield from _splitting(checkpoint)
    yield _losses(tokenizer)
    yield from _kinds(checkpoint, tokenizer)
    text = None
    if tokenizer.template is None:
        yield doubt("template-absent")
    else:
        try:
            ids = tokenizer.encode_chat([{"role": "user", "content": _SAID}])
            text = tokenizer.decode(ids, skip_special=False)
        except (InputError, ModelFileError) as error:
            yield fault("template-fails", error=error)
        else:
            yield from _template(tokenizer, text)
            yield _begin(tokenizer, ids)
    yield from _ends(checkpoint, tokenizer)


def _rows(tokenizer: Tokenizer, rows: int) -> Finding:
    say = fault if tokenizer.vocab_size > rows else fine
    return say("rows-few" if tokenizer.vocab_size > rows else "rows", tokens=tokenizer.vocab_size, rows=rows)


def _splitting(checkpoint: Checkpoint) -> Iterator[Finding]:
    metadata = checkpoint.tokenizer_metadata or {}
    if metadata.get("tokenizer.ggml.model") == "gpt2":
        pre = metadata.get("tokenizer.ggml.pre")
        yield fine("pre", pre=pre) if pre not in (None, "", "default") else doubt("pre-absent")


def _losses(tokenizer: Tokenizer) -> Finding:
    """Encode and decode texts of many kinds: what a vocabulary has no tokens or bytes for is gone without a word."""
    lost: dict[str, None] = {}
    for text in _TRIED:
        back = tokenizer.decode(tokenizer.encode(text))
        if back != text:
            lost |= dict.fromkeys([character for character in text if character not in back] or text)
    if not lost:
        return fine("text")
    named = ", ".join(f"{c if c.isprintable() else ''} U+{ord(c):04X}".strip() for c in [*lost][:_NAMED])
    return doubt("text-lost", count=len(lost), all=len(set("".join(_TRIED))), characters=named)


def _kinds(checkpoint: Checkpoint, tokenizer: Tokenizer) -> Iterator[Finding]:
    """Text could spell a control token that the file calls ordinary; one that begins or ends texts must not be a word."""
    wrong = sorted(_ordinary(checkpoint))
    if wrong:
        yield doubt("kind-ordinary", count=len(wrong), tokens=", ".join(wrong[:_NAMED]))
    named = {tokenizer.bos_id, *tokenizer.eos_ids} - {None}
    words = sorted(tokenizer.decode([i]) for i in named - tokenizer.special_ids if i is not None)
    if words:
        yield doubt("kind-word", tokens=", ".join(map(repr, words[:_NAMED])))
    if not wrong and not words:
        yield fine("kinds", count=len(tokenizer.special_ids))


def _ordinary(checkpoint: Checkpoint) -> Iterator[str]:
    """Give what looks like a control token and is none by the file's own word."""
    metadata = checkpoint.tokenizer_metadata
    if metadata is not None:
        pieces: Any = metadata["tokenizer.ggml.tokens"]
        types: Any = metadata.get("tokenizer.ggml.token_type")
        for i, piece in enumerate(pieces):
            if looks_like_control(piece) and (types is None or types[i] not in (CONTROL, UNKNOWN)):
                yield piece
        return
    try:
        listed = parse_json(read_bounded(folder_of(checkpoint) / "tokenizer.json"))["added_tokens"]
    except (FileNotFoundError, LookupError):
        return
    for token in listed:
        if looks_like_control(token["content"]) and not token.get("special"):
            yield token["content"]


def _template(tokenizer: Tokenizer, text: str) -> Iterator[Finding]:
    """What the template means as a control token must be one."""
    known = {tokenizer.decode([i], skip_special=False) for i in tokenizer.special_ids}
    strange = sorted(set(_MARKS.findall(text)) - known)
    if strange:
        yield fault("template-strange", tokens=", ".join(strange[:_NAMED]))
    else:
        yield fine("template")


def _begin(tokenizer: Tokenizer, ids: list[int]) -> Finding:
    bos, asked = tokenizer.bos_id, bool(tokenizer.encode_prompt(""))
    times = next((n for n, i in enumerate(ids) if i != bos), len(ids))
    spelled = "" if bos is None else tokenizer.decode([bos], skip_special=False)
    if times > 1:
        return fault("bos-twice", bos=spelled, times=times)
    if times and asked:
        return doubt("bos-also", bos=spelled)
    if asked:
        return doubt("bos-absent", bos=spelled)
    return fine("bos", bos=spelled) if times else fine("bos-none")


def _ends(checkpoint: Checkpoint, tokenizer: Tokenizer) -> Iterator[Finding]:
    try:
        end = tokenizer.end_id
    except ModelFileError:
        yield fault("ends-none")
        return
    stated = checkpoint.config.get("eos_token_id")
    named = set(stated if isinstance(stated, list) else [stated])
    if end in named:
        ends = sorted(tokenizer.decode([i], skip_special=False) for i in tokenizer.eos_ids)
        yield fine("ends", tokens=", ".join(ends[:_NAMED]))
    else:
        yield doubt("ends-unnamed", token=tokenizer.decode([end], skip_special=False), id=end)

"""A vocabulary as Puna uses it: plain text goes through `core`, control tokens never do."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import tokenizers

from puna.errors import InputError

WELL_KNOWN_ENDS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "</s>",
    "<end_of_turn>", "<|end_of_turn|>", "<EOT>", "[EOT]", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
_LOOKS_LIKE_CONTROL = re.compile(r"<\|[^|]*\|>|<｜[^｜]*｜>|<(?:start|end)_of_turn>", re.ASCII)
_BRACKETED = re.compile(r"<.+>|\[.+\]", re.DOTALL)
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = re.compile(r"\s*")


def _byte_alphabet() -> dict[str, int]:
    """Map GPT-2's 256 printable stand-ins back to bytes: printable Latin-1 is itself, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}


BYTE_OF = _byte_alphabet()


def looks_like_control(piece: str) -> bool:
    """Tell whether a piece is a control token by its spelling, whatever the file says of it.

    Converters have marked turn markers as ordinary added tokens; user text could then forge a turn.
    """
    return piece in WELL_KNOWN_ENDS or _LOOKS_LIKE_CONTROL.fullmatch(piece) is not None


def may_be_control(piece: str) -> bool:
    """Tell whether a piece that a file calls ordinary, yet names as BOS or EOS, can be one of no text.

    Files have named a comma as BOS; it must stay a comma.
    """
    return looks_like_control(piece) or _BRACKETED.fullmatch(piece) is not None


def hidden_name(token_id: int) -> str:
    """Name an id so that no text can reach it: both kinds of vocabulary replace every space before look-up."""
    return f" hidden {token_id}"


@dataclass(frozen=True)
class Control:
    """A control token; `lstrip` and `rstrip` say that it swallows the white space before or after it."""

    id: int
    text: str
    lstrip: bool = False
    rstrip: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """Everything the tokenizer needs to know of its ids.

    `core` turns plain text into ids and holds control tokens only under hidden names; `pieces[id]` is the
    spelling in the file ("" where an id has no token); ids in `verbatim` are spelled as plain text;
    `prefix` says where a SentencePiece vocabulary puts its dummy space: at the start of the text, of every
    stretch between control tokens, or nowhere. `doubles` adds it in front of a space as well.
    """

    core: tokenizers.Tokenizer
    pieces: Sequence[str]
    controls: Mapping[str, Control]
    verbatim: frozenset[int]
    byte_level: bool
    prefix: Literal["none", "first", "every"] = "none"
    doubles: bool = True

    def token_bytes(self, token_id: int) -> bytes:
        """Give the raw bytes that a token stands for; they may be part of a character.

        Raises InputError for an id outside the vocabulary.
        """
        if not 0 <= token_id < len(self.pieces):
            raise InputError("E-TOKEN-ID", id=token_id, size=len(self.pieces))
        piece = self.pieces[token_id]
        if self.byte_level:
            if token_id not in self.verbatim:
                try:
                    return bytes([BYTE_OF[character] for character in piece])
                except KeyError:
                    pass  # a piece that is not in the byte alphabet can only be meant literally
            return piece.encode()
        if token_id not in self.verbatim and (byte := _BYTE_PIECE.fullmatch(piece)):
            return bytes.fromhex(byte[1])
        return piece.replace("▁", " ").encode()

    def dummy_space(self, text: str) -> bool:
        """Tell whether the dummy space belongs in front of a text, where such texts get one."""
        return self.prefix != "none" and text != "" and (self.doubles or text[0] not in " ▁")

    @cached_property
    def control_pattern(self) -> re.Pattern[str]:
        """Match a control token; of several that start at one place, the longest."""
        longest_first = sorted(self.controls, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def split(self, text: str, space: re.Pattern[str] = _SPACE) -> Iterator[tuple[str, str, Control | None]]:
        """Cut text at its control tokens into (plain, swallowed, control); the last control is None.

        `swallowed` is what stands between the plain text and the next plain text and is no content:
        white space eaten by `lstrip`/`rstrip`, without the control's own spelling.
        """
        done = 0
        for match in self.control_pattern.finditer(text):
            control = self.controls[match[0]]
            start, end = match.span()
            if start < done:  # a control token of white space that the one before it swallowed
                continue
            plain, eaten = text[done:start], ""
            if control.lstrip:
                kept = len(plain) - _trailing(plain, space)
                plain, eaten = plain[:kept], plain[kept:]
            done = end
            if control.rstrip and (after := space.match(text, end)):
                eaten, done = eaten + after[0], after.end()
            yield plain, eaten, control
        yield text[done:], "", None


def _trailing(text: str, space: re.Pattern[str]) -> int:
    """Count the characters at the end that `space` matches, from the right, so that long runs stay linear."""
    count = 0
    while count < len(text) and (found := space.match(text, len(text) - count - 1)) and found[0]:
        count += 1
    return count

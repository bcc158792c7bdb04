"""The tokenizer: text to ids and back, with exact offsets. Offsets are Unicode code points of the text given."""

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from puna.errors import InputError, ModelFileError
from puna.tokens.chat import Span, locate, mark
from puna.tokens.export import tokenizer_files
from puna.tokens.folder_vocab import read_folder
from puna.tokens.gguf_vocab import adds_bos, flag, token_id, vocabulary_from_gguf
from puna.tokens.refuse import damaged, library
from puna.tokens.stream import StreamDecoder
from puna.tokens.template import ChatTemplate
from puna.tokens.vocabulary import WELL_KNOWN_ENDS, Vocabulary

_PIECE = 1 << 16  # characters encoded at a time, and on to the next line's end
_LINE_END = re.compile(r"(?<=\S)\n")


class Tokenizer:
    """One model's tokenizer and chat template.

    Text never yields a control token, however it is spelled; only the chat template and BOS do.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        bos_id: int | None,
        eos_ids: Iterable[int],
        prompt_ids: Sequence[int] = (),
        template: str | None = None,
    ) -> None:
        """Take a vocabulary; `prompt_ids` stand before a raw prompt, `template` is Jinja source."""
        self._vocabulary = vocabulary
        self._core = vocabulary.core
        self._prompt_ids = list(prompt_ids)
        self.bos_id = bos_id
        controls = vocabulary.controls
        self.special_ids = frozenset(control.id for control in controls.values())
        stated = list(eos_ids)
        self.eos_ids = frozenset(stated) | {controls[end].id for end in WELL_KNOWN_ENDS if end in controls}
        self._eos_id = stated[0] if stated else min(self.eos_ids, default=None)
        self._template = template
        self.template: ChatTemplate | None = None
        if template is not None:
            self.template = ChatTemplate(template, self._spelling(bos_id), self._spelling(self._eos_id))

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> "Tokenizer":
        """Build from a GGUF file's metadata (keys `tokenizer.*`, arrays as lists or numpy arrays).

        Raises ModelFileError if the vocabulary is damaged or of a kind that Puna does not compute.
        """
        vocabulary = vocabulary_from_gguf(metadata)
        size = len(vocabulary.pieces)
        bos = token_id(metadata, "bos", size)
        ends = [i for name in ("eos", "eot", "eom") if (i := token_id(metadata, name, size)) is not None]
        if bos is None and flag(metadata, "add_bos_token", False):
            raise damaged("add_bos_token is set, but no bos_token_id")
        template = metadata.get("tokenizer.chat_template")
        return cls(
            vocabulary,
            bos_id=bos,
            eos_ids=ends,
            prompt_ids=[bos] if bos is not None and adds_bos(metadata) else [],
            template=template if isinstance(template, str) else None,
        )

    @classmethod
    def from_folder(cls, path: str | Path) -> "Tokenizer":
        """Build from a folder with `tokenizer.json`, `tokenizer.model` or `tekken.json`, and what settings lie beside it.

        Raises ModelFileError if a file is missing or damaged, or of a kind that Puna does not compute.
        """
        folder = read_folder(Path(path))
        return cls(
            folder.vocabulary,
            bos_id=folder.bos_id,
            eos_ids=folder.eos_ids,
            prompt_ids=folder.prompt_ids,
            template=folder.template,
        )

    @property
    def vocab_size(self) -> int:
        """One more than the highest id; the model may have more rows than this, never to be chosen."""
        return len(self._vocabulary.pieces)

    @cached_property
    def end_id(self) -> int:
        """The token that ends an assistant's turn: what the template writes after the message, else EOS.

        Raises ModelFileError if there is neither.
        """
        written = self._end_by_template()
        if written is not None:
            return written
        if self._eos_id is None:
            raise ModelFileError("E-TOKENIZER-NO-END")
        return self._eos_id

    def encode(self, text: str, *, start: bool = True) -> list[int]:
        """Give the ids of plain text, without BOS.

        `start=False` says that the text goes on from other text: a SentencePiece vocabulary then gets no
        dummy space in front. Characters that a vocabulary has no tokens or bytes for are unknown tokens
        (SentencePiece) or leave nothing (byte-level), as in Transformers.
        Raises InputError if the text has lone surrogates.
        """
        return self.encode_batch([text], start=start)[0]

    def encode_batch(self, texts: Sequence[str], *, start: bool = True) -> list[list[int]]:
        """Give the ids of many texts, as `encode` does for each, on all cores."""
        spaced = [f" {text}" if start and self._vocabulary.dummy_space(text) else text for text in texts]
        try:
            with library("it cannot cut a text"):
                return [e.ids for e in self._core.encode_batch_fast(spaced, add_special_tokens=False)]
        except (TypeError, UnicodeError):
            raise _surrogate(texts) from None

    def encode_with_offsets(self, text: str, *, start: bool = True) -> tuple[list[int], list[tuple[int, int]]]:
        """Give the ids of plain text and for each the range of characters it covers, in code points.

        Tokens that share one character all have its range; a dummy space that is a token has an empty one.
        """
        shift = int(start and self._vocabulary.dummy_space(text))
        try:
            with library("it cannot cut a text"):
                encoding = self._core.encode(f" {text}" if shift else text, add_special_tokens=False)
        except (TypeError, UnicodeError):
            raise _surrogate([text]) from None
        offsets: list[tuple[int, int]] = encoding.offsets
        if shift:
            offsets = [(max(first - 1, 0), max(last - 1, 0)) for first, last in offsets]
        if self._core.normalizer is not None:
            offsets = _closed(offsets, len(text))
        return encoding.ids, offsets

    def token_starts(self, text: str) -> Sequence[int]:
        """Give where the tokens of plain text begin, in code points.

        An encoding takes hundreds of bytes a token, so a long text is encoded in pieces that end before a line's end,
        where vocabularies cut as well; one that joins a full stop and the line's end has a token less there.
        """
        starts, begin = array("q"), 0
        while begin < len(text):
            found = _LINE_END.search(text, begin + _PIECE)
            end = found.start() if found else len(text)
            _, offsets = self.encode_with_offsets(text[begin:end], start=not begin)
            starts.extend(begin + first for first, _ in offsets)
            begin = end
        return starts

    def encode_prompt(self, text: str) -> list[int]:
        """Give the ids of a raw prompt: BOS if the model's files ask for it, then the text as `encode` does."""
        return self._prompt_ids + self.encode(text)

    def encode_prompt_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Give the ids as `encode_prompt` does, and for each the range of characters it covers; BOS has none."""
        ids, offsets = self.encode_with_offsets(text)
        return self._prompt_ids + ids, [(0, 0)] * len(self._prompt_ids) + offsets

    def encode_chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]:
        """Give the ids of a conversation in the model's own chat template.

        Only the template writes control tokens, BOS among them; whatever the messages spell is text.
        Raises ModelFileError if there is no template or it cannot be run, InputError if it rejects the messages.
        """
        return self._chat(messages, add_generation_prompt, spans=False)[0]

    def encode_chat_with_offsets(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True
    ) -> tuple[list[int], list[Span | None]]:
        """Give the ids as `encode_chat` does, and for each token what it covers of the messages.

        A span is (message index, start, end), in code points of that message's content; None where the
        token covers only what the template wrote. A token over the edge of a content has the part inside.
        Where a template alters a content beyond trimming it, that content's tokens have None.
        """
        return self._chat(messages, add_generation_prompt, spans=True)

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """Give the text of the ids; bytes that are no UTF-8 become U+FFFD."""
        hidden = self.special_ids if skip_special else frozenset()
        raw = b"".join([self._vocabulary.token_bytes(i) for i in ids if i not in hidden])
        text = raw.decode("utf-8", "replace")
        return text if self._vocabulary.prefix == "none" else text.removeprefix(" ")

    def stream_decoder(self, skip_special: bool = True) -> StreamDecoder:
        """Give a decoder for ids that come one by one."""
        return StreamDecoder(self._vocabulary, self.special_ids if skip_special else frozenset())

    def token_bytes(self, token_id: int) -> bytes:
        """Give the raw bytes of a token, perhaps a part of a character. Raises InputError for an id outside."""
        return self._vocabulary.token_bytes(token_id)

    def files(self) -> dict[str, Any]:
        """Give the contents of `tokenizer.json` and `tokenizer_config.json` for a folder in Hugging Face's form."""
        names = self._spelling(self.bos_id), self._spelling(self._eos_id)
        return tokenizer_files(self._vocabulary, *names, self._prompt_ids, self._template)

    def _spelling(self, token_id: int | None) -> str | None:
        return None if token_id is None else self._vocabulary.pieces[token_id]

    def _end_by_template(self) -> int | None:
        if self.template is None:
            return None
        answer = "\ue000"
        messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]
        try:
            after = self.template.render(messages, add_generation_prompt=False).rpartition(answer)
        except (ModelFileError, InputError):
            return None
        control = self._vocabulary.control_pattern.match(after[2].lstrip()) if after[1] else None
        return self._vocabulary.controls[control[0]].id if control else None

    def _chat(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool, spans: bool
    ) -> tuple[list[int], list[Span | None]]:
        if self.template is None:
            raise ModelFileError("E-TEMPLATE-MISSING")
        marked = mark(self.template, messages, add_generation_prompt, self._vocabulary.controls)
        ids: list[int] = []
        found: list[Span | None] = []
        start = True
        for plain, swallowed, control in self._vocabulary.split(marked.text, marked.space):
            stretch = marked.read(plain)
            marked.read(swallowed)
            if spans:
                new, offsets = self.encode_with_offsets(stretch.text, start=start)
                found += locate(offsets, stretch.owners)
            else:
                new = self.encode(stretch.text, start=start)
            ids += new
            if control is not None:
                ids.append(control.id)
                found.append(None)
            start = self._vocabulary.prefix == "every"
        return ids, found


def _closed(offsets: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Give characters that a normaliser merged into the one before them to that one's tokens."""
    starts = [first for first, _ in offsets[1:]] + [length]
    reaches = {last: start for (_, last), start in zip(offsets, starts, strict=False) if last < start}
    return [(first, reaches.get(last, last)) for first, last in offsets]


def _surrogate(texts: Sequence[str]) -> InputError:
    """Say where a text cannot be written as UTF-8."""
    for text in texts:
        if lone := re.search("[\ud800-\udfff]", text):
            return InputError("E-TEXT-SURROGATE", offset=lone.start())
    raise TypeError("texts must be str")

"""Knowing, in a rendered conversation, which characters the template wrote and which the messages.

Every content is rendered between marks: characters that occur nowhere else. Inside it the first character of
every spelling of a control token is exchanged for a stand-in, so that no content can pass for the template.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from puna.errors import InputError
from puna.tokens.template import ChatTemplate

Span = tuple[int, int, int]


class Owner(NamedTuple):
    """Characters `start` to `end` of a stretch are those from `offset` on of a message's content."""

    start: int
    end: int
    message: int
    offset: int


class Stretch(NamedTuple):
    """Plain text between two control tokens, and which parts of it are whose."""

    text: str
    owners: list[Owner]


class StandIns:
    """Exchanges the first character of every control token's spelling for one that is used nowhere else."""

    def __init__(self, controls: Iterable[str], free: Iterator[str]) -> None:
        controls = sorted(controls)
        alternatives = "|".join(map(re.escape, controls)) or r"(?!)"
        self._any = re.compile(alternatives)
        self._first = re.compile(f"(?=(?:{alternatives}))(.)", re.DOTALL)
        self._stand_in = {text[0]: "" for text in controls}
        self._stand_in = {character: next(free) for character in self._stand_in}
        self._original = {mark: character for character, mark in self._stand_in.items()}
        self._marks = re.compile(f"[{''.join(self._original)}]" if controls else r"(?!)")

    def hide(self, text: str) -> str:
        """Give the text with no control token's spelling left in it, of the same length."""
        if not self._any.search(text):
            return text
        return self._first.sub(lambda found: self._stand_in[found[1]], text)

    def restore(self, text: str) -> str:
        """Undo `hide`."""
        return self._marks.sub(lambda found: self._original[found[0]], text)


class Marked:
    """A rendered conversation with its marks still in; `read` takes its pieces in order."""

    def __init__(
        self,
        text: str,
        contents: Mapping[int, str],
        starts: Mapping[str, tuple[int, int]],
        end: str,
        stand_ins: StandIns,
    ) -> None:
        """Take the text; `starts` maps a mark to (message index, offset of what follows in its content)."""
        self.text = text
        self.space = re.compile(f"[\\s{''.join(starts)}{end}]*")
        self._contents = contents
        self._starts = starts
        self._marks = re.compile(f"([{''.join(starts)}{end}])")
        self._stand_ins = stand_ins
        self._open: tuple[int, int] | None = None

    def read(self, piece: str) -> Stretch:
        """Give a piece of the text without marks, and the owners of its characters."""
        clean: list[str] = []
        owners: list[Owner] = []
        length = 0
        for place, part in enumerate(self._marks.split(piece)):
            if place % 2:  # split puts what its group matched, the marks, at the odd places
                self._open = self._starts.get(part)
                continue
            text = self._stand_ins.restore(part)
            if text and self._open is not None:
                index, offset = self._open
                if self._contents[index].startswith(text, offset):
                    owners.append(Owner(length, length + len(text), index, offset))
                self._open = index, offset + len(text)
            clean.append(text)
            length += len(text)
        return Stretch("".join(clean), owners)


def locate(offsets: Sequence[tuple[int, int]], owners: Sequence[Owner]) -> Iterator[Span | None]:
    """Give for each token, by its range in the stretch, the part of a content that it covers."""
    at = 0
    for start, end in offsets:
        while at < len(owners) and owners[at].end <= start:
            at += 1
        owner = owners[at] if at < len(owners) else None
        if owner is None or end <= owner.start or start == end:
            yield None
        else:
            shift = owner.offset - owner.start
            yield owner.message, max(start, owner.start) + shift, min(end, owner.end) + shift


def mark(
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    add_generation_prompt: bool,
    controls: Iterable[str],
) -> Marked:
    """Render a conversation so that the messages' text and the template's can be told apart.

    The marks stay where rendering with them gives the same text as without. Else they are tried inside the
    white space around each content, for templates that trim it, and else only the stand-ins are left.
    """
    plain = template.render(messages, add_generation_prompt)
    contents = {i: m["content"] for i, m in enumerate(messages) if isinstance(m.get("content"), str)}
    contents = {i: text for i, text in contents.items() if text.strip()}
    free = _unused(chain([plain], _strings(messages)))
    stand_ins = StandIns(controls, free)
    end = next(free)
    signs = {i: next(free) for i in contents}
    hidden = [{key: _mapped(value, stand_ins) for key, value in message.items()} for message in messages]
    clean = re.compile(f"[{''.join(signs.values())}{end}]")
    region = re.compile(f"[{''.join(signs.values())}][^{end}]*" if signs else r"(?!)")
    edges = {i: (0, len(text)) for i, text in contents.items()}
    cores = {i: (len(text) - len(text.lstrip()), len(text.rstrip())) for i, text in contents.items()}
    for bounds in (edges, cores) if edges != cores else (edges,):
        wrapped = [dict(message) for message in hidden]
        for i, (left, right) in bounds.items():
            text = contents[i]
            inner = stand_ins.hide(text[left:right])
            wrapped[i]["content"] = f"{text[:left]}{signs[i]}{inner}{end}{text[right:]}"
        rendered = template.render(wrapped, add_generation_prompt)
        if stand_ins.restore(clean.sub("", rendered)) == plain:
            # Once more, for what the template changed into a control token's spelling, say to lower case.
            rendered = region.sub(lambda found: stand_ins.hide(found[0]), rendered)
            starts = {signs[i]: (i, left) for i, (left, _) in bounds.items()}
            return Marked(rendered, contents, starts, end, stand_ins)
    return Marked(template.render(hidden, add_generation_prompt), contents, {}, end, stand_ins)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _mapped(value: Any, stand_ins: StandIns) -> Any:
    """Hide control tokens in every string of a message."""
    if isinstance(value, str):
        return stand_ins.hide(value)
    if isinstance(value, Mapping):
        return {_mapped(key, stand_ins): _mapped(item, stand_ins) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, stand_ins) for item in value]
    return value


def _unused(texts: Iterable[str]) -> Iterator[str]:
    """Give private-use characters that occur in none of the texts; raises InputError when none is left."""
    used = set().union(*texts)
    yield from (chr(code) for code in range(0x10FFFD, 0xEFFFF, -1) if chr(code) not in used)
    raise InputError("E-TEMPLATE-LIMIT", what="too many messages")

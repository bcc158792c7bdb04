"""Expressions and replacements of a tokenizer.json, which run over every text: what would take for ever is refused.

An expression that repeats a repetition, as `(a+)+`, can take time that doubles with each character. A replacement by a
long text multiplies what there is to read, as does writing bytes as characters; a row of them does so again and again.
"""

import re
from collections.abc import Iterator
from typing import Any

from puna.tokens.refuse import other_kind

_LONGEST = 10_000  # characters of one expression; those in use have under 1,000
_DEEPEST = 64  # groups inside one another
_GROWTH = 64  # characters that may come of one, by all replacements together
_STEPS = 64  # parts of a normaliser and a pre-tokenizer; those in use have under 10
_FEW = 64  # repetitions that count as none
_OPENING = re.compile(r"\((?:\?(?:#[^)]*\)|[imsx-]*:|<?[=!]|[>|~]|P?<\w+>|[imsx-]+\))?)?")
_REPEAT = re.compile(r"[*+?]|\{(\d*)(,?)(\d*)\}")
_ESCAPE = re.compile(r"\\(?:[pPxuo]\{[^}]*\}|.)", re.DOTALL)


def check_patterns(*parts: Any) -> None:
    """Raise ModelFileError where a normaliser or pre-tokenizer has an expression or replacement that takes too much."""
    steps = [step for part in parts for step in _objects(part)]
    growth = 1
    for step in steps:
        expression = step.get("Regex")
        if isinstance(expression, str) and not _is_tame(expression):
            raise other_kind(f"tokenizer.json with an expression that may not end: {expression!r}")
        if step.get("type") == "Replace":
            growth *= max(len(step["content"]), 1)
        growth *= 2 if step.get("type") == "ByteLevel" else 1
        if growth > _GROWTH:
            raise other_kind("tokenizer.json that makes much of few characters")
    if sum("type" in step for step in steps) > _STEPS:
        raise other_kind(f"tokenizer.json that cuts text in more than {_STEPS} steps")


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    waiting = [part]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _is_tame(expression: str) -> bool:
    """Tell whether no group that repeats is repeated, and nothing refers back; `)` without `(` is left to the library."""
    if len(expression) > _LONGEST:
        return False
    repeats = [False]  # for each open group: whether something in it repeats without a bound
    at, group = 0, False  # group: what stands before `at` is a group in which something repeats
    while at < len(expression):
        character = expression[at]
        if character == "(" and (opening := _OPENING.match(expression, at)):
            at, group = opening.end(), False
            if not opening[0].endswith(")"):
                repeats.append(False)
            if len(repeats) > _DEEPEST:
                return False
        elif character == ")":
            group = repeats.pop() if len(repeats) > 1 else False
            repeats[-1] |= group
            at += 1
        elif character == "[":
            at, group = _behind_class(expression, at), False
        elif character == "\\" and (escape := _ESCAPE.match(expression, at)):
            if escape[0][1] in "123456789kgG":
                return False
            at, group = escape.end(), False
        elif repeat := _REPEAT.match(expression, at):
            endless = _is_endless(repeat)
            if endless and group:
                return False
            repeats[-1] |= endless
            at = repeat.end()
            if expression[at : at + 1] in ("?", "+"):  # lazy or possessive
                at += 1
            group = endless
        else:
            at, group = at + 1, False
    return True


def _is_endless(repeat: "re.Match[str]") -> bool:
    if repeat[0] in "*+?":
        return repeat[0] != "?"
    least, comma, most = repeat[1], repeat[2], repeat[3]
    if comma and not most:
        return True
    return int((most or least or "0")[:6]) > _FEW


def _behind_class(expression: str, at: int) -> int:
    """Give the place behind a class of characters, which may hold others."""
    depth = 0
    while at < len(expression):
        character = expression[at]
        depth += (character == "[") - (character == "]")
        at += 2 if character == "\\" else 1
        if depth == 0:
            break
    return at

"""The functions and filters of chat templates that need a guard of their own, or that Transformers adds."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import Environment, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

from puna.tokens.budget import BUDGET, LimitError, charge, walk

_PLAIN_DATE = re.compile(r"(?:%-?[A-Za-z%]|[^%])*")
_INDENT = 16


class RejectionError(Exception):
    """A template called `raise_exception`: it does not take these messages."""


def join_all(*parts: Any) -> str:
    """Join what stands between `~`."""
    charge(parts)
    return "".join(map(str, parts))


def check_method(text: str, name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Pay beforehand for a method of a text whose result may be much longer than what goes in."""
    if name == "join" and len(arguments) == 1:
        parts = [*walk(arguments[0])]
        charge([*parts, text * 0 if not parts else ""])
        BUDGET.get().check(sum(len(part) for part in parts if isinstance(part, str)) + len(text) * len(parts))
        return (parts,)
    if name == "replace" and len(arguments) >= 2:
        old, new = arguments[:2]
        if isinstance(old, str) and isinstance(new, str):
            BUDGET.get().check(len(text) + text.count(old) * len(new))
    return arguments


def _join(environment: Environment, values: Any, d: Any = "", attribute: Any = None) -> str:
    if attribute is not None:
        values = environment.call_filter("map", values, kwargs={"attribute": attribute})
    parts = [str(charge(part)) for part in values]
    return str(d).join(*check_method(str(d), "join", (parts,)))


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(text), str(old), str(new)
    check_method(text, "replace", (old, new))
    return str(text.replace(old, new, -1 if count is None else count))


def _indent(text: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    pad = width if isinstance(width, str) else " " * min(int(width), _INDENT)
    lines = str(text).split("\n")
    BUDGET.get().check(len(str(text)) + len(lines) * len(pad))
    return "\n".join(pad + line if (first if i == 0 else blank or line) else line for i, line in enumerate(lines))


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Write JSON without HTML or ASCII escapes, as templates for Transformers expect it."""
    if indent is not None and (not isinstance(indent, int) or not 0 <= indent <= _INDENT):
        raise LimitError(f"tojson takes indents up to {_INDENT}")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: object = "") -> NoReturn:
    raise RejectionError(str(message))


def _strftime_now(pattern: str) -> str:
    if len(pattern) > 100 or not _PLAIN_DATE.fullmatch(pattern):
        raise SecurityError("strftime_now with anything but a plain date pattern")
    return datetime.now().strftime(pattern)


def _range(*bounds: int) -> range:
    return walk(range(*bounds))  # type: ignore[no-any-return]  # it gives back what it is given


def _dict(*arguments: Any, **named: Any) -> dict[Any, Any]:
    return dict(*arguments, **named)


GLOBALS: dict[str, Callable[..., Any]] = {
    "range": _range,
    "dict": _dict,
    "namespace": Namespace,
    "raise_exception": _raise_exception,
    "strftime_now": _strftime_now,
}
FILTERS: dict[str, Callable[..., Any]] = {
    "join": pass_environment(_join),
    "replace": _replace,
    "indent": _indent,
    "tojson": _to_json,
    "safe": str,  # nothing is escaped here, so nothing needs to be marked safe
}

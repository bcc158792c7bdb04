"""Chat templates: a model's own rule for writing a conversation as one text."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from puna.errors import InputError, ModelFileError, PunaError, shown

if TYPE_CHECKING:
    import jinja2

_SOURCE = 2**17  # characters; the longest in use have about 2**15


class ChatTemplate:
    """A chat template from a model file. It is hostile until shown otherwise, and compiled when first used."""

    def __init__(self, source: str, bos_token: str | None = None, eos_token: str | None = None) -> None:
        """Take Jinja source, and the spellings that it may ask for as `bos_token` and `eos_token`."""
        self.source = source
        tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._tokens = {name: text for name, text in tokens.items() if text is not None}

    def render(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> str:
        """Write the messages as one text, with the start of the assistant's turn if asked for.

        Raises ModelFileError if the template is faulty, hostile or does not end, InputError if it rejects the
        messages. The output has at most 1 MiB characters more than four times the messages.
        """
        from puna.tokens.budget import BUDGET, Budget

        data = _plain(messages)
        token = BUDGET.set(budget := Budget(_length(data)))
        parts: list[str] = []
        length = 0
        try:
            for part in self._compiled.generate(
                messages=data,
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **self._tokens,
            ):
                length += len(part)
                budget.check(length)
                parts.append(part)
        except PunaError:
            raise
        except Exception as error:
            raise _explain(error) from None
        finally:
            BUDGET.reset(token)
        return "".join(parts)

    @cached_property
    def _compiled(self) -> "jinja2.Template":
        from puna.tokens.sandbox import SandboxedTemplates

        if len(self.source) > _SOURCE:
            raise ModelFileError("E-TEMPLATE-LIMIT", what=f"it has more than {_SOURCE} characters")
        try:
            return SandboxedTemplates().from_string(self.source)
        except Exception as error:
            raise _explain(error) from None


def _explain(error: Exception) -> PunaError:
    """Turn what goes wrong in a template into one clear line."""
    from jinja2.exceptions import SecurityError, TemplateSyntaxError

    from puna.tokens.budget import LimitError
    from puna.tokens.template_functions import RejectionError

    what = shown(" ".join(str(error).split())[:200], 200)
    if isinstance(error, RejectionError):
        return InputError("E-TEMPLATE-REJECTS", what=what)
    if isinstance(error, TemplateSyntaxError):
        return ModelFileError("E-TEMPLATE-SYNTAX", line=error.lineno, what=what)
    if isinstance(error, SecurityError):
        return ModelFileError("E-TEMPLATE-REFUSED", what=what)
    if isinstance(error, LimitError):
        return ModelFileError("E-TEMPLATE-LIMIT", what=what)
    if isinstance(error, RecursionError | MemoryError | OverflowError):
        return ModelFileError("E-TEMPLATE-LIMIT", what="it nests too deeply or grows too large")
    return ModelFileError("E-TEMPLATE-FAILS", what=f"{type(error).__name__}: {what}")


def _plain(value: Any) -> Any:
    """Copy messages as plain data, the only kind that a template gets to see."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    raise InputError(
        "E-TEMPLATE-REJECTS", what=f"messages hold text, numbers and lists, not {type(value).__name__}"
    )


def _length(value: Any) -> int:
    """Count the characters in plain data."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_length, value)) + sum(map(_length, value.values()))
    return sum(map(_length, value)) if isinstance(value, list) else 0

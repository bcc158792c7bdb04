"""One line of a diagnosis: how grave it is, what is, what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from puna.errors import PunaError, shown
from puna.messages.doctor import FINDINGS

Level = Literal["ok", "warning", "error"]
_LONGEST = 300  # characters of one value


@dataclass(frozen=True)
class Finding:
    """`check` is the key of its sentences; `level` tells what is fine from what is not."""

    level: Level
    check: str
    parameters: Mapping[str, object] = field(default_factory=dict)

    def describe(self, language: str = "en") -> tuple[str, str]:
        """Give (what is, what to do) in "en" or "zh"; nothing has to be done about what is fine."""
        entry = FINDINGS[self.check]
        what, remedy = entry.zh if language == "zh" else entry.en
        values = {name: self._said(value, language) for name, value in self.parameters.items()}
        return what.format_map(values), remedy.format_map(values)

    def _said(self, value: object, language: str) -> object:
        """Numbers as they are, an error in the language asked for, all else printable."""
        if isinstance(value, PunaError):
            return f"{shown(value.describe(language)[0], _LONGEST)} [{value.code}]"
        return value if isinstance(value, int | float) else shown(value, _LONGEST)


def fine(check: str, **parameters: object) -> Finding:
    """Say that a check found nothing wrong."""
    return Finding("ok", check, parameters)


def doubt(check: str, **parameters: object) -> Finding:
    """Say what may go wrong, here or in other programs."""
    return Finding("warning", check, parameters)


def fault(check: str, **parameters: object) -> Finding:
    """Say what is wrong."""
    return Finding("error", check, parameters)

"""Words that stand for each other: a passage that has one of a group is found by every other, too.

A file of them is UTF-8 with a group a line, its members parted by `,`, `，` or `、`; what follows a # is a comment:

    珠穆朗玛峰, 珠峰, Mount Everest
    US, USA, United States  # any number of words

They are applied to passages when those are indexed, never to questions: where they change, the index is made anew.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from puna.errors import InputError, shown
from puna.library.segment import folded, pieces, stemmed, terms

_COMMAS = re.compile("[,，、]")
_GAP = ""  # between pieces of Chinese that punctuation parts; no term is empty


class _Node(NamedTuple):
    """What may follow a beginning of members, and the terms to add for those that end here."""

    following: "dict[str, _Node]"
    others: list[str]


class Synonyms:
    """Groups of words, each with at least two members of which each has a term. `text`: a file that would say so."""

    def __init__(self, groups: Iterable[Sequence[str]]) -> None:
        groups = list(groups)
        self.text = "".join(f"{', '.join(group)}\n" for group in groups)
        self._root = _Node({}, [])
        for group in groups:
            for member in group:
                node = self._root
                for step in _steps(member):
                    node = node.following.setdefault(step, _Node({}, []))
                node.others.extend(term for other in group if other != member for term in terms(other))

    @classmethod
    def read(cls, path: Path) -> "Synonyms":
        """Read a file of them. Raises InputError for one that cannot be read, and for the first line that is no group."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise InputError("E-FILE-MISSING", path=path, cwd=Path.cwd()) from None
        except (OSError, ValueError) as error:  # a folder, no permission, a NUL in the name
            reason = str(getattr(error, "strerror", None) or error).lower()
            raise InputError("E-FILE-READ", path=path, reason=reason) from None
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise InputError("E-ROWS-UNICODE", path=path, line=line) from None
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: Path) -> "Synonyms":
        """Give the groups of a file's text; `path` is said in errors."""
        groups = []
        for number, line in enumerate(text.split("\n"), 1):
            said = line.partition("#")[0].strip()
            if not said:
                continue
            members = [member.strip() for member in _COMMAS.split(said)]
            if len(members) < 2 or "=>" in said or not all(_steps(member) for member in members):
                raise InputError("E-SYNONYMS-LINE", path=path, line=number, text=shown(said))
            groups.append(members)
        return cls(groups)

    def others(self, text: str) -> list[str]:
        """Give the terms to index beside a text's own: for each place where a member stands, those of the others."""
        steps = _steps(text)
        found: list[str] = []
        for first in range(len(steps)):
            node = self._root
            for at in range(first, len(steps)):
                if steps[at] not in node.following:
                    break
                node = node.following[steps[at]]
                found += node.others
        return found


def _steps(text: str) -> list[str]:
    """Give a text as words and single Chinese characters, which is what members are looked for in."""
    steps: list[str] = []
    before = False
    for parts, run, apart in pieces(folded(text)):
        if apart and (run or before):
            steps.append(_GAP)
        steps += parts if run else map(stemmed, parts)
        before = run
    return steps

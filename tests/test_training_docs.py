"""The pages on training cannot rot: their commands are ones that Puna has, and both languages say the same."""

import re
import shlex
from pathlib import Path

import click
import pytest

from puna.cli.main import cli
from puna.messages import MESSAGES

ROOT = Path(__file__).parents[1]
PAGES = {language: ROOT / "docs" / f"training{ending}.md" for language, ending in (("en", ""), ("zh", ".zh"))}
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
TEXTS = {language: path.read_text("utf-8") for language, path in PAGES.items()}

in_both = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def commands(text: str) -> list[list[str]]:
    """List what stands behind `puna` in every block."""
    lines = (shlex.split(line) for kind, body in BLOCK.findall(text) if kind == "sh" for line in body.splitlines())
    return [words[words.index("puna") + 1 :] for words in lines if "puna" in words]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Give the command that words name, and the rest of them."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    return command, words


def test_commands_are_taken() -> None:
    every = commands(TEXTS["en"])
    assert len(every) > 10
    for words in every:
        command, rest = command_of(words)
        command.parse_args(click.Context(command), list(rest))  # raises click.UsageError for what it does not know


@pytest.mark.parametrize(
    "words", [["train", "reader", "rows.jsonl"], ["fit", "a.md", "-o", "b/", "--fast"]], ids=str
)
def test_the_check_of_commands_works(words: list[str]) -> None:
    command, rest = command_of(words)
    with pytest.raises(click.UsageError):
        command.parse_args(click.Context(command), rest)


@in_both
def test_errors_and_links_are_there(text: str) -> None:
    for code in re.findall(r"\bE-[A-Z0-9-]+\b", text):
        assert code in MESSAGES
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target


def test_both_languages_have_one_structure() -> None:
    def shape(text: str) -> list[str]:
        plain = BLOCK.sub("", text)
        return [line.split(" ")[0] for line in plain.splitlines() if line.startswith(("#", "|", "- "))]

    first, second = TEXTS.values()
    assert BLOCK.findall(first) == BLOCK.findall(second)
    assert shape(first) == shape(second)
    for name in (r"E-[A-Z0-9-]+", r"--[a-z-]+"):
        assert set(re.findall(name, first)) == set(re.findall(name, second))

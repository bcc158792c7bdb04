"""Every error code has its sentences in both languages, and every sentence has a place that raises it."""

import ast
import importlib.util
import pkgutil
import re
import string
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from puna import messages
from puna.errors import PunaError
from puna.messages import MESSAGES

ROOT = Path(__file__).parents[1]
HAN = re.compile(r"[\u4e00-\u9fff]")
CODE = re.compile(r"E-[A-Z0-9]+(?:-[A-Z0-9]+)*")


def first_strings(call: ast.Call) -> Iterator[str]:
    """Strings that a call's first argument can be: `refuse("E-A" if x else "E-B", path)` has two."""
    for node in ast.walk(call.args[0]) if call.args else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("E-"):
            yield node.value


def codes_in_source() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        if path.parent.name == "messages":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                found.update(first_strings(node))
    return found


def placeholders(*texts: str) -> set[str]:
    return {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_no_code_stands_in_two_tables() -> None:
    tables = [import_module(f"puna.messages.{m.name}") for m in pkgutil.iter_modules(messages.__path__)]
    assert sum(len(t.MESSAGES) for t in tables if hasattr(t, "MESSAGES")) == len(MESSAGES)


def test_every_code_has_sentences_and_every_sentence_a_code() -> None:
    used = codes_in_source()
    assert len(used) > 50  # the search itself works
    assert used - MESSAGES.keys() == set()
    assert MESSAGES.keys() - used == set()


@pytest.mark.parametrize("code", MESSAGES)
def test_form(code: str) -> None:
    entry = MESSAGES[code]
    assert CODE.fullmatch(code)
    assert placeholders(*entry.en) == placeholders(*entry.zh)
    assert all(name.isidentifier() for name in placeholders(*entry.en))
    assert bool(entry.en[1]) == bool(entry.zh[1])
    assert entry.en[0]
    assert HAN.search(entry.zh[0])
    assert not entry.zh[1] or HAN.search(entry.zh[1])
    for text in (*entry.en, *entry.zh):
        assert text == text.strip()
        assert "\n" not in text
        assert not text.endswith((".", "。", "!", "！"))
    assert not any(HAN.search(text) for text in entry.en)


@pytest.mark.parametrize("code", MESSAGES)
def test_an_error_says_it(code: str) -> None:
    entry = MESSAGES[code]
    values = {name: f"<{name}>" for name in placeholders(*entry.en)}
    error = PunaError(code, **values)
    assert str(error) == error.describe("en")[0] == entry.en[0].format(**values)
    assert error.describe("zh")[1] == entry.zh[1].format(**values)
    assert error.code == code


def test_the_pages_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_errors", ROOT / "docs" / "make_errors.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for language, path in module.PAGES.items():
        page = module.page(language)
        assert path.read_text("utf-8") == page, "run: python docs/make_errors.py"
        for code in MESSAGES:
            assert f"\n## {code}\n" in page

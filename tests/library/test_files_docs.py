"""docs/library-files.md: its table of bounds is that of the code, its example runs, and both languages say the same."""

import re
from pathlib import Path

import pytest

from puna.library.kinds import KINDS
from puna.library.limits import LIMITS, MIB
from tests.library.files import lines, pdf

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "library-files.md", DOCS / "library-files.zh.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_bounds_and_kinds(page: Path) -> None:
    text = page.read_text("utf-8")
    for number in (LIMITS.characters, LIMITS.pieces, LIMITS.pages, LIMITS.members, LIMITS.ratio, LIMITS.depth):
        assert re.search(rf"\| [^|]*(?<![\d,]){number:,}(?![\d,])", text), number
    for size in (LIMITS.memory, LIMITS.file, LIMITS.unpacked):
        assert f"{size // MIB} MiB" in text
    for seconds in (LIMITS.cpu, round(LIMITS.wall)):
        assert re.search(rf"\| {seconds} (?:s|秒)", text), seconds
    assert set(re.findall(r"`(\.[a-z]+)`", text.split("\n## ")[0])) == set(KINDS)


def test_both_languages_have_the_same_parts() -> None:
    for pattern in (r"^#+ ", r"^\|", r"^```", r"errors(?:\.zh)?\.md#(\S+?)\)"):
        one, other = (len(re.findall(pattern, page.read_text("utf-8"), re.MULTILINE)) for page in PAGES)
        assert one == other > 0


def test_codes_are_those_of_the_pages_of_errors() -> None:
    for page, errors in zip(PAGES, ("errors.md", "errors.zh.md"), strict=True):
        titles = {line[3:].lower() for line in (DOCS / errors).read_text("utf-8").splitlines() if line[:3] == "## "}
        assert set(re.findall(r"errors(?:\.zh)?\.md#(\S+?)\)", page.read_text("utf-8"))) <= titles


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manual.pdf").write_bytes(pdf([lines(["First line", "Second line"])]))
    monkeypatch.chdir(tmp_path)
    examples = [re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL) for page in PAGES]
    for (example,) in examples:
        exec(compile(example, "example", "exec"), {})
    assert capsys.readouterr().out.count("Second line") == 2

"""Synonyms: what is added, where, and which files are refused."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.errors import InputError
from puna.library.segment import query_terms, terms
from puna.library.synonyms import Synonyms

PEAK = Synonyms([["珠穆朗玛峰", "珠峰", "Mount Everest"], ["US", "United States"]])


def finds(question: str, text: str, synonyms: Synonyms) -> bool:
    """Whether every term that is looked for is indexed."""
    return set(query_terms(question)) <= {*terms(text), *synonyms.others(text)}


def test_only_by_them_one_name_finds_another() -> None:
    text = "珠穆朗玛峰高8848米。"
    assert not finds("珠峰", text, Synonyms([]))
    assert finds("珠峰", text, PEAK)
    assert finds("Who climbed mount everest?", f"climbed {text}", PEAK)
    assert finds("珠穆朗玛峰", "We saw MOUNT EVEREST.", PEAK)
    assert not finds("珠峰", "Mount Etna and Everest", PEAK)


def test_the_others_are_added_for_every_place() -> None:
    assert PEAK.others("The United States and the U.S.") == [*terms("US"), *terms("United States")]
    assert PEAK.others("珠峰，珠峰") == 2 * [*terms("珠穆朗玛峰"), *terms("Mount Everest")]


def test_words_are_compared_folded_and_whole() -> None:
    assert PEAK.others("united state") == terms("US")  # of one stem
    assert PEAK.others("珠穆朗瑪峰") == [*terms("珠峰"), *terms("Mount Everest")]
    assert PEAK.others("USA") == []
    assert PEAK.others("United, States") == terms("US")
    assert PEAK.others("他找到了珠。峰顶很冷") == []


def test_a_member_inside_another() -> None:
    both = Synonyms([["New York", "NY"], ["New York City", "NYC"]])
    assert both.others("New York City") == [*terms("NY"), *terms("NYC")]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["珠", "峰", "穆朗玛", "mount", "everest", "us", "united", "states"]), max_size=30))
def test_members_stand_where_the_words_do(words: list[str]) -> None:
    found = PEAK.others(" ".join(words))
    follow = list(itertools.pairwise(words))
    assert found.count("us") == follow.count(("united", "states"))
    assert found.count("unit") == words.count("us")
    long = list(zip(words, words[1:], words[2:], strict=False)).count(("珠", "穆朗玛", "峰"))
    short = follow.count(("珠", "峰"))
    assert found.count("穆朗") == follow.count(("mount", "everest")) + short
    assert found.count("mount") == short + long
    assert found.count("珠峰") == follow.count(("mount", "everest")) + long


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.txt"
    path.write_text("\ufeff# peaks\n\n珠穆朗玛峰， 珠峰、Mount Everest # so far\r\nUS,United States\n", "utf-8")
    read = Synonyms.read(path)
    for text in ("Mount Everest", "珠峰 in the United States", "us"):
        assert read.others(text) == PEAK.others(text)


@pytest.mark.parametrize(
    ("text", "line"), [("a, b\nlonely", 2), ("a,,b", 1), ("a, ...", 1), ("\n\na, b => c", 3), (",", 1)]
)
def test_a_line_that_is_no_group(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "synonyms.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        Synonyms.read(path)
    assert caught.value.code == "E-SYNONYMS-LINE"
    assert caught.value.parameters["line"] == line


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a, b\ncaf\xe9, c\n")
    for name, code in (("missing", "E-FILE-MISSING"), (".", "E-FILE-READ"), ("latin", "E-ROWS-UNICODE")):
        with pytest.raises(InputError) as caught:
            Synonyms.read(tmp_path / name)
        assert caught.value.code == code

"""Sentence ends in English and Chinese."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puna.tokens.sentences import line_of, sentence_at, sentences, sentences_in


def cut(text: str) -> list[str]:
    return [text[a:b] for a, b in sentences(text)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Dr. Smith met Mr. J. R. Green at 5 p.m. on Sunday. They left.",
            ["Dr. Smith met Mr. J. R. Green at 5 p.m. on Sunday.", "They left."],
        ),
        ("It cost $3.5 million. Nobody paid.", ["It cost $3.5 million.", "Nobody paid."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        (
            "见 www.example.com 网站。好的！真的吗？是。",
            ["见 www.example.com 网站。", "好的！", "真的吗？", "是。"],
        ),
        ("他说：“走吧。”我们走了。", ["他说：“走吧。”", "我们走了。"]),
        ("first line\nsecond line of the same", ["first line\nsecond line of the same"]),
        ("a heading\n\nA paragraph.", ["a heading", "A paragraph."]),
        ("- one\n- two\n", ["- one", "- two"]),
        ("no end", ["no end"]),
        ("...", ["..."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_cases(text: str, want: list[str]) -> None:
    assert cut(text) == want


@given(st.text(alphabet="aB .!?。！？\n”\"'；3-", max_size=80))
def test_nothing_is_lost(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(text[a:b].split()) for a, b in found) == "".join(text.split())
    assert all(a < b for a, b in found)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(found))


def test_sentence_of_a_place_and_across_two() -> None:
    text = "One two. Three four. Five."
    assert text[slice(*sentence_at(text, 9, 14))] == "Three four."
    assert text[slice(*sentence_at(text, 4, 14))] == "One two. Three four."


def test_lines_count_from_one() -> None:
    assert [line_of("a\nb\r\nc", place) for place in (0, 2, 5)] == [1, 2, 3]


def test_runs_of_full_stops_are_looked_through_once() -> None:
    # From every place in them anew, this would be 10¹² steps.
    for text in ("." * 10**6 + "x", "?!" * 10**6 + "x", '."' + '"' * 10**6 + "x"):
        assert sentences(text) == ((0, len(text)),)


@given(st.text(alphabet="aB .!?。！\n”", max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_a_part_of_a_text_is_cut_as_if_alone(text: str, start: int, end: int) -> None:
    end = min(end, len(text))
    start = min(start, end)
    if not (start and text[start - 1] in ".!?"):
        found = [(first - start, last - start) for first, last in sentences_in(text, start, end)]
        assert found == list(sentences(text[start:end]))

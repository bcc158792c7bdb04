"""Places are exact."""

from hypothesis import given
from hypothesis import strategies as st

from puna.answer.evidence import evidence, occurrences
from puna.answer.types import Source

TEXT = "He left. 😀 Ann came\non Monday. 好的。"


def test_place_line_sentence_and_utf16() -> None:
    start = TEXT.index("Monday")
    found = evidence(Source("a.txt", TEXT), start, start + 6)
    assert (found.source, found.line) == ("a.txt", 2)
    assert TEXT[found.start : found.end] == "Monday"
    assert found.sentence.text == "😀 Ann came\non Monday."
    assert TEXT[found.sentence.start : found.sentence.end] == found.sentence.text
    assert found.utf16 == (start + 1, start + 7)  # the emoji is two UTF-16 units


@given(st.text(max_size=40), st.data())
def test_utf16_range_cuts_the_same_text(text: str, data: st.DataObject) -> None:
    text = f"{text}。"
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first, last = evidence(Source("s", text), start, end).utf16
    assert text.encode("utf-16-le")[2 * first : 2 * last].decode("utf-16-le") == text[start:end]


def test_occurrences_are_whole_words() -> None:
    assert occurrences("Ann and Anna and Ann", "Ann") == [(0, 3), (17, 20)]
    assert occurrences("珠峰是珠峰", "珠峰") == [(0, 2), (3, 5)]
    assert occurrences("1945 and 19452", "1945") == [(0, 4)]
    assert occurrences("aa", "b") == []

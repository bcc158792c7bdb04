"""Which spans are candidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puna.answer.spans import MAX_CHARS, MAX_WORDS, in_one_line, spans, spans_within


def texts(text: str) -> set[str]:
    return {text[a:b] for a, b in spans(text)}


@pytest.mark.parametrize(
    ("text", "some", "none"),
    [
        ("It cost $1.2 million.", {"$1.2 million", "1.2", "$1.2"}, {"2 million", "1"}),
        ("About 50% of it", {"50%", "50", "About 50%"}, {"5"}),
        ("Einstein's desk", {"Einstein", "Einstein's", "Einstein's desk"}, {"s desk", "s"}),
        ("twenty-one men", {"twenty-one", "one men"}, {"wenty"}),
        ('He sang "Blue Moon" twice', {'"Blue Moon"', "Blue Moon"}, {"lue"}),
        ("珠穆朗玛峰海拔8848米。", {"珠穆朗玛峰", "8848米", "8848", "玛峰"}, {"848米", "米。"}),
        ("他读《红楼梦》。", {"《红楼梦》", "红楼梦"}, {"。"}),
        ("iPhone手机于2007年发布", {"iPhone", "iPhone手机", "2007年"}, {"Phone", "007年"}),
        ("Ana left. Bob came.", {"Ana left", "Bob"}, {"left. Bob"}),
        ("The U.S. Army", {"U.S. Army"}, set()),
        ("", set(), set()),
        ("?!…", set(), set()),
    ],
)
def test_cases(text: str, some: set[str], none: set[str]) -> None:
    found = texts(text)
    assert some <= found
    assert not none & found


def test_longest() -> None:
    words = " ".join(f"w{i}" for i in range(40))
    assert max(len(t.split()) for t in texts(words)) == MAX_WORDS
    assert max(len(t) for t in texts("山" * 60)) == MAX_CHARS


@given(st.text(max_size=60))
def test_every_span_is_inside_and_no_span_twice(text: str) -> None:
    found = spans(text)
    assert len(found) == len(set(found))
    assert all(0 <= a < b <= len(text) and text[a:b].strip() for a, b in found)


@given(st.text(alphabet="aB1 .,'’-!。山中\n", max_size=120), st.data())
def test_a_window_has_the_spans_that_lie_in_it(text: str, data: st.DataObject) -> None:
    """Those of the whole text, so none that begins or ends inside a word or a number."""
    begin, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    want = {(a, b) for a, b in spans(text) if begin <= a and b <= last}
    assert set(spans_within(text, begin, last, MAX_WORDS, MAX_CHARS)) == want


def test_a_window_of_a_long_text_looks_only_around_it() -> None:
    text = "Ann led 1,000 men. 山上有人。" * 200
    every = spans(text)
    for begin, last in ((0, 10), (1000, 1203), (2222, 2999), (len(text) - 20, len(text))):
        want = {(a, b) for a, b in every if begin <= a and b <= last}
        assert set(spans_within(text, begin, last, MAX_WORDS, MAX_CHARS)) == want


def test_one_line() -> None:
    assert in_one_line("a  b\n c") == "a b c"
    assert in_one_line("珠穆\n朗玛 峰 K2\nx") == "珠穆朗玛峰 K2 x"

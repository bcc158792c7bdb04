"""Stop strings: the outcome depends on the text alone, and nothing past them is let through."""

from hypothesis import given
from hypothesis import strategies as st

from puna.decode.stops import StopFilter


def through(stops, pieces):
    stop = StopFilter(stops)
    parts = [stop.feed(piece) for piece in pieces]
    return [*parts, stop.flush()], stop.stopped


def first_complete(stops, text):
    """The plain rule: walk the text until it ends with a stop string; of several, the longest."""
    for end in range(1, len(text) + 1):
        if found := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, found))], True
    return text, False


LETTERS = "ab。"
STOPS = st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=4)


@given(stops=STOPS, pieces=st.lists(st.text(LETTERS, max_size=5), max_size=8))
def test_any_cut_gives_the_plain_rule(stops, pieces):
    parts, stopped = through(stops, pieces)
    assert ("".join(parts), stopped) == first_complete(stops, "".join(pieces))


@given(stops=STOPS, text=st.text(LETTERS, max_size=20))
def test_no_more_is_held_back_than_could_begin_a_stop_string(stops, text):
    stop, given_text, let = StopFilter(stops), "", ""
    for char in text:
        given_text += char
        let += stop.feed(char)
        if stop.stopped:
            return
        held = given_text[len(let) :]
        assert not held or any(s.startswith(held) for s in stops)


def test_without_stop_strings_all_passes_at_once():
    assert through([], ["a", "", "b"]) == (["a", "", "b", ""], False)


def test_a_beginning_that_comes_to_nothing_is_given_later():
    assert through(["END"], ["xE", "N", "x", "E"]) == (["x", "", "ENx", "", "E"], False)


def test_nothing_passes_after_the_stop():
    assert through(["\n\n"], ["a\n", "\nb", "c"]) == (["a", "", "", ""], True)

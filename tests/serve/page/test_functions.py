"""The page's own arithmetic, beside the same written in Python, on random texts."""

import random

import pytest

from puna.answer.evidence import evidence
from puna.answer.types import Source
from tests.serve.page.steps import TEXT

CHARACTERS = "aé 山𠀋🦙\n\r\u0301\u2028."


def run(page, module: str, code: str, argument: object) -> object:
    """Call code of (module, argument) in the page."""
    return page.evaluate(
        f"async argument => {{ const the = await import('./{module}.js'); return {code}; }}", argument
    )


def wide(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def test_offsets_and_lines(visit) -> None:
    page = visit()
    draw = random.Random(7)
    for _ in range(200):
        text = "".join(draw.choices(CHARACTERS, k=draw.randrange(1, 30)))
        points = draw.randrange(len(text) + 1)
        units, lines = run(
            page, "places", "[the.units(argument[0], argument[1]), the.lines(argument[0])]", [text, points]
        )
        assert units == wide(text[:points])
        shown = text.removesuffix("\n").split("\n") if text != "\n" else [""]
        encoded = text.encode("utf-16-le")
        assert [encoded[2 * a : 2 * b].decode("utf-16-le") for a, b in lines] == shown


def test_sentences_are_cut_at_the_answer(visit) -> None:
    page = visit()
    draw = random.Random(8)
    for _ in range(100):
        text = "x" + "".join(draw.choices(CHARACTERS, k=draw.randrange(1, 40))) + "y"
        start = draw.randrange(len(text))
        end = draw.randrange(start + 1, len(text) + 1)
        place = evidence(Source("a", text), start, end)
        given = {
            "start": start,
            "end": end,
            "sentence": {"text": place.sentence.text, "start": place.sentence.start},
        }
        before, answer, after = run(page, "places", "the.parts(argument)", given)
        assert answer == text[start:end]
        assert before + answer + after == place.sentence.text


def test_marks_cover_what_they_should(visit) -> None:
    page = visit()
    draw = random.Random(9)
    for _ in range(100):
        start, end = 10, draw.randrange(11, 40)
        ranges = [sorted(draw.sample(range(50), 2)) for _ in range(draw.randrange(5))]
        found = run(page, "places", "the.pieces(...argument)", [start, end, ranges])
        assert [piece[0] for piece in found] == [start, *(piece[1] for piece in found[:-1])]
        assert found[-1][1] == end
        for first, last, holding in found:
            for at in range(first, last):
                assert holding == [n for n, (a, b) in enumerate(ranges) if a <= at < b]


@pytest.mark.parametrize("rows", [37, 760])
def test_reliability_from_the_curve(visit, rows: int) -> None:
    page = visit()
    draw = random.Random(rows)
    said = sorted((draw.random() for _ in range(rows)), reverse=True)
    right = [draw.random() < share for share in said]
    curve = [
        (said[n], (n + 1) / rows, (right[: n + 1].count(False) + 1) / (n + 2)) for n in range(rows)
    ]  # as puna.evaluate.calibrate writes it
    groups = run(page, "measured", "the.tenths(argument)", {"rows": rows, "curve": curve})
    begin = 0
    for group in groups:
        end = begin + group["count"]
        assert group["right"] == pytest.approx(sum(right[begin:end]) / group["count"])
        assert group["said"] == pytest.approx(sum(said[begin:end]) / group["count"])
        begin = end
    assert begin == rows
    assert len(groups) <= 10


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (TEXT, "en"),
        ("珠穆朗玛峰", "zh"),
        ("エベレスト山", "ja"),
        ("에베레스트", "ko"),
        ("1921", ""),
        ("山 the end", "en"),
    ],
)
def test_languages_of_quotes(visit, text: str, language: str) -> None:
    assert run(visit(), "words", "the.languageOf(argument)", text) == language


def test_probabilities_in_words(visit) -> None:
    page = visit()
    wanted = {0: "0%", 0.001: "<1%", 0.0149: "1%", 0.5: "50%", 0.9949: "99%", 0.997: ">99%", 1: "100%"}
    for value, told in wanted.items():
        assert run(page, "words", "the.percent(argument)", value) == told
    words = [(1, "virtually certain"), (0.9, "very likely"), (0.66, "likely"), (0.5, "about as likely as not")]
    words += [(0.2, "unlikely"), (0.05, "very unlikely"), (0, "almost impossible")]
    page.evaluate("async () => (await import('./words.js')).speak('en')")
    for value, told in words:
        assert run(page, "words", "the.inWords(argument)", value) == told

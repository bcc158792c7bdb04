"""Citations against a document that is put together piece by piece, every character's origin known."""

import random

import pytest

from puna.answer.evidence import evidence
from puna.answer.types import Passage, Source
from puna.library.cite import FoundPassage, Original, boxes_of, cite, headings_of, original_of, page_of
from puna.library.limits import Limits
from puna.library.readers import read
from puna.library.types import Block, Box, Document, Mark


def extracted(rng: random.Random) -> tuple[Document, list[tuple[str, int, int] | None]]:
    """A text of runs from several parts, line ends put between some; and where each character comes from."""
    text, marks, origins = "", [], []
    for _ in range(rng.randint(1, 12)):
        if rng.random() < 0.3:
            marks.append(Mark(len(text), None))
            text, origins = text + "\n\n", [*origins, None, None]
            continue
        part, at, size = rng.choice(("", "one.xhtml", "two.xhtml")), rng.randrange(1000), rng.randint(1, 9)
        width = rng.choice((1, 1, 5))  # 5: the run begins with a character that is written as &amp;
        marks.append(Mark(len(text), at, part, width))
        places = [(part, at, at + width), *((part, at + n, at + n + 1) for n in range(1, size))]
        text, origins = text + "x" * size, [*origins, *places]
    return Document(text, marks=tuple(marks)), origins


@pytest.mark.parametrize("seed", range(30))
def test_the_original_of_every_place(seed: int) -> None:
    document, origins = extracted(random.Random(seed))
    for start in range(len(document.text)):
        for end in range(start + 1, len(document.text) + 1):
            first, last = origins[start], origins[end - 1]
            known = first and last and first[0] == last[0] and first[1] < last[2]
            want = Original(first[0], first[1], last[2]) if first and last and known else None
            assert original_of(document, start, end) == want


@pytest.mark.parametrize(
    ("suffix", "content", "found", "there"),
    [
        (".html", "<p>By AT&amp;T and Bob.</p>", "AT&T", "AT&amp;T"),
        (".html", "<p>By Bob &amp; Co&period;</p>", "Bob & Co.", "Bob &amp; Co&period;"),
        (".jsonl", '{"a": "By Caf\\u00e9"}', "Café", "Caf\\u00e9"),
    ],
)
def test_a_place_that_ends_in_a_reference(suffix: str, content: str, found: str, there: str) -> None:
    document = read(suffix, bytearray(content.encode()), Limits())
    start = document.text.index(found)
    original = original_of(document, start, start + len(found))
    assert original is not None
    assert content[original.start : original.end] == there


def test_a_file_that_is_its_own_text_has_no_other_place() -> None:
    assert original_of(Document("Ann came."), 0, 3) is None


@pytest.mark.parametrize("seed", range(10))
def test_pages_and_boxes(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.randint(0, 30) for _ in range(6)]  # a page may be empty
    pages = [page for page, size in enumerate(sizes, 1) for _ in range(size)]
    starts = tuple(sum(sizes[:n]) for n in range(6))
    boxes = tuple(
        Box(start, min(start + 7, len(pages)), pages[start], 0, 0, 1, 1) for start in range(0, len(pages), 7)
    )
    document = Document("x" * len(pages), pages=starts, boxes=boxes)
    for start in range(len(pages)):
        assert page_of(document, start) == pages[start]
        end = rng.randint(start + 1, len(pages))
        assert boxes_of(document, start, end) == tuple(
            box for box in boxes if set(range(box.start, box.end)) & set(range(start, end))
        )
    assert page_of(Document("x"), 0) is None


def test_headings_over_a_place() -> None:
    lines = [("Book", 1), ("a", 0), ("One", 2), ("b", 0), ("Deep", 4), ("c", 0), ("Two", 2), ("d", 0), ("Next", 1)]
    text, blocks = "", []
    for line, level in lines:
        blocks.append(Block(len(text), len(text) + len(line), "heading" if level else "text", level))
        text += line + "\n"
    document = Document(text, blocks=tuple(blocks))
    over = {word: headings_of(document, text.index(word)) for word in ("Book", "One", "Deep", "Two", "Next")}
    assert over == {"Book": (), "One": ("Book",), "Deep": ("Book", "One"), "Two": ("Book",), "Next": ()}
    assert [headings_of(document, text.index(f"{c}\n")) for c in "abcd"] == [
        ("Book",),
        ("Book", "One"),
        ("Book", "One", "Deep"),
        ("Book", "Two"),
    ]


def test_a_citation_has_everything() -> None:
    text = "Walks\nThe walk was led by Ann Lee on 3 May.\n"
    document = Document(
        text,
        "A log",
        blocks=(Block(0, 5, "heading", 1), Block(6, 43)),
        pages=(0, 6),
        boxes=(Box(0, 5, 1, 1, 2, 3, 4), Box(6, 43, 2, 5, 6, 7, 8)),
        marks=(Mark(0, 100, "a.xhtml"), Mark(5, None), Mark(6, 300, "a.xhtml")),
    )
    passages = [
        FoundPassage("other", "", 0, 50, 1, None, (), "", 1.0, 0.5),
        FoundPassage("log", "", 0, 10, 1, None, (), "", 1.0, 0.3),
        FoundPassage("log", "", 0, 43, 1, None, (), "", 1.0, 0.2),
    ]
    start = text.index("Ann")
    place = evidence(Source("log", text), start, start + 7)
    found = cite(place, document, passages)
    assert (found.source, found.start, found.end, found.line) == ("log", start, start + 7, 2)
    assert place.sentence.start == 0
    assert (found.sentence, found.utf16, found.loss) == (Passage(text[6:43], 6, 43), place.utf16, None)
    assert (found.title, found.page, found.headings, found.passage) == ("A log", 2, ("Walks",), 2)
    assert found.boxes == (Box(6, 43, 2, 5, 6, 7, 8),)
    assert found.original == Original("a.xhtml", 300 + start - 6, 300 + start - 6 + 7)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ("Ann Lee", "The walk was led by Ann Lee"),
        ("Walks", "Walks"),
        ("4810", "Mont Blanc | 4810"),
        ("8848\nMont", "Everest | 8848\nMont Blanc | 4810"),
        ("Lee\nEverest", "The walk was led by Ann Lee\nEverest | 8848"),
    ],
)
def test_a_sentence_ends_with_its_block(found: str, want: str) -> None:
    lines = ["Walks", "The walk was led by Ann Lee", "Everest | 8848", "Mont Blanc | 4810", "The end"]
    text = "\n".join(lines)
    starts = [text.index(line) for line in lines]
    ends = [start + len(line) for start, line in zip(starts, lines, strict=True)]
    blocks = (
        Block(0, ends[0], "heading", 1),
        Block(starts[1], ends[1]),
        Block(starts[2], ends[3], "table"),
        Block(starts[4], ends[4]),
    )
    start = text.index(found)
    place = evidence(Source("log", text), start, start + len(found))
    passage = FoundPassage("log", "", 0, len(text), 1, None, (), text, 1.0, 1.0)
    sentence = cite(place, Document(text, blocks=blocks), [passage]).sentence
    assert sentence.text == want == text[sentence.start : sentence.end]

"""Passages: nothing is lost, no answer is cut; rules held against counts made a second way."""

import itertools
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.errors import InputError
from puna.library.passages import OVERLAP, SIZE, passages
from puna.library.types import Block, Document, Passage
from puna.tokens.sentences import sentences

HAN = r"[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff]"
MARKED = "e\u0301", "क\u093f", "\u0e01\u0e33", "👍\U0001f3fd", "👩\u200d🔬"
KINDS = ("text", "text", "heading", "table", "row", "code")
# Long enough to be cut, of all that has to do with where: words, sentence ends, quotes, spaces, marks, endless runs.
SHORT = "a|bc|word |two words |Dr. |end. |End? |山|峰|。|！”|他说：“|\n|  |\u3000|- |3.5|don't |(see |) |！\ufe0f"
WORDS = st.sampled_from([*SHORT.split("|"), "|", "x" * 60, "-" * 60, "。" * 30, *MARKED])
TEXTS = st.lists(WORDS, max_size=30).map("".join)


def clusters(text: str) -> list[str]:
    """Characters with the marks on them, and what a joiner joins."""
    found: list[str] = []
    for c in text:
        mark = unicodedata.combining(c) or unicodedata.category(c)[0] == "M" or c in "\u200d\U0001f3fd"
        if found and not found[-1].isspace() and (mark or found[-1].endswith("\u200d")):
            found[-1] += c
        else:
            found.append(c)
    return found


def count(text: str) -> int:
    """Units, one cluster after the other: signs, then a Chinese character or letters, then signs; 24 of each at most."""
    total = white = 0
    stage, some = "end", 0
    for cluster in clusters(text):
        if cluster.isspace():
            white += 1
            stage = "end"
            continue
        kind = "han" if re.match(HAN, cluster) else "letter" if re.match(r"\w", cluster) else "sign"
        total += white // 64 if total else 0
        white = 0
        goes_on = {
            "end": False,
            "before": kind != "sign" or some < 24,
            "han": kind == "sign",
            "letter": kind == "sign" or (kind == "letter" and some < 24),
            "after": kind == "sign" and some < 24,
        }[stage]
        if not goes_on:
            total += 1
            stage, some = {"sign": "before"}.get(kind, kind), 1
        elif kind == "sign" and stage in ("han", "letter"):
            stage, some = "after", 1
        elif kind != "sign" and stage == "before":
            stage, some = kind, 1
        else:
            some += 1
    return total


def document(parts: list[tuple[str, str, int]]) -> Document:
    """Blocks parted by blank lines; what is blank is none."""
    text, blocks = "", []
    for kind, piece, level in parts:
        if kind in ("heading", "row"):
            piece = " ".join(piece.split())
        if piece := piece.strip():
            blocks.append(Block(len(text), len(text) + len(piece), kind, level if kind == "heading" else 0))
            text += piece + ("\n" if kind == "row" else "\n\n")
    return Document(text, blocks=tuple(blocks))


DOCUMENTS = st.lists(st.tuples(st.sampled_from(KINDS), TEXTS, st.integers(1, 3)), max_size=8).map(document)
SIZES = st.sampled_from([(8, 2), (12, 3), (40, 10)])


def whole(found: list[Passage], start: int, end: int) -> bool:
    return any(p.start <= start and end <= p.end for p in found)


def parts(made: Document) -> list[tuple[int, int]]:
    """Blocks, and the rows of tables."""
    found = []
    for block in made.blocks:
        if block.kind == "table":
            lines = re.finditer(r"\S(?:[^\n]*\S)?", made.text[block.start : block.end])
            found += [(block.start + line.start(), block.start + line.end()) for line in lines]
        else:
            found.append((block.start, block.end))
    return found


@settings(deadline=None)
@given(DOCUMENTS, SIZES)
def test_every_visible_character_stands_in_one_and_they_rise(made: Document, sizes: tuple[int, int]) -> None:
    found = passages(made, *sizes)
    covered = {place for p in found for place in range(p.start, p.end)}
    assert covered >= {place for place, c in enumerate(made.text) if not c.isspace()}
    for p in found:
        assert p.text == made.text[p.start : p.end] == p.text.strip()
        assert p.text
    assert all(a.start < b.start and a.end < b.end for a, b in itertools.pairwise(found))


@settings(deadline=None)
@given(DOCUMENTS, SIZES)
def test_none_is_larger_than_said(made: Document, sizes: tuple[int, int]) -> None:
    assert all(count(p.text) <= sizes[0] for p in passages(made, *sizes))


@settings(deadline=None)
@given(DOCUMENTS, SIZES)
def test_no_short_span_of_a_block_is_cut(made: Document, sizes: tuple[int, int]) -> None:
    # Every visible character counts as at most one unit.
    found = passages(made, *sizes)
    for start, end in parts(made):
        visible = [place for place in range(start, end) if not made.text[place].isspace()]
        for first, last in zip(visible, visible[sizes[1] - 1 :], strict=False):
            if last - first < 64:
                assert whole(found, first, last + 1)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["word", "other,", "end.", "山", "Dr."]), min_size=1, max_size=80), SIZES)
def test_no_span_of_so_many_words_is_cut(words: list[str], sizes: tuple[int, int]) -> None:
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    text = " ".join(words)
    found = passages(Document(text), *sizes)
    for first in range(len(words)):
        last = min(first + sizes[1], len(words)) - 1
        assert whole(found, ends[first] - len(words[first]) - 1, ends[last] - 1)
    assert all(len(p.text.split()) <= sizes[0] for p in found)


@settings(deadline=None)
@given(DOCUMENTS, SIZES)
def test_no_sentence_and_no_row_is_cut_that_fits(made: Document, sizes: tuple[int, int]) -> None:
    found = passages(made, *sizes)
    kinds = {start: block.kind for block in made.blocks for start in range(block.start, block.end)}
    for start, end in parts(made):
        if kinds[start] == "code":
            continue
        inside = [(start + a, start + b) for a, b in sentences(made.text[start:end])]
        inside = [(a + (made.text[a] == "\ufe0f"), b) for a, b in inside]  # it belongs to the sign before it
        inside = [(a, b) for a, b in inside if a < b]
        for a, b in inside:
            assert count(made.text[a:b]) > sizes[0] or whole(found, a, b)
        if kinds[start] in ("row", "table") and not re.search(r"\s{64}", made.text[start:end]):
            assert sum(count(made.text[a:b]) for a, b in inside) > sizes[0] or whole(found, start, end)


@settings(deadline=None)
@given(DOCUMENTS, SIZES)
def test_no_character_is_parted_from_its_marks(made: Document, sizes: tuple[int, int]) -> None:
    borders = {0, *itertools.accumulate(map(len, clusters(made.text)))}
    assert all({p.start, p.end} <= borders for p in passages(made, *sizes))


@settings(deadline=None)
@given(DOCUMENTS, SIZES)
def test_only_tiny_parts_are_joined_over_a_heading(made: Document, sizes: tuple[int, int]) -> None:
    for p in passages(made, *sizes):
        inside = [block for block in made.blocks if p.start <= block.start < p.end]
        borders = [b for a, b in itertools.pairwise(inside) if b.kind == "heading" and a.kind != "heading"]
        borders += [b for a, b in itertools.pairwise(inside) if "row" in (a.kind, b.kind)]
        if borders:
            last = max(block.start for block in borders)
            assert count(made.text[p.start : last]) <= sizes[0] // 4
            assert count(made.text[last : p.end]) <= sizes[0] // 4


def cut(text: str, *blocks: Block, size: int = 8, overlap: int = 2) -> list[tuple[str, tuple[str, ...]]]:
    return [(p.text, p.headings) for p in passages(Document(text, blocks=blocks), size, overlap)]


def laid(*parts: tuple[str, str] | tuple[str, str, int], between: str = "\n\n") -> tuple[str, list[Block]]:
    """A text of parts (kind, text, level) and where they are."""
    text, blocks = "", []
    for kind, piece, *level in parts:
        blocks.append(Block(len(text), len(text) + len(piece), kind, *level))
        text += piece + between
    return text, blocks


def test_a_short_text_is_one_passage_and_a_blank_one_is_none() -> None:
    assert cut("  One. Two.\n") == [("One. Two.", ())]
    assert cut(" \n ") == []
    assert cut("") == []


def test_english_ends_with_sentences_and_shares_some() -> None:
    text = "Dr. Who went to the hill. He saw it. It was the highest one there. Then he left."
    assert [p for p, _ in cut(text, size=12, overlap=3)] == [
        "Dr. Who went to the hill. He saw it.",
        "He saw it. It was the highest one there. Then he left.",
    ]


def test_chinese_ends_with_sentences_and_their_quotes() -> None:
    text = "他说：“走吧！”山很高。我们走了很久；后来下雨了。"
    assert [p for p, _ in cut(text, size=12, overlap=3)] == [
        "他说：“走吧！”山很高。",
        "山很高。我们走了很久；",
        "很久；后来下雨了。",
    ]


def test_a_long_sentence_is_cut_between_words() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    found = [p for p, _ in cut(text)]
    assert found == ["one two three four five six seven eight", "eight nine ten eleven twelve"]


def test_endless_lines_are_cut() -> None:
    for sign in ("x", "-", "山", "e\u0301", "。", "\u0301"):
        found = cut(sign * 30_000)
        assert len(found) > 1
        assert all(len(text) < 10_000 for text, _ in found)
    assert [text for text, _ in cut("a" + " " * 10**6 + "b")] == ["a", "b"]


def test_a_section_keeps_its_heading_and_its_path() -> None:
    text, blocks = laid(
        ("heading", "Hills", 1),
        ("heading", "High\n ones", 2),
        ("text", "one two three four five six seven eight nine ten."),
        ("heading", "Low ones\n----", 2),
        ("text", "one two three four five."),
        ("heading", "## Lakes ##", 1),
        ("text", "one two three four five."),
    )
    assert cut(text, *blocks) == [
        ("Hills\n\nHigh\n ones\n\none two three four five", ("Hills", "High ones")),
        ("five six seven eight nine ten.", ("Hills", "High ones")),
        ("Low ones\n----\n\none two three four five.", ("Hills", "Low ones")),
        ("## Lakes ##\n\none two three four five.", ("Lakes",)),
    ]


def test_tiny_sections_are_joined_under_what_they_share() -> None:
    parts = [("heading", "A", 1), ("heading", "B", 2), ("text", "b"), ("heading", "C", 2), ("text", "c")]
    text, blocks = laid(*parts, ("heading", "D", 2), ("text", "one two three four five six"))
    assert cut(text, *blocks, size=12, overlap=3) == [
        ("A\n\nB\n\nb\n\nC\n\nc", ("A",)),
        ("D\n\none two three four five six", ("A", "D")),
    ]


def test_paths_have_bounds() -> None:
    parts = [("heading", f"{n} " + "x" * 1000, n) for n in range(1, 100)]
    text, blocks = laid(*parts, ("text", "a b c"))
    *_, (_, path) = cut(text, *blocks)
    assert len(path) == 8
    assert all(len(heading) <= 120 for heading in path)
    assert path[-1].startswith("99 x")


def test_rows_of_a_table_stay_whole_and_know_their_head() -> None:
    table = "| name | height |\n|---|--:|\n| Ben Nevis | 1345 m |\n| Snowdon | 1085 m |\n| Scafell Pike | 978 m |"
    assert cut(table, Block(0, len(table), "table"), size=16, overlap=4) == [
        ("| name | height |\n|---|--:|\n| Ben Nevis | 1345 m |", ()),
        ("| Snowdon | 1085 m |\n| Scafell Pike | 978 m |", ("name | height",)),
    ]
    bare = "Ben Nevis\t1345 m\nSnowdon\t1085 m\nScafell Pike\t978 m\n"
    assert cut(bare, Block(0, len(bare), "table")) == [
        ("Ben Nevis\t1345 m\nSnowdon\t1085 m", ()),
        ("Scafell Pike\t978 m", ()),
    ]


def test_rows_of_a_file_stand_alone_unless_they_are_tiny() -> None:
    rows = ["a,b", "c,d", "one,two,three,four,five", "six,seven,eight,nine", "i,j"]
    text, blocks = laid(*(("row", row) for row in rows), between="\n")
    assert [p for p, _ in cut(text, *blocks, size=12, overlap=3)] == ["a,b\nc,d", *rows[2:]]


def test_code_is_cut_at_lines() -> None:
    text = "x = 1.  5\ny = 2\n\nz = 3"
    assert [p for p, _ in cut(text, Block(0, len(text), "code"))] == [
        "x = 1.  5\ny = 2",
        "y = 2\n\nz = 3",
    ]


@pytest.mark.parametrize(("size", "overlap"), [(8, 0), (8, 3), (0, 0), (160, -1)])
def test_sizes_that_cannot_be(size: int, overlap: int) -> None:
    with pytest.raises(InputError) as caught:
        passages(Document("a"), size, overlap)
    assert caught.value.code == "E-PASSAGE-SIZE"


def test_what_is_usual() -> None:
    text = " ".join(f"w{n}" for n in range(1000))
    found = passages(Document(text))
    assert len(found[0].text.split()) == SIZE
    assert len(set(found[0].text.split()) & set(found[1].text.split())) == OVERLAP - 1

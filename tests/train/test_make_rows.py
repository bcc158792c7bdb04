"""Rows made of plain text: offsets, answers and questions checked against the texts themselves, on random ones too."""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puna.errors import InputError
from puna.evaluate.rows import question_row, read_rows
from puna.train.make_rows import KINDS, Made, make_rows
from puna.train.rows_passages import passages
from puna.train.rows_text import read_paragraphs

NAMES = "Astrid Halvorsen|Bram Castell|Keiko Jansen|Lake Orvanta|Mount Pell|Tarvik|Quorin Bridge|Elif Abara".split(
    "|"
)
HAN_NAMES = "青石桥|望云楼|北山书院|柳河镇|白塔寺|长宁渡口|石门水库".split("|")
THINGS = "lantern harvest copper windmill ferry orchard granite harbour timber meadow".split()
HAN_THINGS = "木料 粮食 石碑 旧船 书信 灯笼 铜钟 花园 水车 药材".split()


def english(draw: random.Random) -> str:
    name, thing, other = draw.choice(NAMES), draw.choice(THINGS), draw.choice(THINGS)
    return draw.choice(
        (
            f"In {draw.randint(1500, 1999)}, the old {thing} was moved to {name} by the people of the valley.",
            f"The {thing} near {name} was kept by {draw.choice(NAMES)}, who had {draw.randint(11, 900)} sheep there.",
            f"Nobody knew why {name} had left the {other} beside the {thing} that winter, although many asked.",
            f"About the {other} of {name} it is told that {draw.randint(20, 90)} boats came for it every spring.",
            f"{name} said that the {thing} would never be sold (it was), but nobody believed it for long.",
            f'"We saw {name} at the {thing}," they wrote on {draw.randint(2, 28)} May {draw.randint(1800, 1950)}.',
        )
    )


def chinese(draw: random.Random) -> str:
    name, thing = draw.choice(HAN_NAMES), draw.choice(HAN_THINGS)
    return draw.choice(
        (
            f"{draw.randint(1500, 1999)}年，乡民把{thing}运到了{name}，从此那里热闹了许多。",
            f"当地人都说，{name}的{thing}共有{draw.randint(11, 900)}件，没有一件是新的。",
            f"《{name}志》里记着，{draw.choice(HAN_THINGS)}是在{name}，不在别处。",
            f"后来，{name}被大水冲毁，{thing}也就没有人再提起了。",
            f"他问起“{thing}”，老人指着{name}，笑而不答，过了很久才开口。",
        )
    )


def document(seed: int, number: int = 60) -> str:
    draw = random.Random(seed)
    write, gap = (chinese, "") if seed % 2 else (english, " ")
    ends = [draw.choice((gap, gap, gap, "\n\n", "\n")) for _ in range(number)]
    return "".join(write(draw) + end for end in ends)


def made_of(*files: Path, **options: Any) -> list[dict[str, Any]]:
    return list(make_rows(files, Made(), **options))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "walk.txt").write_text(document(0), "utf-8")
    (folder / "山.md.gz").write_bytes(gzip.compress(document(1).encode()))
    texts = [{"doc_id": f"d{n}", "title": None, "text": document(n, 25)} for n in range(2, 12)]
    whole = [{"title": f"t{n // 3}", "context": document(n, 9)} for n in range(12, 30)]
    lines = [json.dumps(row, ensure_ascii=bool(n % 2)) for n, row in enumerate([*texts, *whole, *whole[:4]])]
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def rows(corpus: list[Path]) -> list[dict[str, Any]]:
    return made_of(*corpus, unanswerable=0.2, seed=5)


def test_every_row_is_accepted_and_answers_stand_where_they_say(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    read = read_rows(path, question_row)
    assert [row.id for row in read] == [row["id"] for row in rows]
    assert len({row.id for row in read}) == len(read) > 100
    for row in rows:
        assert row["unanswerable"] == (not row["answers"]) == (row["kind"] == "unanswerable")
        for answer in row["answers"]:
            text, start = answer["text"], answer["start"]
            assert start >= 0
            assert row["context"][start : start + len(text)] == text == text.strip() != ""
            assert not re.fullmatch(r"\W*", text)


def test_every_kind_in_both_languages(rows: list[dict[str, Any]]) -> None:
    found = Counter((row["kind"], bool(re.search("[一-鿿]", row["context"]))) for row in rows)
    assert set(found) == {(kind, han) for kind in KINDS for han in (False, True)}


def test_no_row_twice(rows: list[dict[str, Any]]) -> None:
    assert len({(row["context"], row["question"]) for row in rows}) == len(rows)


def test_questions_of_a_passage_share_its_context(rows: list[dict[str, Any]]) -> None:
    contexts: dict[str, set[str]] = {}
    for row in rows:
        contexts.setdefault(row["id"].rpartition("-")[0], set()).add(row["context"])
    assert all(len(each) == 1 for each in contexts.values())
    assert len(contexts) == len({context for each in contexts.values() for context in each})


def around(question: str) -> list[str]:
    """The pieces of a question left and right of its blank, without what a question adds or trims."""
    return [part.strip() for part in question.split("___")]


def test_the_sentence_of_a_recurring_span_is_gone_and_the_span_is_not(rows: list[dict[str, Any]]) -> None:
    blanks = 0
    for row in rows:
        if row["kind"] != "recurring" or "___" not in row["question"]:
            continue
        blanks += 1
        left, right = around(row["question"])
        for answer in row["answers"]:
            filled = f"{left} {answer['text']} {right}"
            assert "".join(filled.split()) not in "".join(row["context"].split())
            assert answer["text"].casefold() not in row["question"].casefold()
    assert blanks > 20


def test_a_cloze_aligns_with_a_sentence_of_the_context(rows: list[dict[str, Any]]) -> None:
    seen = 0
    for row in rows:
        if row["kind"] == "cloze":
            seen += 1
            left, right = ("".join(part.split()) for part in around(row["question"]))
            (answer,) = row["answers"]
            filled = left + "".join(answer["text"].split()) + right
            assert filled in "".join(row["context"].split())
    assert seen > 20


def test_what_has_no_answer_does_not_stand_in_the_context(corpus: list[Path]) -> None:
    every = "".join(
        gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
        for path in corpus
    )
    whole = "".join(every.split())
    checked = 0
    for row in made_of(*[path for path in corpus if path.suffix != ".jsonl"], unanswerable=1.0, seed=2):
        assert row["kind"] == "unanswerable"
        left, right = ("".join(part.split()) for part in [*around(row["question"]), ""][:2])
        if "___" not in row["question"] or not left or not right:
            continue
        lost = re.findall(re.escape(left) + "(.{1,40}?)" + re.escape(right), whole)
        assert lost
        context = "".join(row["context"].split()).casefold()
        checked += 1
        assert any(answer.casefold() not in context for answer in lost)
    assert checked > 10


def test_share_of_rows_without_an_answer(corpus: list[Path]) -> None:
    assert not any(row["unanswerable"] for row in made_of(*corpus, unanswerable=0))
    found = made_of(*corpus, unanswerable=0.5)
    share = sum(row["unanswerable"] for row in found) / len(found)
    assert 0.3 < share < 0.7


def test_at_most_so_many_of_a_passage(corpus: list[Path]) -> None:
    for number in (1, 3):
        counts = Counter(row["id"].rpartition("-")[0] for row in made_of(*corpus, per_passage=number))
        assert max(counts.values()) == number


def test_same_seed_same_rows(corpus: list[Path]) -> None:
    assert made_of(*corpus, seed=7) == made_of(*corpus, seed=7)
    assert made_of(*corpus, seed=7) != made_of(*corpus, seed=8)


def test_a_repeated_passage_is_counted_and_left_out(corpus: list[Path]) -> None:
    made = Made()
    found = list(make_rows([*corpus, *corpus], made))
    assert found == made_of(*corpus)
    assert made.repeated >= 4 + 18  # four of one file, all contexts of the second round
    assert made.rows == len(found)


def test_passages_are_of_their_size_and_lose_no_sentence(tmp_path: Path) -> None:
    draw = random.Random(4)
    for han in (False, True):
        sentences = [(chinese if han else english)(draw) for _ in range(200)]
        path = tmp_path / "text.txt"
        path.write_text("\n\n".join(sentences), "utf-8")
        found = [each.text for each in passages(read_paragraphs(path, 0, lambda done: None), seed=1)]
        sizes = [len(re.sub(r"\s", "", each)) if han else len(each.split()) for each in found]
        low, high = (200, 500) if han else (100, 250)
        assert all(low <= size <= high * 1.02 for size in sizes)  # a year and its dash are one word or two
        assert len(set(sizes)) > 3
        joined = "".join(sentences)
        kept = "".join("".join(found).split())
        assert "".join(joined.split()).startswith(kept)  # in order, only a last piece is missing
        assert len(kept) > 0.9 * len("".join(joined.split()))


def paragraphs(path: Path) -> Iterator[str]:
    return (each.text for each in read_paragraphs(path, 0, lambda done: None))


def test_markdown_and_tokenised_text_become_running_text(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# Head\n\nThis is **bold** and [a link](https://x.y/z) in a line that is\nwrapped by hand.<!-- no -->\n"
        "- one item\n- _two_ items, snake_case_name\n\n| a | b |\n|---|---|\n\n```\ncode()\n\nmore()\n```\n\nThe end.\n",
        "utf-8",
    )
    assert list(paragraphs(path)) == [
        "This is bold and a link in a line that is wrapped by hand.",
        "- one item",
        "- two items, snake_case_name",
        "The end.",
    ]
    path = tmp_path / "wiki.txt"
    path.write_text(
        " = Lobster = \n \n It weighs 0 @.@ 7 – 2 @.@ 2 kg ( 5 lb ) , and 1 @,@ 000 are red @-@ tipped . \n"
        ' = = Diet = = \n \n The " cutter " is the lobster \'s claw ; it cuts . \n',
        "utf-8",
    )
    found = list(read_paragraphs(path, 0, lambda done: None))
    assert [each.text for each in found] == [
        "It weighs 0.7–2.2 kg (5 lb), and 1,000 are red-tipped.",
        'The "cutter" is the lobster\'s claw; it cuts.',
    ]
    assert {each.title for each in found} == {"Lobster"}


def test_contexts_stay_whole_and_share_a_document_with_their_title(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    whole = [("a", "One  [x](y).\n\nTwo."), ("a", "Three."), ("b", "Four."), (None, "Five.")]
    path.write_text("\n".join(json.dumps({"title": t, "context": c}) for t, c in whole), "utf-8")
    found = list(read_paragraphs(path, 3, lambda done: None))
    assert [each.text for each in found] == [context for _, context in whole]
    assert [each.document - found[0].document for each in found] == [0, 0, 1, 2]


@pytest.mark.parametrize("packed", [False, True])
def test_other_bytes_than_utf8_are_told_with_their_line(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "text.txt"
    raw = "安走在前面。\n".encode() * 3 + "安".encode("gb18030") + b"\n"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(InputError) as error:
        made_of(path)
    assert (error.value.code, error.value.parameters["line"]) == ("E-ROWS-UNICODE", 4)


def test_a_line_without_end_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    draw = random.Random(9)
    path.write_text("".join(chinese(draw) for _ in range(40_000)), "utf-8")
    reached: list[int] = []
    pieces = [each.text for each in read_paragraphs(path, 0, reached.append)]
    assert max(len(each.encode()) for each in pieces) < (1 << 20) + 4  # a character goes on
    assert "".join(pieces) == path.read_text("utf-8")
    assert reached == sorted(reached)
    assert reached[0] < reached[-1] == path.stat().st_size

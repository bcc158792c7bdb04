"""A question to a library: one mixture over the passages that were found, with citations."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import puna
from puna.answer.inquiry import _TOLERANCE
from puna.answer.reader import Reader
from puna.answer.types import Source
from puna.errors import InputError, LibraryError
from puna.library.library import Library
from puna.library.retrieve import TEMPERATURE, priors
from puna.library.segment import query_terms
from puna.library.store import open_store
from puna.library.types import Block, Document, Passage, Store
from puna.tokens.tokenizer import Tokenizer
from puna.weights.kept_folder import KeptFolder
from tests.answer.every_span import every_span
from tests.answer.test_real_texts import GAPS, PARTS, QUESTION, random_case
from tests.cli.tiny_file import write_tiny
from tests.rank.test_shelf import counting
from tests.tokens.vocabularies import byte_level_metadata, train_byte_level


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_gguf(
        byte_level_metadata(train_byte_level(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), None)
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "library", create=True)
    yield opened
    opened.close()


def put(store: Store, path: str, text: str, places: list[tuple[int, int]], **more: object) -> None:
    document = Document(text, **more)
    store.put(path, "ab" * 32, len(text), document, [Passage(a, b, text[a:b]) for a, b in places])


def overlapping(size: int, length: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + length, size)) for start in range(0, max(size - length + step, 1), step)]


def some_texts(rng: random.Random, count: int) -> dict[str, str]:
    return {
        f"{n}.txt": "".join(rng.choice(PARTS) + rng.choice(GAPS) for _ in range(rng.choice((20, 60)))).strip()
        for n in range(count)
    }


def plain(found: puna.LibraryAnswers) -> dict[str, object]:
    return {name: value for name, value in asdict(found).items() if name != "elapsed_ms"}


@pytest.mark.parametrize("seed", range(6))
def test_equals_scoring_every_span_of_every_passage(seed: int, store: Store, tokenizer: Tokenizer) -> None:
    """Search, priors, reading, mixing: against BM25's own numbers and every (passage, span)."""
    rng = random.Random(seed)
    reader, _ = random_case(seed, tokenizer)
    texts = some_texts(rng, 6)
    for path, text in texts.items():
        put(store, path, text, overlapping(len(text), 90, 60))
    found = Library("here", store, reader).ask(QUESTION, passages=5, exact=True, group=False)
    hits = store.search(query_terms(QUESTION), 5)
    chances = priors([hit.score for hit in hits], TEMPERATURE)
    names = sorted(texts)
    paths = {entry.id: entry.path for entry in store.entries()}
    weights: dict[tuple[int, int, int], float] = {}
    for hit, chance in zip(hits, chances, strict=True):
        weights[names.index(paths[hit.document]), hit.start, hit.end] = chance
    sources = [Source(name, texts[name]) for name in names]
    want = every_span(reader, QUESTION, sources, weights)
    assert found.certificate
    assert found.certificate.exact
    assert [answer.text for answer in found] == want.ranked[:5]
    assert found.no_answer_probability == pytest.approx(want.nothing, rel=2 * _TOLERANCE)
    for answer in found:
        assert answer.probability == pytest.approx(want.chances[answer.text], rel=2 * _TOLERANCE)
        places = {(names.index(place.source), place.start, place.end) for place in answer.evidence}
        assert places == want.places[answer.text]
    assert len(found.passages) == len(hits)
    assert math.fsum(each.probability for each in found.passages) + found.no_answer_probability == pytest.approx(1)
    odds = dict(zip(want.windows, want.held, strict=True))
    for each in found.passages:
        here = odds[names.index(each.source), each.start, each.end]
        assert each.probability == pytest.approx(here * want.nothing, rel=2 * _TOLERANCE)
        assert each.alone == pytest.approx(here / (here + each.prior), rel=2 * _TOLERANCE)
        assert texts[each.source][each.start : each.end] == each.text
        assert each.line == texts[each.source].count("\n", 0, each.start) + 1
    assert [each.probability for each in found.passages] == sorted(
        (each.probability for each in found.passages), reverse=True
    )


def test_citations_are_places_of_the_passages_read(store: Store, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(3, tokenizer)
    for path, text in some_texts(random.Random(3), 8).items():
        put(store, path, text, overlapping(len(text), 80, 50))
    for options in ({}, {"why": True}, {"candidates": ["cat", "Ann Lee", "nobody"]}):
        found = Library("here", store, reader).ask(QUESTION, passages=6, top=30, **options)
        cited = [place for answer in found for place in answer.evidence]
        assert cited
        for answer in found:
            for place in answer.evidence:
                assert isinstance(place, puna.Citation)
                passage = found.passages[place.passage]
                assert (passage.source, passage.start <= place.start) == (place.source, True)
                assert place.end <= passage.end
                better = found.passages[: place.passage]
                assert not any(
                    p.source == place.source and p.start <= place.start and place.end <= p.end for p in better
                )
            if "why" not in options:
                order = [place.passage for place in answer.evidence]
                assert order == sorted(order)


def test_the_order_in_which_documents_came_changes_nothing(tmp_path: Path, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(2, tokenizer)
    texts, found = some_texts(random.Random(2), 5), []
    for n, order in enumerate((sorted(texts), sorted(texts, reverse=True))):
        store = open_store(tmp_path / f"library {n}", create=True)
        for path in order:
            put(store, path, texts[path], overlapping(len(texts[path]), 90, 60))
        found.append(plain(Library("here", store, reader).ask(QUESTION, passages=100)))
        store.close()
    assert found[0] == found[1]


def test_a_copy_of_a_document_is_the_same_answer_with_one_more_place(store: Store, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(1, tokenizer)
    text = "Ann Lee led it to the sea."
    put(store, "a", text, [(0, len(text))])
    alone = Library("here", store, reader).ask(QUESTION, top=3)
    put(store, "b", text, [(0, len(text))])
    both = Library("here", store, reader).ask(QUESTION, top=3)
    assert [answer.text for answer in both] == [answer.text for answer in alone]
    assert [a.probability for a in both] == pytest.approx([a.probability for a in alone])
    assert both.no_answer_probability == pytest.approx(alone.no_answer_probability)
    for one, two in zip(alone, both, strict=True):
        assert sorted((p.source, p.start) for p in two.evidence) == sorted(
            (source, p.start) for p in one.evidence for source in ("a", "b")
        )


def test_what_is_not_there_is_not_answered(store: Store, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(1, tokenizer)
    library = Library("here", store, reader)
    for _ in range(2):
        found = library.ask("Zebra?")
        assert (found.answers, found.no_answer_probability, found.best, found.passages) == ((), 1.0, None, ())
        assert found.coverage.read == 0
        put(store, "a", "Ann Lee led it.", [(0, 15)])
    put(store, "signs", "?! zebra" + "x" * 3000, [(0, 3008)])  # no word that is short enough for an answer
    found = library.ask("Zebra?", max_words=1)
    assert [answer.text for answer in found] in ([], ["zebra"], ["! zebra"])


def test_a_document_that_is_replaced_between_search_and_reading(
    store: Store, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, _ = random_case(1, tokenizer)
    old, new = "Ann Lee led it.", "Bob May led it now."
    put(store, "a", old, [(0, len(old))])
    search, left = store.search, 1

    def search_late(*given: object) -> object:
        nonlocal left
        hits = search(*given)
        if left:
            left -= 1
            put(store, "a", new, [(0, len(new))])
        return hits

    monkeypatch.setattr(store, "search", search_late)
    found = Library("here", store, reader).ask(QUESTION)
    assert found.passages[0].text == new
    left = 100
    with pytest.raises(LibraryError) as caught:
        Library("here", store, reader).ask(QUESTION)
    assert caught.value.code == "E-LIBRARY-NO-DOCUMENT"


def test_stopping_gives_the_best_so_far(store: Store, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(2, tokenizer)
    for path, text in some_texts(random.Random(2), 6).items():
        put(store, path, text, [(0, min(len(text), 200))])
    done = 0

    def count(step: int, total: int) -> None:
        nonlocal done
        done = step

    library = Library("here", store, reader)
    whole = library.ask(QUESTION, passages=4)
    found = library.ask(QUESTION, passages=4, progress=count, stop=lambda: done == 2)
    assert found.coverage.windows == 2
    assert found.coverage.read < found.coverage.characters == whole.coverage.characters
    read = [each for each in found.passages if each.alone is not None]
    assert sorted(each.score for each in read) == sorted(each.score for each in whole.passages)[-2:]


def test_a_second_question_reads_only_itself(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From memory, and from disk in what might be another process: a passage is read once, whatever is asked later."""
    tiny = write_tiny(tmp_path / "tiny.gguf")
    for n in range(3):
        text = f"Ann Lee led walk {n} to the sea in that week. " + f"Nobody wrote about it in week {n}. " * 12
        put(store, f"{n}", text, overlapping(len(text), 300, 200))
    lengths = counting(monkeypatch)
    questions = ["Who wrote in week 1?", "Nobody in week 3?", "Which week?"]

    def asked(library: Library, question: str) -> tuple[dict[str, object], int]:
        lengths.clear()
        return plain(library.ask(question, ["Ann Lee", "Nobody"], passages=50)), sum(lengths)

    fresh = [asked(Library("here", store, puna.load(tiny, memory=0)), question) for question in questions]
    memory = Library("here", store, puna.load(tiny))
    kept = KeptFolder(tmp_path / "kept")
    for n, (question, (want, cold)) in enumerate(zip(questions, fresh, strict=True)):
        for library in (memory, Library("here", store, puna.load(tiny, memory=0, keep=kept))):
            found, read = asked(library, question)
            assert found == want
            assert read <= cold
            assert (4 * read < cold) == (n > 0)


def test_open_search_and_close(tmp_path: Path, tokenizer: Tokenizer) -> None:
    where = tmp_path / "library"
    with Library.open(where) as library:
        for ask in (library.ask, library.search):
            with pytest.raises(LibraryError) as caught:
                ask("Who?")
            assert caught.value.code == "E-LIBRARY-MISSING"
    assert not where.exists()
    store = open_store(where, create=True)
    text = "Walks\n\nThe walk was led by Ann."
    put(store, "log", text, [(0, 31)], title="A log", blocks=(Block(0, 5, "heading", 1), Block(7, 31)))
    store.close()
    with puna.Library.open(str(where)) as library:
        (found,) = library.search("Who led the walk?")
        assert (found.source, found.title, found.text, found.prior, found.line) == ("log", "A log", text, 1.0, 1)
        reader, _ = random_case(1, tokenizer)
        library.reader = reader
        answers = library.ask("Who led the walk?", top=50)
        assert {place.headings for answer in answers for place in answer.evidence if place.start > 6} == {
            ("Walks",)
        }


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda library: library.ask(" "), "E-QUESTION-EMPTY"),
        (lambda library: library.search(""), "E-QUESTION-EMPTY"),
        (lambda library: library.ask("Who?", passages=0), "E-LIBRARY-ASK-PASSAGES"),
        (lambda library: library.search("Who?", 0), "E-LIBRARY-ASK-PASSAGES"),
        (lambda library: library.ask("Who?", []), "E-CANDIDATE-NONE"),
        (lambda library: library.ask("Who?", top=0), "E-TOP"),
    ],
)
def test_bad_input(ask: Callable[[Library], object], code: str, store: Store, tokenizer: Tokenizer) -> None:
    reader: Reader = random_case(1, tokenizer)[0]
    with pytest.raises(InputError) as caught:
        ask(Library("here", store, reader))
    assert caught.value.code == code


def test_the_object_of_the_json(store: Store, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(1, tokenizer)
    put(store, "a", "Ann Lee led it.", [(0, 15)])
    found = Library("here", store, reader).ask(QUESTION).to_dict()
    texts = reader.ask(QUESTION, "Ann Lee led it.").to_dict()
    assert list(found) == [*texts, "passages"]
    place = found["answers"][0]["evidence"][0]
    assert list(place) == [
        *texts["answers"][0]["evidence"][0],
        *("title", "page", "boxes", "original", "headings", "passage"),
    ]
    assert list(found["passages"][0]) == [
        *("source", "title", "start", "end", "line", "page", "headings", "text"),
        *("score", "prior", "probability", "alone"),
    ]


def test_the_default_model(store: Store, default_path: Path) -> None:
    texts = {
        "log.txt": "The expedition left Bergen on 3 May 1921. It was led by Astrid Halvorsen, a geologist.",
        "letter.txt": "All of us trusted Astrid Halvorsen, who led the expedition.",
        "recipe.txt": "Boil the potatoes for twenty minutes, then add butter and salt.",
        "bridge.txt": "The bridge over the river is red and was led over to the other side in May.",
        "山.txt": "珠穆朗玛峰是世界上最高的山峰，海拔8848米。",
        "桥.txt": "大桥经过四年施工，于1937年5月通车。",
    }
    for path, text in texts.items():
        put(store, path, text, [(0, len(text))])
    library = Library("here", store, puna.load(default_path))
    found = library.ask("Who led the expedition?")
    assert found.best
    assert found.best.text == "Astrid Halvorsen"
    assert {place.source for place in found.best.evidence} == {"log.txt", "letter.txt"}
    assert {each.source for each in found.passages[:2]} == {"log.txt", "letter.txt"}
    found = library.ask("世界上最高的山峰是什么？")
    assert found.best
    assert found.best.text == "珠穆朗玛峰"
    assert found.best.evidence[0].source == "山.txt"

"""Asking over parts of sources with priors: one mixture, equal to scoring every span of every excerpt."""

import math
import random
from dataclasses import asdict

import pytest

from puna.answer.groups import grouped
from puna.answer.inquiry import _TOLERANCE
from puna.answer.reader import Reader
from puna.answer.types import Answers, Coverage, Excerpt, Holding, Source
from puna.answer.windows import shares_of, summed
from puna.errors import InputError
from puna.tokens.tokenizer import Tokenizer
from tests.answer.every_span import every_span
from tests.answer.test_real_texts import GAPS, PARTS, QUESTION, check_places, check_proof, random_case
from tests.tokens.vocabularies import byte_level_metadata, train_byte_level


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_gguf(
        byte_level_metadata(train_byte_level(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), None)
    )


def some_excerpts(rng: random.Random, sources: list[Source]) -> list[Excerpt]:
    """Whole sources, pieces that overlap, one that is there twice."""
    found = []
    for order, source in enumerate(sources):
        size = len(source.text)
        for _ in range(rng.randint(1, 3)):
            start = rng.choice((0, rng.randrange(size - 20)))
            found.append(Excerpt(order, start, rng.randint(start + 20, size), rng.uniform(0.01, 1)))
    return [*found, found[0]]


def plain(found: Answers) -> dict[str, object]:
    return {name: value for name, value in asdict(found).items() if name != "elapsed_ms"}


@pytest.mark.parametrize("seed", range(9))
def test_equals_scoring_every_span_of_every_excerpt(seed: int, tokenizer: Tokenizer) -> None:
    """Also where excerpts are longer than a window, overlap, and are far from equally likely."""
    reader, sources = random_case(seed, tokenizer)
    rng = random.Random(seed)
    excerpts = some_excerpts(rng, sources)
    size = reader._prompts(QUESTION)[1]
    shares = shares_of(sources, excerpts, tokenizer, size)
    want = every_span(reader, QUESTION, sources, summed(shares))
    for options in ({"exact": True}, {}, {"max_nodes": 300}):
        top, group = rng.choice((1, 3, 8)), rng.random() < 0.5
        found, holdings = reader.ask_excerpts(QUESTION, sources, excerpts, top=top, group=group, **options)
        check_proof(found, want)
        check_places(found, want, sources)
        assert found.certificate
        if "max_nodes" not in options:
            assert found.no_answer_probability == pytest.approx(want.nothing, rel=2 * _TOLERANCE, abs=1e-6)
        if options.get("exact"):
            assert found.certificate.exact
        if found.certificate.exact:
            places = {text: sorted(where) for text, where in want.places.items()}
            best = list(grouped(want.ranked, places, top)) if group else want.ranked[:top]
            assert [answer.text for answer in found] == best
        every = math.fsum(each.probability for each in holdings)
        assert every + found.no_answer_probability == pytest.approx(1)
        odds = dict(zip(want.windows, want.held, strict=True))
        weights = summed(shares)
        for each, share in zip(holdings, shares, strict=True):
            here = math.fsum(odds[w] * part / weights[w] for w, part in share.items())
            among = math.fsum(part for part in share.values()) / math.fsum(weights.values())
            if "max_nodes" not in options:
                assert each.probability == pytest.approx(here * want.nothing, rel=2 * _TOLERANCE, abs=1e-6)
                assert each.alone == pytest.approx(here / (here + among), rel=2 * _TOLERANCE, abs=1e-6)


def test_these_excerpts_are_cut_and_overlap(tokenizer: Tokenizer) -> None:
    """What the test above means to try does happen in it."""
    cut = overlapping = 0
    for seed in range(9):
        reader, sources = random_case(seed, tokenizer)
        excerpts = some_excerpts(random.Random(seed), sources)
        shares = shares_of(sources, excerpts, tokenizer, reader._prompts(QUESTION)[1])
        cut += any(len(each) > 1 for each in shares)
        overlapping += any(
            a.source == b.source and a.start < b.start < a.end for a in excerpts for b in excerpts if a is not b
        )
    assert cut > 2
    assert overlapping > 2


@pytest.mark.parametrize("seed", range(4))
def test_whole_texts_of_one_window_are_the_same_to_the_last_bit(seed: int, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(seed, tokenizer)
    rng = random.Random(seed)
    sources = [
        Source(f"text {n}", "".join(rng.choice(PARTS) + rng.choice(GAPS) for _ in range(20))) for n in range(3)
    ]
    excerpts = [Excerpt(n, 0, len(source.text), 0.1) for n, source in enumerate(sources)]
    for options in ({}, {"exact": True}, {"why": True}, {"normalise": "mean"}):
        found, _ = reader.ask_excerpts(QUESTION, sources, excerpts, **options)
        assert plain(found) == plain(reader.ask(QUESTION, sources, **options))
    given = ["cat", "Ann Lee", "nobody"]
    found, _ = reader.ask_excerpts(QUESTION, sources, excerpts, given, why=True)
    assert plain(found) == plain(reader.ask(QUESTION, sources, given, why=True))


@pytest.mark.parametrize("seed", range(3))
def test_order_of_excerpts_changes_nothing(seed: int, tokenizer: Tokenizer) -> None:
    reader, sources = random_case(seed, tokenizer)
    rng = random.Random(seed)
    excerpts = some_excerpts(rng, sources)
    order = rng.sample(range(len(excerpts)), len(excerpts))
    for given in (None, ["cat", "Ann Lee", "nobody"]):
        found, holdings = reader.ask_excerpts(QUESTION, sources, excerpts, given)
        moved, others = reader.ask_excerpts(QUESTION, sources, [excerpts[n] for n in order], given)
        assert plain(moved) == plain(found)
        assert others == [holdings[n] for n in order]


def test_candidates_stand_only_where_was_read(tokenizer: Tokenizer) -> None:
    reader, _ = random_case(0, tokenizer)
    text = "Ann came. Nobody knew. Ann went. Lee saw her. Ann slept."
    excerpts = [Excerpt(0, 10, 44, 2.0), Excerpt(0, 22, 44, 1.0)]
    found, holdings = reader.ask_excerpts("Who?", [Source("a", text)], excerpts, ["Ann", "Lee", "Bob"])
    places = {answer.text: [(place.start, place.end) for place in answer.evidence] for answer in found}
    assert places == {"Ann": [(23, 26)], "Lee": [(33, 36)], "Bob": []}
    assert found.coverage == Coverage(34, 34, 2)
    assert found.certificate is None
    given = math.fsum(answer.probability for answer in found)
    assert given == pytest.approx(math.fsum(each.probability for each in holdings))


def test_what_is_stopped_says_what_was_read(tokenizer: Tokenizer) -> None:
    reader, sources = random_case(2, tokenizer)
    text = sources[0].text
    excerpts = [Excerpt(0, 0, 60, 0.5), Excerpt(0, 40, 100, 0.3), Excerpt(0, 200, 260, 0.2)]
    done = 0

    def count(step: int, total: int) -> None:
        nonlocal done
        done = step

    found, holdings = reader.ask_excerpts(QUESTION, sources, excerpts, progress=count, stop=lambda: done == 2)
    assert (found.coverage.characters, found.coverage.read, found.coverage.windows) == (160, 100, 2)
    assert found.certificate
    assert not found.certificate.exact
    assert [each.alone is None for each in holdings] == [False, False, True]
    assert holdings[2].probability == 0
    assert all(place.end <= 100 for answer in found for place in answer.evidence)
    assert len(text) > 260
    with pytest.raises(KeyboardInterrupt):
        reader.ask_excerpts(QUESTION, sources, excerpts, stop=lambda: True)


def test_an_excerpt_without_a_word_holds_nothing(tokenizer: Tokenizer) -> None:
    reader, _ = random_case(1, tokenizer)
    sources = [Source("a", "Ann Lee led it."), Source("b", "?! … —")]
    found, holdings = reader.ask_excerpts(QUESTION, sources, [Excerpt(0, 0, 15), Excerpt(1, 0, 6, 9.0)])
    alone = reader.ask(QUESTION, sources[0])
    assert [(a.text, a.probability) for a in found] == [(a.text, a.probability) for a in alone]
    assert holdings[1].alone is None
    assert holdings[0].alone == pytest.approx(1 - alone.no_answer_probability)


@pytest.mark.parametrize("given", [None, ["Ann"]])
def test_nothing_to_read_is_no_answer(given: list[str] | None, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(1, tokenizer)
    for options in ({}, {"exact": True}, {"why": True}):
        found, holdings = reader.ask_excerpts(QUESTION, [], [], given, **options)
        assert (found.answers, found.no_answer_probability, found.best) == ((), 1.0, None)
        assert found.coverage == Coverage(0, 0, 0)
        assert holdings == []
    found, holdings = reader.ask_excerpts(QUESTION, [Source("a", "?! …")], [Excerpt(0, 0, 4)])
    assert (found.answers, found.no_answer_probability) == ((), 1.0)
    assert found.coverage == Coverage(4, 4, 1)
    assert holdings == [Holding(0.0, None)]


@pytest.mark.parametrize("prior", [1e-308, 1.7e308])
def test_priors_of_any_size(prior: float, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(1, tokenizer)
    sources = [Source("a", "Ann Lee led it."), Source("b", "The cat sat on the mat.")]
    found, _ = reader.ask_excerpts(QUESTION, sources, [Excerpt(0, 0, 15, prior), Excerpt(1, 0, 23, prior)])
    assert [(a.text, a.probability) for a in found] == [
        (a.text, a.probability) for a in reader.ask(QUESTION, sources)
    ]


@pytest.mark.parametrize(
    ("excerpts", "code"),
    [
        ([Excerpt(1, 0, 5)], "E-EXCERPT-RANGE"),
        ([Excerpt(-1, 0, 5)], "E-EXCERPT-RANGE"),
        ([Excerpt(0, 5, 5)], "E-EXCERPT-RANGE"),
        ([Excerpt(0, -1, 5)], "E-EXCERPT-RANGE"),
        ([Excerpt(0, 0, 99)], "E-EXCERPT-RANGE"),
        ([Excerpt(0, 0, 5, 0.0)], "E-EXCERPT-PRIOR"),
        ([Excerpt(0, 0, 5, math.nan)], "E-EXCERPT-PRIOR"),
        ([Excerpt(0, 0, 5, math.inf)], "E-EXCERPT-PRIOR"),
        ([Excerpt(0, 0, 5, -1.0)], "E-EXCERPT-PRIOR"),
    ],
)
def test_bad_excerpts(excerpts: list[Excerpt], code: str, tokenizer: Tokenizer) -> None:
    reader, _ = random_case(0, tokenizer)
    with pytest.raises(InputError) as caught:
        reader.ask_excerpts("Who?", [Source("a", "Ann Lee led it.")], excerpts)
    assert caught.value.code == code


@pytest.mark.usefixtures("default_path")
def test_an_irrelevant_passage_hardly_changes_the_ranking(default_bf16, default_tokenizer) -> None:
    """Its own best guess comes in behind, as its small prior says; the answers of two documents are one answer."""
    reader = Reader(default_bf16, default_tokenizer, "SmolLM2")
    sources = [
        Source("log", "The expedition left Bergen on 3 May 1921. It was led by Astrid Halvorsen, a geologist."),
        Source("letter", "All of us trusted Astrid Halvorsen, who led the expedition."),
        Source("recipe", "Boil the potatoes for twenty minutes, then add butter and salt."),
    ]
    parts = [
        Excerpt(n, 0, len(source.text), prior)
        for n, (source, prior) in enumerate(zip(sources, (0.6, 0.4, 0.001), strict=True))
    ]
    question = "Who led the expedition?"
    before, _ = reader.ask_excerpts(question, sources, parts[:2], top=3)
    found, holdings = reader.ask_excerpts(question, sources, parts, top=3)
    assert [answer.text for answer in found] == [answer.text for answer in before]
    assert [answer.probability for answer in found] == pytest.approx([a.probability for a in before], abs=0.01)
    assert found.no_answer_probability == pytest.approx(before.no_answer_probability, abs=0.01)
    assert found.answers[0].text == "Astrid Halvorsen"
    assert [place.source for place in found.answers[0].evidence] == ["log", "letter"]
    assert holdings[2].probability < 0.01

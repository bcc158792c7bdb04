"""The whole search against scoring every span: real texts with the default model, several windows with tiny ones."""

import gzip
import json
import math
import os
import random
from pathlib import Path

import pytest

from puna.answer.groups import grouped
from puna.answer.inquiry import _TOLERANCE
from puna.answer.reader import Reader
from puna.answer.settings import Settings
from puna.answer.types import Answers, Source
from puna.llama.model import Llama
from puna.tokens.tokenizer import Tokenizer
from tests.answer.every_span import Exhaustive, every_span
from tests.oracle.tiny import make_pair
from tests.tokens.vocabularies import byte_level_metadata, train_byte_level

SETS = {"squad11/dev_a": 24, "cmrc2018/dev_a": 13, "drcd/dev": 13}  # how many of each: 50


def short(context: str) -> str:
    """The first 16 words, or 14 characters of Chinese."""
    return context[:14] if any("\u4e00" <= c <= "\u9fff" for c in context[:14]) else " ".join(context.split()[:16])


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str]]:
    folder = os.environ.get("PUNA_DATA")
    if not folder:
        pytest.skip("PUNA_DATA does not name the folder of the data sets")
    found = []
    for name, count in SETS.items():
        with gzip.open(Path(folder) / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            every = [json.loads(line) for line in lines]
        found += [(row["question"], short(row["context"])) for row in random.Random(20).sample(every, count)]
    return found


def check_proof(found: Answers, want: Exhaustive) -> None:
    """The true mass lies between what was found and that with the bound on the rest."""
    proof = found.certificate
    assert proof
    mass = math.fsum(prior * each for prior, each in zip(want.priors, want.masses, strict=True))
    assert proof.found <= mass + 1e-6
    assert mass <= proof.found + proof.unvisited + 1e-6
    assert proof.outside <= 1 - mass + 1e-6


def check_places(found: Answers, want: Exhaustive, sources: list[Source]) -> None:
    orders = {source.name: order for order, source in enumerate(sources)}
    for answer in found:
        places = {(orders[place.source], place.start, place.end) for place in answer.evidence}
        assert places == want.places[answer.text]


def test_real_texts_equal_scoring_every_span(
    rows: list[tuple[str, str]], default_bf16: Llama, default_tokenizer: Tokenizer
) -> None:
    reader = Reader(default_bf16, default_tokenizer, "SmolLM2")
    assert len(rows) == sum(SETS.values())
    for question, text in rows:
        sources = [Source("text", text)]
        want, found = every_span(reader, question, sources), reader.ask(question, text, group=False, top=5)
        best = want.ranked[:5]
        assert [answer.text for answer in found] == best
        assert [answer.log_probability for answer in found] == pytest.approx(
            [want.scores[each] for each in best], abs=1e-4
        )
        assert [answer.probability for answer in found] == pytest.approx(
            [want.chances[each] for each in best], rel=_TOLERANCE, abs=1e-6
        )
        assert found.certificate
        assert found.certificate.exact
        check_proof(found, want)
        check_places(found, want, sources)


PARTS = (
    'the cat sat on mat 2024 times then 100 more don\'t you think Ann Lee 3.5 May (June) "Blue" 50% U.S. Army led '
    "你好 世界 中文句子 电影院"
).split()
GAPS = [" "] * 8 + [". ", "\n", ", ", "。", "\r\n"]
QUESTION = "Who led it?"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_gguf(
        byte_level_metadata(train_byte_level(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"), None)
    )


def random_case(seed: int, tokenizer: Tokenizer) -> tuple[Reader, list[Source]]:
    """A model with a short context, from one that knows nothing to one that is sure, and one text or two."""
    rng = random.Random(seed)
    model = make_pair({"vocab_size": 600, "max_position_embeddings": rng.choice((256, 300))}, seed=seed % 4).puna
    model.lm_head.weight.data.mul_(rng.choice((1, 1.5, 2, 4, 12)))
    texts = [
        "".join(rng.choice(PARTS) + rng.choice(GAPS) for _ in range(rng.choice((40, 100, 160))))
        for _ in range(rng.choice((1, 1, 2)))
    ]
    return Reader(model, tokenizer, "tiny"), [Source(f"text {n}", text) for n, text in enumerate(texts)]


@pytest.mark.parametrize("seed", range(9))
def test_windows_equal_scoring_every_span(seed: int, tokenizer: Tokenizer) -> None:
    """`exact` proves its answers; without it, or cut short by a budget, what is said to be exact is right."""
    reader, sources = random_case(seed, tokenizer)
    want, rng = every_span(reader, QUESTION, sources), random.Random(seed)
    for options in ({"exact": True}, {}, {"max_nodes": 60}, {"max_nodes": 300}):
        top, group = rng.choice((1, 3, 8)), rng.random() < 0.5
        found = reader.ask(QUESTION, sources, top=top, group=group, **options)
        assert found.coverage.windows == len(want.windows)
        check_proof(found, want)
        check_places(found, want, sources)
        assert found.certificate
        if options.get("exact"):
            assert found.certificate.exact
        if found.certificate.exact:
            places = {text: sorted(where) for text, where in want.places.items()}
            best = list(grouped(want.ranked, places, top)) if group else want.ranked[:top]
            assert [answer.text for answer in found] == best
        elif "max_nodes" in options:
            assert found.certificate.nodes <= options["max_nodes"] * len(want.windows)


def test_these_windows_are_several_and_cut_words_and_answers(tokenizer: Tokenizer) -> None:
    """What the test above means to try does happen in it."""
    several = cut = 0
    for seed in range(9):
        reader, sources = random_case(seed, tokenizer)
        windows = reader._inquire(QUESTION, sources, Settings())[1]
        several += len(windows) > 2
        for order, *edges in windows:
            around = [sources[order].text[max(edge - 1, 0) : edge + 1] for edge in edges]
            cut += sum(len(pair) == 2 and pair.isalnum() and pair.isascii() for pair in around)
    assert several > 3
    assert cut > 1

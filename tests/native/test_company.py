"""A row is the same to the last bit whatever is computed beside it, before it, and on how many threads."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from puna.rank.forest import score_forest
from puna.rank.score import Reading, read, score
from tests.native.models import assert_same, chain, make_stored, packed, random_tokens

THREADS = [1, 2, 3]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def stored():
    return make_stored({"vocab_size": 1100}, seed=11)


@pytest.fixture(scope="module")
def model(stored, engine):
    return packed(stored, engine)


@pytest.mark.parametrize("count", THREADS)
@pytest.mark.parametrize("past", [1, 31, 64, 77])
def test_states(stored, model, past: int, count: int) -> None:
    """Single tokens behind a text: alone, together, shuffled."""
    torch.set_num_threads(count)
    cache = model.new_cache(200)
    model.read(random_tokens(stored, past).tolist(), cache)

    def states(tokens: torch.Tensor) -> torch.Tensor:
        where = torch.full((len(tokens),), past)
        hidden = model(tokens, where, cache, torch.eye(len(tokens), dtype=torch.bool))
        cache.truncate(past)
        return hidden

    tokens = random_tokens(stored, 120, seed=past)
    together = states(tokens)
    order = torch.from_numpy(torch.randperm(120).numpy())
    assert torch.equal(states(tokens[order]), together[order])
    for size in (1, 2, 15, 16, 17, 33):
        part = order[:size]
        assert torch.equal(states(tokens[part]), together[part])


def candidates(rng: random.Random, count: int) -> list[list[int]]:
    return [[rng.randrange(6) for _ in range(rng.randint(1, 9))] for _ in range(count)]


@pytest.mark.parametrize("past", [4, 50, 200])
def test_scores(stored, model, past: int) -> None:
    """Also on any number of threads."""
    rng = random.Random(past)
    reading = read(model, random_tokens(stored, past).tolist())
    given = candidates(rng, 80)
    together = score(reading, given, end=3)
    order = rng.sample(range(80), 80)
    for count in THREADS:
        torch.set_num_threads(count)
        again = read(model, random_tokens(stored, past).tolist())
        assert torch.equal(again.hidden, reading.hidden)
        for place, values in zip(order, score(again, [given[i] for i in order], end=3), strict=True):
            assert torch.equal(values, together[place])
        for place in order[:10]:
            assert torch.equal(score(again, [given[place]], end=3)[0], together[place])


@pytest.mark.parametrize("rest", [1, 3, 4, 33, 200, 513])
@pytest.mark.parametrize("past", [0, 1, 45])
def test_a_text_read_together_with_its_candidates(stored, model, past: int, rest: int) -> None:
    tokens, given = random_tokens(stored, past + rest).tolist(), candidates(random.Random(rest), 20)
    caches = [model.new_cache(1, span=1024) for _ in range(2)]
    for cache in caches:
        if past:
            model.read(tokens[:past], cache)
    together, apart = (Reading(model, cache, tokens[past:]) for cache in caches)
    apart.finish()
    scores = [score(reading, given, end=3) for reading in (together, apart, together)]
    for each in zip(*scores, strict=True):
        assert torch.equal(each[0], each[1])
        assert torch.equal(each[0], each[2])
    assert torch.equal(together.hidden, apart.hidden)
    assert together.cache.length == together.length == past + rest


def test_a_candidate_longer_than_a_forward(stored, model) -> None:
    """In any company, and as if it had been read."""
    reading = read(model, random_tokens(stored, 40).tolist(), span=2048)
    long = random_tokens(stored, 1100, seed=5).tolist()
    given = [*candidates(random.Random(1), 10), long, long[:700]]
    found = score(reading, given, end=3)
    assert torch.equal(score(reading, [long], end=3)[0], found[-2])
    want = model.logits(read(model, random_tokens(stored, 40).tolist() + long[:-1], span=2048).hidden).log_softmax(
        -1
    )
    torch.testing.assert_close(found[-2][-2], want[0, long[-1]], atol=0.02, rtol=0)
    torch.testing.assert_close(found[-1][:-1], found[-2][:700], atol=0.02, rtol=0)


@pytest.mark.parametrize("count", THREADS)
def test_scores_of_packed_prompts(stored, model, count: int) -> None:
    rng = random.Random(count)
    prompts = [random_tokens(stored, rng.randint(1, 90), seed=n).tolist() for n in range(25)]
    given = [candidates(rng, 4) for _ in prompts]
    together = dict(score_forest(model, prompts, given, end=3))
    torch.set_num_threads(count)
    for size in (1, 6, 25):
        chosen = rng.sample(range(25), size)
        found = score_forest(model, [prompts[i] for i in chosen], [given[i] for i in chosen], end=3)
        for place, values in found:
            assert all(map(torch.equal, values, together[chosen[place]]))


@pytest.mark.parametrize("count", THREADS)
def test_log_probs(model, count: int) -> None:
    torch.set_num_threads(count)
    hidden = torch.randn(90, 96, generator=torch.Generator().manual_seed(count)) * 3
    rows, tokens = torch.arange(90), torch.arange(90) * 12
    together = model.log_probs(hidden, rows, tokens)
    order = torch.from_numpy(torch.randperm(90).numpy())
    assert torch.equal(model.log_probs(hidden[order], rows, tokens[order]), together[order])
    for row in order[:8]:
        assert torch.equal(model.log_probs(hidden[row, None], rows[:1], tokens[row, None]), together[row, None])


@pytest.mark.parametrize("count", [5, 40, 100])
def test_dirt_of_other_passes(stored, model, engine, count: int) -> None:
    """Memory is kept between passes; what stands there, not-a-numbers too, must not matter."""
    tokens = random_tokens(stored, count)
    hidden = torch.randn(count, 96)
    rows = torch.arange(count)

    def pass_() -> tuple[torch.Tensor, ...]:
        states = model(tokens, rows, None, None)
        return states, model.logits(hidden), model.log_probs(hidden, rows, tokens)

    first = pass_()
    dirty = make_stored({"hidden_size": 128, "intermediate_size": 320}, "F32", seed=2)
    dirty.raw["model.embed_tokens.weight"][1].fill(0xFF)  # fp32's not-a-number
    other = packed(dirty, engine)
    spoilt = other(random_tokens(dirty, 300), torch.arange(300), None, None)
    assert spoilt.isnan().all()
    assert other.logits(spoilt).isnan().all()
    for again, before in zip(pass_(), first, strict=True):
        assert torch.equal(again, before)


def test_two_threads_of_python(engine) -> None:
    """Each with a model of its own, at the same time."""
    made = [make_stored(seed=seed) for seed in (21, 22)]
    tokens = [random_tokens(stored, 50) for stored in made]
    found: list[list[torch.Tensor]] = [[], []]

    def run(index: int) -> None:
        with torch.inference_mode():
            model = packed(made[index], engine)
            for _ in range(30):
                hidden = model(tokens[index], torch.arange(50), None, None)
                found[index] += [hidden, model.log_probs(hidden, torch.arange(50), tokens[index])]

    workers = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index, results in enumerate(found):
        assert len(results) == 60
        assert_same(results[0], chain(made[index], tokens[index], engine), engine)
        for place, result in enumerate(results):
            assert torch.equal(result, results[place % 2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_computes(stored, model) -> None:
    """The parent's threads do not exist there, and some of them were waiting when the child was made."""
    torch.set_num_threads(3)
    tokens = random_tokens(stored, 50)
    cache = model.new_cache(50)

    def states() -> torch.Tensor:
        cache.truncate(0)
        return model(tokens, torch.arange(50), cache, None)

    want = states()
    time.sleep(0.05)  # they have fallen asleep
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(60)  # rather than waiting for ever
            torch.set_num_threads(1)  # torch's own threads do not come back in a child
            torch.get_num_threads = lambda: 3
            code = 0 if all(torch.equal(states(), want) for _ in range(30)) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert torch.equal(states(), want)

"""Packed scoring against teacher forcing one candidate at a time in Transformers, and against itself."""

import random

import pytest
import torch

from puna.rank.score import read, score
from puna.rank.trie import build_trie
from tests.oracle.tiny import SHAPES, Pair, make_pair

END = 3


def forced(pair: Pair, prefix: list[int], candidate: list[int], end: int | None) -> torch.Tensor:
    tail = [*candidate, end] if end is not None else candidate
    logits = pair.hf(torch.tensor([prefix + tail])).logits[0].double().log_softmax(-1)
    return torch.stack([logits[len(prefix) - 1 + i, t] for i, t in enumerate(tail)])


def sequences(rng: random.Random, count: int, longest: int = 9, alphabet: int = 5) -> list[list[int]]:
    """Few letters, so that the trie branches and shares."""
    return [[4 + rng.randrange(alphabet) for _ in range(rng.randint(1, longest))] for _ in range(count)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [10, 128])
@pytest.mark.parametrize("end", [END, None])
def test_equals_teacher_forcing(shape: str, rows: int, end: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puna.rank.score.ROWS", rows)
    pair, rng = make_pair(SHAPES[shape]), random.Random(rows)
    prefix = [rng.randrange(97) for _ in range(23)]
    candidates = sequences(rng, 25)
    for got, candidate in zip(score(read(pair.puna, prefix), candidates, end=end), candidates, strict=True):
        torch.testing.assert_close(got.double(), forced(pair, prefix, candidate, end), atol=2e-5, rtol=1e-5)


def test_reading_is_left_as_it_was() -> None:
    pair, rng = make_pair(), random.Random(1)
    reading = read(pair.puna, [rng.randrange(97) for _ in range(600)])
    first = score(reading, sequences(rng, 12), end=END)
    candidates = sequences(random.Random(2), 12)
    again = [score(reading, candidates, end=END) for _ in range(2)]
    assert reading.length == 600
    assert first
    for a, b in zip(*again, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(3))
def test_company_and_order_do_not_matter(dtype: torch.dtype, seed: int) -> None:
    """Alone, together or shuffled: the same log-probabilities to the last bit."""
    pair, rng = make_pair(seed=seed), random.Random(seed)
    for layer in pair.puna.model.layers:
        for linear in (*layer.self_attn.children(), *layer.mlp.children()):
            linear.to(dtype)
    reading = read(pair.puna, [rng.randrange(97) for _ in range(rng.randint(1, 200))])
    candidates = sequences(rng, 90)
    together = score(reading, candidates, end=END)
    order = rng.sample(range(90), 90)
    shuffled = score(reading, [candidates[i] for i in order], end=END)
    for place, index in enumerate(order):
        assert torch.equal(shuffled[place], together[index])
    for index in order[:20]:
        assert torch.equal(score(reading, [candidates[index]], end=END)[0], together[index])


def test_candidate_longer_than_a_pass() -> None:
    pair, rng = make_pair(), random.Random(5)
    prefix = [rng.randrange(97) for _ in range(9)]
    candidates = [[rng.randrange(97) for _ in range(n)] for n in (128, 129, 300, 3)]
    for got, candidate in zip(score(read(pair.puna, prefix), candidates, end=END), candidates, strict=True):
        torch.testing.assert_close(got.double(), forced(pair, prefix, candidate, END), atol=2e-5, rtol=1e-5)


def test_all_continuations_sum_to_one() -> None:
    """Every string of at most two tokens over the whole vocabulary, or its prefix: P adds up to 1."""
    pair = make_pair({"vocab_size": 13})
    reading = read(pair.puna, [1, 2, 3])
    ones = score(reading, [[a] for a in range(13)], end=None)
    twos = score(reading, [[a, b] for a in range(13) for b in range(13)], end=None)
    assert abs(float(torch.cat(ones).exp().sum()) - 1) < 1e-5
    assert abs(sum(float(t.sum().exp()) for t in twos) - 1) < 1e-5


def test_score_of_a_whole_is_the_sum_of_its_parts() -> None:
    pair = make_pair()
    whole = score(read(pair.puna, [5, 6]), [[7, 8, 9]], end=END)[0].sum()
    first = score(read(pair.puna, [5, 6]), [[7]], end=None)[0].sum()
    rest = score(read(pair.puna, [5, 6, 7]), [[8, 9]], end=END)[0].sum()
    torch.testing.assert_close(whole, first + rest, atol=1e-5, rtol=1e-5)


def test_trie_shares_beginnings() -> None:
    trie = build_trie([[1, 2, 3], [1, 2], [1, 2, 4], [5], [], [1, 2]])
    assert len(trie.tokens) == 5
    assert [[trie.tokens[n] for n in path] for path in trie.paths] == [
        [1, 2, 3],
        [1, 2],
        [1, 2, 4],
        [5],
        [],
        [1, 2],
    ]
    assert trie.paths[1] == trie.paths[5]
    mask = trie.mask(0, 5)
    for path in trie.paths:
        for depth, node in enumerate(path):
            assert mask[node].nonzero()[:, 0].tolist() == path[: depth + 1]

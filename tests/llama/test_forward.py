"""One primitive, many callers: chunked = one shot, cached = uncached, tree = flat, packed = single."""

import random

import pytest
import torch

from puna.llama.cache import Cache
from puna.llama.linear import Linear
from puna.llama.model import Llama, causal_mask
from puna.rank.trie import build_trie
from tests.oracle.tiny import ROPES, make_pair

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def one_shot(model: Llama, ids: list[int]) -> torch.Tensor:
    return model(torch.tensor(ids), torch.arange(len(ids)), None, causal_mask(0, len(ids)))


def tokens(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(97) for _ in range(count)]


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("seed", range(4))
def test_chunked_and_cached_equal_one_shot(rope: str, seed: int) -> None:
    model, rng = make_pair(rope=rope).puna, random.Random(seed)
    ids = tokens(rng, rng.randint(1, 120))
    want = one_shot(model, ids)
    cache = model.new_cache(rng.choice([1, 7, 200]), span=len(ids))
    got, place = [], 0
    while place < len(ids):
        size = rng.randint(1, 40)
        part = ids[place : place + size]
        positions = torch.arange(place, place + len(part))
        got.append(model(torch.tensor(part), positions, cache, causal_mask(place, len(part))))
        place += len(part)
    assert cache.length == len(ids)
    torch.testing.assert_close(torch.cat(got), want, **CLOSE)


@pytest.mark.parametrize("shared", [True, False], ids=["own-keys-mask", "all-keys-mask"])
@pytest.mark.parametrize("seed", range(6))
def test_tree_equals_flat(seed: int, shared: bool) -> None:
    model, rng = make_pair().puna, random.Random(seed)
    prefix = tokens(rng, rng.randint(1, 30))
    leaves = [[rng.randrange(3) for _ in range(rng.randint(1, 8))] for _ in range(15)]
    trie = build_trie(leaves)
    cache = model.new_cache(4)
    model.read(prefix, cache)
    own = trie.mask(0, len(trie.tokens))
    whole = torch.cat((torch.ones(len(own), len(prefix), dtype=torch.bool), own), dim=1)
    inputs = (torch.tensor(trie.tokens), trie.positions(len(prefix)))
    tree = model(*inputs, cache, own if shared else whole)
    for leaf, path in zip(leaves, trie.paths, strict=True):
        flat = one_shot(model, prefix + leaf)
        torch.testing.assert_close(tree[path], flat[len(prefix) :], **CLOSE)


@pytest.mark.parametrize("seed", range(4))
def test_packed_equals_single(seed: int) -> None:
    """Rows of different lengths side by side under a block mask, with no padding between them."""
    model, rng = make_pair().puna, random.Random(seed)
    rows = [tokens(rng, rng.randint(1, 25)) for _ in range(6)]
    lengths = [len(row) for row in rows]
    mask = torch.block_diag(*(causal_mask(0, n) for n in lengths)).bool()
    positions = torch.cat([torch.arange(n) for n in lengths])
    packed = model(torch.tensor([t for row in rows for t in row]), positions, None, mask)
    for row, got in zip(rows, packed.split(lengths), strict=True):
        torch.testing.assert_close(got, one_shot(model, row), **CLOSE)


@pytest.mark.parametrize("seed", range(3))
def test_padded_equals_unpadded(seed: int) -> None:
    """Padding is a mask like any other; a pad that sees only itself gives no NaN."""
    model, rng = make_pair().puna, random.Random(seed)
    row, pad = tokens(rng, 11), rng.randint(1, 5)
    mask = torch.block_diag(torch.eye(pad), causal_mask(0, 11)).bool()
    positions = torch.cat((torch.zeros(pad, dtype=torch.long), torch.arange(11)))
    got = model(torch.tensor([0] * pad + row), positions, None, mask)
    assert got.isfinite().all()
    torch.testing.assert_close(got[pad:], one_shot(model, row), **CLOSE)


@pytest.mark.parametrize("seed", range(4))
def test_truncated_cache_equals_a_cold_one(seed: int) -> None:
    model, rng = make_pair().puna, random.Random(seed)
    cache = model.new_cache(2)
    kept: list[int] = []
    for _ in range(6):
        new = tokens(rng, rng.randint(1, 20))
        model.read(new, cache)
        kept += new
        keep = rng.randint(0, len(kept))
        cache.truncate(keep)
        kept = kept[:keep]
    tail = tokens(rng, 5)
    torch.testing.assert_close(model.read(tail, cache), one_shot(model, kept + tail)[-1:], **CLOSE)


def test_reading_in_chunks_is_reading() -> None:
    model = make_pair().puna
    ids = tokens(random.Random(0), 1100)
    cache = model.new_cache(1)
    torch.testing.assert_close(model.read(ids, cache), one_shot(model, ids)[-1:], **CLOSE)


def test_interrupted_forward_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_pair().puna
    cache = model.new_cache(64)
    model.read([1, 2, 3], cache)
    last = model.model.layers[-1]
    with monkeypatch.context() as patch:
        patch.setattr(last, "forward", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            model.read([4, 5], cache)
    assert cache.length == 3
    torch.testing.assert_close(model.read([6, 7], cache), one_shot(model, [1, 2, 3, 6, 7])[-1:], **CLOSE)


def test_cache_refuses_to_truncate_forward() -> None:
    cache = Cache(make_pair().puna.config, 4)
    with pytest.raises(ValueError, match="cannot truncate"):
        cache.truncate(1)


@pytest.mark.parametrize("count", [1, 127, 128, 129, 400])
def test_log_probs_in_blocks_equal_log_softmax(count: int) -> None:
    model = make_pair().puna
    hidden = torch.randn(count, 48)
    rows, targets = torch.randint(0, count, (200,)), torch.randint(0, 97, (200,))
    want = model.logits(hidden).double().log_softmax(-1)[rows, targets]
    torch.testing.assert_close(model.log_probs(hidden, rows, targets).double(), want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_row_equals_that_row_among_others(bias: bool, dtype: torch.dtype) -> None:
    """The vector kernel sums as exactly as the matrix kernel: both against float64."""
    layer = Linear(576, 192, bias=bias, dtype=dtype).requires_grad_(False)
    for parameter in layer.parameters():
        parameter.normal_(std=576**-0.5)
    x = torch.randn(5, 576).to(dtype)
    want = x.double() @ layer.weight.double().T + (layer.bias.double() if bias else 0)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 5e-3, "rtol": 2**-7}
    torch.testing.assert_close(layer(x[2:3]).double(), want[2:3], **close)
    torch.testing.assert_close(layer(x).double(), want, **close)


@pytest.mark.parametrize("past", [0, 11])
def test_a_chain_and_a_tree_in_one_forward(past: int) -> None:
    """As one after the other."""
    model = make_pair().puna
    tokens = torch.randint(0, 97, (past + 30,), generator=torch.Generator().manual_seed(past))
    trie = build_trie([[4, 5, 6], [4, 5, 7, 8], [9]])
    nodes = torch.tensor(trie.tokens)
    caches = [model.new_cache(64) for _ in range(2)]
    for cache in caches:
        if past:
            model(tokens[:past], torch.arange(past), cache, None)
    positions, behind = torch.arange(past, past + 30), trie.positions(past + 30)
    mask = trie.mask(0, len(nodes))
    first = model(tokens[past:], positions, caches[0], None)
    apart = torch.cat((first, model(nodes, behind, caches[0], mask)))
    both = torch.cat((tokens[past:], nodes))
    together = model(both, torch.cat((positions, behind)), caches[1], mask, chain=30)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    assert caches[1].length == past + 30 + len(nodes)

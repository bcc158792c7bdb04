"""Layers in C against a formula in float64 that rounds where they do, and against the torch path in fp32."""

import random

import pytest
import torch

from puna.errors import InputError
from puna.llama.model import causal_mask
from puna.rank.forest import score_forest
from puna.rank.score import read, score
from puna.rank.trie import build_trie
from tests.native.models import (
    KINDS,
    SHAPES,
    assert_same,
    by_torch,
    chain,
    formula,
    make_stored,
    packed,
    random_tokens,
)

pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture
def inference():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def stored():
    return make_stored(seed=1)


@pytest.fixture(scope="module")
def model(stored, engine):
    return packed(stored, engine)


def coarseness(engine) -> float:
    """How far products in this engine's type may put a number near one."""
    return 2**-3 if engine.dtype == torch.bfloat16 else 2**-12


def read_chunks(model, tokens, sizes, capacity=1):
    """Read in chunks of the given sizes, the last one repeated."""
    cache = model.new_cache(capacity, span=len(tokens))
    parts, start = [], 0
    for n in range(len(tokens)):
        part = tokens[start : start + sizes[min(n, len(sizes) - 1)]]
        if not len(part):
            break
        parts.append(model(part, torch.arange(start, start + len(part)), cache, None))
        start += len(part)
    assert cache.length == len(tokens)
    return torch.cat(parts), cache


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_equals_the_formula(engine, shape: str, kind: str) -> None:
    stored = make_stored(SHAPES[shape], kind, seed=len(shape) + len(kind))
    tokens = random_tokens(stored, 37)
    model = packed(stored, engine)
    assert_same(model(tokens, torch.arange(37), None, None), chain(stored, tokens, engine), engine)
    few, _ = read_chunks(model, tokens, [3])
    assert_same(few, chain(stored, tokens, engine, low_bit=False), engine)


@pytest.mark.parametrize("shape", SHAPES)
def test_formula_equals_torch(shape: str) -> None:
    """The oracle's oracle: fp32, nothing rounded."""
    stored = make_stored(SHAPES[shape], seed=3)
    tokens = random_tokens(stored, 60)
    got = by_torch(stored)(tokens, torch.arange(60), None, None)
    torch.testing.assert_close(got.double(), chain(stored, tokens, None), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def long(stored, engine):
    """600 tokens and their states; in a chain what comes later changes nothing."""
    tokens = random_tokens(stored, 600)
    return tokens, chain(stored, tokens, engine), chain(stored, tokens[:3], engine, low_bit=False)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 600])
def test_chains_of_any_length(engine, model, long, count: int) -> None:
    tokens, want, few = long
    got = model(tokens[:count], torch.arange(count), None, None)
    assert_same(got, (few if count <= 3 else want)[:count], engine)


@pytest.mark.parametrize("sizes", [[4], [5], [16], [31, 33], [32], [8, 256, 4], [300]])
def test_chunked_equals_one_shot_to_the_last_bit(model, long, sizes: list[int]) -> None:
    tokens = long[0][:500]
    whole, one = read_chunks(model, tokens, [500])
    parts, many = read_chunks(model, tokens, sizes)
    assert torch.equal(parts, whole)
    last = [model(tokens[:5], torch.arange(500, 505), cache, None) for cache in (one, many)]
    assert torch.equal(*last)


@pytest.mark.parametrize("shape", SHAPES)
def test_few_rows_over_many_slots(engine, shape: str) -> None:
    """Their attention is cut into ranges of slots and put together again; a window may leave whole ranges unseen."""
    stored = make_stored(SHAPES[shape], "BF16", seed=9)
    model, tokens = packed(stored, engine), random_tokens(stored, 1100)
    whole, _ = read_chunks(model, tokens, [1100])
    apart = []
    for start in (253, 255, 256, 509, 511, 512, 1022, 1024, 1097):
        for count in (1, 2, 3):
            got, _ = read_chunks(model, tokens[: start + count], [start, count])
            apart.append((got[start:] - whole[start : start + count]).abs())
    assert torch.cat(apart).mean() < coarseness(engine) / 16
    assert torch.cat(apart).max() < coarseness(engine)


@pytest.mark.parametrize("sizes", [[1], [2], [3], [40, 1, 2, 3, 30]])
def test_rows_one_by_one_are_close(engine, model, long, sizes: list[int]) -> None:
    """Weights are not rounded there, and keys stay as they were written."""
    tokens, want, _ = long
    got, _ = read_chunks(model, tokens[:100], sizes)
    apart = (got - want[:100]).abs()
    assert apart.mean() < coarseness(engine) / 16
    assert apart.max() < coarseness(engine)


def random_tree(rng: random.Random, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Depths, and who sees whom: ancestors and itself."""
    own, depths = torch.eye(count, dtype=torch.bool), [0] * count
    for node in range(1, count):
        parent = rng.randrange(-1, node)
        if parent >= 0:
            own[node] |= own[parent]
            depths[node] = depths[parent] + 1
    return torch.tensor(depths), own


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("past", "count"), [(1, 1), (3, 2), (5, 40), (31, 17), (32, 90), (33, 5), (100, 128), (300, 40)]
)
def test_trees(engine, shape: str, past: int, count: int) -> None:
    """Behind a chain; with a mask over the new keys, over some of the chain's as well, and over all."""
    rng = random.Random(past)
    stored = make_stored(SHAPES[shape], seed=past)
    model, tokens = packed(stored, engine), random_tokens(stored, past + count)
    depths, own = random_tree(rng, count)
    positions = torch.cat((torch.arange(past), past + depths))
    for hidden in {0, past // 2, past - 1}:  # keys right before the tree that some of its rows do not see
        holes = torch.rand(count, hidden, generator=torch.Generator().manual_seed(count)) < 0.5
        masks = [torch.cat((holes, own), 1)]
        masks.append(torch.cat((torch.ones(count, past - hidden, dtype=torch.bool), masks[0]), 1))
        seen = torch.ones(past + count, past + count).tril().bool()
        seen[past:] = masks[1]
        cache = model.new_cache(past + count)
        read_with_products(model, tokens[:past], cache)
        for mask in masks:
            listed = count if mask.shape[1] == count else 0
            want = formula(stored, tokens, positions, seen, engine, listed=listed)[past:]
            got = model(tokens[past:], positions[past:], cache, mask)
            assert cache.length == past + count
            cache.truncate(past)
            assert_same(got, want, engine)


@pytest.mark.parametrize("shape", ["E128-G5", "E96-bias"])
def test_attention_with_scores_in_the_hundreds(engine, shape: str) -> None:
    """The largest is now among the text's keys, now among the tree's; e to such a power is no float."""
    stored = make_stored({**SHAPES[shape], "num_hidden_layers": 1}, "F32", seed=6)
    for part in "qk":
        stored.raw[f"model.layers.0.self_attn.{part}_proj.weight"][1].view("float32")[:] *= 16
    model, tokens = packed(stored, engine), random_tokens(stored, 100)
    depths, own = random_tree(random.Random(6), 60)
    positions = torch.cat((torch.arange(40), 40 + depths))
    seen = torch.ones(100, 100).tril().bool()
    seen[40:, 40:] = own
    want = formula(stored, tokens, positions, seen, engine, listed=60)
    cache = model.new_cache(100)
    got = [model(tokens[:40], torch.arange(40), cache, None), model(tokens[40:], positions[40:], cache, own)]
    assert_same(torch.cat(got), want, engine)


def read_with_products(model, tokens, cache) -> None:
    """Not row by row, however few they are."""
    model(tokens, torch.arange(len(tokens)), cache, causal_mask(0, len(tokens)))


@pytest.mark.parametrize("lengths", [(5, 1, 30), (33, 32, 31), (1, 1, 1), (100, 64, 3)])
@pytest.mark.parametrize("holes", [False, True])
def test_blocks_side_by_side(engine, stored, model, lengths: tuple[int, ...], holes: bool) -> None:
    total = sum(lengths)
    tokens = random_tokens(stored, total, seed=total)
    mask = torch.block_diag(*(causal_mask(0, n) for n in lengths)).bool()
    if holes:
        mask &= torch.rand(total, total, generator=torch.Generator().manual_seed(total)) < 0.6
        mask |= torch.eye(total, dtype=torch.bool)
    positions = torch.cat([torch.arange(n) for n in lengths])
    assert_same(model(tokens, positions, None, mask), formula(stored, tokens, positions, mask, engine), engine)


def test_rows_that_see_what_comes_later(engine, stored, model) -> None:
    """Masks are masks: nothing makes them causal."""
    tokens = random_tokens(stored, 50, seed=8)
    mask = torch.rand(50, 50, generator=torch.Generator().manual_seed(1)) < 0.3
    mask |= torch.eye(50, dtype=torch.bool)
    positions = torch.arange(50).flip(0)
    assert_same(model(tokens, positions, None, mask), formula(stored, tokens, positions, mask, engine), engine)


def test_growth_keeps_everything(model, long) -> None:
    tokens = long[0][:400]
    small, _ = read_chunks(model, tokens, [4, 29, 1, 31, 5], capacity=1)
    large, _ = read_chunks(model, tokens, [4, 29, 1, 31, 5], capacity=1000)
    assert torch.equal(small, large)


@pytest.mark.parametrize("kept", [0, 1, 31, 32, 33, 70])
def test_truncate_and_read_again(model, long, kept: int) -> None:
    tokens = long[0][:120]
    fresh, _ = read_chunks(model, tokens, [max(kept, 4), 200])
    _, cache = read_chunks(model, torch.cat((tokens[:kept], long[0][200:500])), [max(kept, 4), 50])
    cache.truncate(kept)
    if kept < 4:
        cache.truncate(0)
        kept = 0
    again = model(tokens[kept:], torch.arange(kept, 120), cache, None)
    assert torch.equal(again, fresh[kept:])


def test_ids_of_any_integer_type(model, long) -> None:
    tokens = long[0][:20]
    got = model(tokens.int(), torch.arange(20), None, None)
    assert torch.equal(got, model(tokens, torch.arange(20), None, None))


@pytest.mark.parametrize("rope", ["dynamic", "longrope"])
def test_without_a_cache_the_length_is_that_of_the_positions(engine, rope: str) -> None:
    """Frequencies may depend on it, and positions may be given twice."""
    scaling = {"rope_type": rope, "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 16}
    if rope == "longrope":
        scaling |= {"short_factor": [1.0] * 16, "long_factor": [1.0 + n for n in range(16)]}
    stored = make_stored({"rope_parameters": scaling, "max_position_embeddings": 16}, "BF16")
    tokens, positions = random_tokens(stored, 36), torch.arange(12).repeat(3)
    mask = torch.block_diag(*[causal_mask(0, 12)] * 3).bool()
    want = by_torch(stored)(tokens, positions, None, mask)
    apart = (packed(stored, engine)(tokens, positions, None, mask) - want).abs()
    assert apart.mean() < coarseness(engine) / 6  # as far as products round; with other frequencies 0.1


def test_scores_of_packed_prompts(engine, stored, model) -> None:
    """Slots with gaps, and masks wider than what was read."""
    rng = random.Random(2)
    letters = range(8)
    prompts = [[rng.choice(letters) for _ in range(rng.randint(4, 70))] for _ in range(9)]
    candidates = [[[rng.choice(letters) for _ in range(rng.randint(1, 5))] for _ in range(4)] for _ in prompts]
    head = stored.exact("model.embed_tokens.weight").double()
    for index, found in score_forest(model, prompts, candidates, end=3):
        for values, candidate in zip(found, candidates[index], strict=True):
            ids = [*prompts[index], *candidate, 3]
            logits = chain(stored, torch.tensor(ids), engine) @ head.T
            want = logits.log_softmax(-1)[range(len(prompts[index]) - 1, len(ids) - 1), ids[len(prompts[index]) :]]
            assert (values - want).abs().max() < coarseness(engine)


def test_scores_of_a_trie_are_those_of_chains(engine, stored, model) -> None:
    rng = random.Random(4)
    prompt = random_tokens(stored, 45).tolist()
    candidates = [[rng.randrange(5) for _ in range(rng.randint(1, 9))] for _ in range(60)]
    head = stored.exact("model.embed_tokens.weight").double()
    for values, candidate in zip(score(read(model, prompt), candidates, end=3), candidates, strict=True):
        ids = [*prompt, *candidate, 3]
        want = (chain(stored, torch.tensor(ids), engine) @ head.T).log_softmax(-1)[
            range(44, len(ids) - 1), ids[45:]
        ]
        assert (values - want).abs().max() < coarseness(engine)
    assert len(build_trie(candidates).tokens) > 128  # more than one pass


@pytest.mark.parametrize("kind", ["default", "dynamic"])
def test_reading_keeps_its_rotations_apart(engine, kind: str) -> None:
    """Reading takes them from tables that are kept: by span where frequencies depend on it, grown when too short."""
    scaling = {"rope_scaling": {"rope_type": kind, "factor": 4.0}} if kind == "dynamic" else {}
    stored = make_stored({**scaling, "max_position_embeddings": 64})
    model = packed(stored, engine)
    tokens = random_tokens(stored, 1300)
    for length, span in ((40, 1300), (1300, 1300), (40, 40), (40, 1300)):
        cache, other = model.new_cache(1, span=span), model.new_cache(1, span=span)
        read_hidden = model.read(tokens[:length].tolist(), cache)
        for start in range(0, length, 512):
            part = tokens[start : min(start + 512, length)]
            hidden = model(part, torch.arange(start, start + len(part)), other, None)
        assert torch.equal(read_hidden, hidden[-1:])
        for token in (3, 5, 7):
            each = model.read([token], cache)
            assert torch.equal(each, model(torch.tensor([token]), torch.tensor([other.length]), other, None))


@pytest.mark.parametrize("wrong", [[-1], [3, 97], [2**40]])
def test_reading_refuses_what_is_no_token(model, wrong: list[int]) -> None:
    cache = model.new_cache(4)
    with pytest.raises(InputError, match="the vocabulary has 97"):
        model.read(wrong, cache)
    assert cache.length == 0

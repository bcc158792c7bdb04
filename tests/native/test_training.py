"""The kernels of training against float64 autograd, on random trees."""

import math
import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from puna.native import training
from puna.native.library import Engine
from tests.train.trees import random_parents, seen

SIZES = (1, 2, 31, 32, 33, 64, 100, 321)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(found: Tensor, expected: Tensor, dtype: torch.dtype, times: float = 1.0) -> None:
    """Within rounding of the largest."""
    limit = (2e-6 if dtype == torch.float32 else 1e-2) * times
    assert (found.double() - expected).abs().max() <= limit * expected.abs().max()


@pytest.mark.parametrize(("rows", "width"), [(1, 16), (7, 48), (130, 576)])
def test_norm(engine: Engine, rows: int, width: int) -> None:
    dtype = engine.dtype
    x, gain, beside = draw(rows, width, seed=1), draw(width, seed=2), draw(rows, width, seed=3)
    more, grad = draw(rows, width, seed=4, dtype=dtype), draw(rows, width, seed=5, dtype=dtype)
    total = (x.double() + more.double()).requires_grad_()
    expected = total / (total.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain.double()
    expected.backward(grad.double())
    scale, out, summed = torch.empty(rows), torch.empty_like(more), torch.empty_like(x)
    training.norm(engine, x, gain, 1e-5, scale, out, more, summed)
    close(summed, total.detach(), torch.float32)
    close(out, expected.detach(), dtype)
    alone = torch.empty_like(out)
    training.norm(engine, summed, gain, 1e-5, torch.empty(rows), alone)
    assert torch.equal(alone, out)
    low, normed, back = torch.empty_like(out), torch.empty_like(out), torch.empty_like(x)
    training.norm_back(engine, summed, gain, scale, grad, beside, back, low, normed)
    close(back, total.grad + beside.double(), torch.float32)
    assert torch.equal(low, back.to(dtype))
    assert torch.equal(normed, out)
    training.norm_back(engine, summed, gain, scale, grad, beside, beside, None, normed)
    assert torch.equal(beside, back)


@pytest.mark.parametrize(("rows", "width"), [(1, 16), (5, 96), (77, 1536)])
def test_gate(engine: Engine, rows: int, width: int) -> None:
    dtype = engine.dtype
    both, grad = 3 * draw(rows, 2 * width, seed=1), draw(rows, width, seed=2, dtype=dtype)
    both[0, :4] = torch.tensor([100.0, -100.0, 0.0, 1e-30])
    both = both.to(dtype)
    exact = both.double().requires_grad_()
    first, second = exact.chunk(2, -1)
    expected = F.silu(first) * second
    expected.backward(grad.double())
    out = torch.empty(rows, width, dtype=dtype)
    training.gate(engine, both, out)
    close(out, expected.detach(), dtype)
    training.gate_back(engine, both, grad)
    assert torch.equal(grad, out)
    close(both, exact.grad, dtype)


def test_add(engine: Engine) -> None:
    x, more = draw(5, 48, seed=1), draw(5, 48, seed=2, dtype=engine.dtype)
    out = torch.empty_like(x)
    training.add(engine, x, more, out)
    assert torch.equal(out, x + more.float())


def attention(qkv: Tensor, parents: list[list[int]], cos: Tensor, sin: Tensor, heads: int) -> Tensor:
    """The formula; qkv [T, H + 2K, E]."""
    kv = (qkv.shape[1] - heads) // 2
    queries, values = qkv[:, : heads + kv], qkv[:, heads + kv :]
    first, second = queries.chunk(2, -1)
    c, s = cos.to(qkv.dtype)[:, None], sin.to(qkv.dtype)[:, None]
    turned = torch.cat((first * c - second * s, second * c + first * s), -1)
    found, place = [], 0
    for tree in parents:
        rows = slice(place, place + len(tree))
        place += len(tree)
        mixed = []
        for head in range(heads):
            group = head // (heads // kv)
            scores = turned[rows, head] @ turned[rows, heads + group].T / math.sqrt(qkv.shape[-1])
            mixed.append(scores.masked_fill(~seen(tree), -torch.inf).softmax(-1) @ values[rows, group])
        found.append(torch.stack(mixed, 1))
    return torch.cat(found)


@pytest.fixture
def trainer(engine: Engine) -> Engine:
    if training.trainer(engine.dtype) is not engine:
        pytest.skip("torch does this engine's attention")
    return engine


def there_and_back(
    engine: Engine, parents: list[list[int]], cos: Tensor, sin: Tensor, qkv: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    sizes = [len(tree) for tree in parents]
    trees = training.seen(engine, torch.tensor([parent for tree in parents for parent in tree]), sizes)
    both, mixed, mass = qkv.clone(), torch.empty_like(grad), torch.empty(grad.shape[1], len(grad))
    training.attend(engine, trees, cos, sin, both, mixed, mass)
    training.attend(engine, trees, cos, sin, both, mixed, mass, grad)
    return mixed, both


@pytest.mark.parametrize(("kv", "groups", "size"), [(3, 3, 64), (1, 1, 32), (2, 3, 32), (2, 1, 128), (1, 3, 96)])
@pytest.mark.parametrize("seed", [0, 1])
def test_attention(trainer: Engine, kv: int, groups: int, size: int, seed: int) -> None:
    rng = random.Random(f"{kv} {groups} {size} {seed}")
    parents = [random_parents(count, rng) for count in rng.sample(SIZES, 5)]
    rows, heads, dtype = sum(map(len, parents)), kv * groups, trainer.dtype
    qkv = draw(rows, heads + 2 * kv, size, seed=seed).to(dtype)
    qkv[:, : heads + kv] *= 1.5  # some rows look at one key, others at many
    grad = draw(rows, heads, size, seed=seed + 10, dtype=dtype)
    angles = draw(rows, size // 2, seed=seed + 20) * 3
    cos, sin = angles.cos() * 1.1, angles.sin() * 1.1  # some scalings of positions stretch
    exact = qkv.double().requires_grad_()
    expected = attention(exact, parents, cos, sin, heads)
    expected.backward(grad.double())
    mixed, back = there_and_back(trainer, parents, cos, sin, qkv, grad)
    close(mixed, expected.detach(), dtype, 2)  # turned queries and keys are rounded as well
    for part in (slice(heads), slice(heads, heads + kv), slice(heads + kv, None)):
        close(back[:, part], exact.grad[:, part], dtype, 2)
        error = (back[:, part].double() - exact.grad[:, part]).norm()
        assert error <= 1e-2 * exact.grad[:, part].norm()


def test_threads_and_company_change_no_bit(trainer: Engine) -> None:
    rng, dtype = random.Random(5), trainer.dtype
    parents = [random_parents(count, rng) for count in (70, 1, 200, 33)]
    rows = sum(map(len, parents))
    qkv, grad = draw(rows, 10, 32, seed=1, dtype=dtype), draw(rows, 6, 32, seed=2, dtype=dtype)
    angles = draw(rows, 16, seed=3)
    cos, sin = angles.cos(), angles.sin()
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(there_and_back(trainer, parents, cos, sin, qkv, grad))
    finally:
        torch.set_num_threads(before)
    for mixed, back in found[1:]:
        assert torch.equal(mixed, found[0][0])
        assert torch.equal(back, found[0][1])
    here = slice(71, 271)
    alone = there_and_back(trainer, parents[2:3], cos[here], sin[here], qkv[here], grad[here])
    assert torch.equal(alone[0], found[0][0][here])
    assert torch.equal(alone[1], found[0][1][here])


def test_what_is_seen(trainer: Engine) -> None:
    rng = random.Random(7)
    parents = [random_parents(count, rng) for count in SIZES]
    found = training.seen(trainer, torch.tensor([parent for tree in parents for parent in tree]), SIZES)
    words, kinds = found.words.clone(), found.kinds.clone()
    for tree in parents:
        blocks = -(-len(tree) // 32)
        mine, words = words[: 32 * blocks**2].view(-1, blocks), words[32 * blocks**2 :]
        bits = (mine[:, :, None] >> torch.arange(32) & 1).bool().flatten(1)
        assert torch.equal(bits[: len(tree), : len(tree)].T, seen(tree))
        assert not bits[len(tree) :].any()
        assert not bits[:, len(tree) :].any()
        each = bits.view(blocks, 32, blocks, 32).sum((1, 3))
        kind, kinds = kinds[: blocks**2].view(blocks, blocks), kinds[blocks**2 :]
        assert torch.equal(kind == 0, each == 0)
        assert torch.equal(kind == 2, each == 1024)
    assert sorted(found.order.tolist(), key=lambda tree: (-SIZES[tree], tree)) == found.order.tolist()


@pytest.mark.parametrize("rows", [1, 31, 64, 333])
def test_sums_over_rows(trainer: Engine, rows: int) -> None:
    scale, dtype = 0.5, trainer.dtype
    given = draw(rows, 704, seed=rows, dtype=dtype)
    given[:, 640:] = torch.nan  # nobody's
    pairs = [
        (given[:, :32], given[:, 32:384]),
        (given[:, 32:128], given[:, 128:160]),
        (given[:, :640].contiguous(), given[:, :64]),
    ]
    found = training.sum_over_rows(trainer, scale, *pairs)
    for (x, y), each in zip(pairs, found, strict=True):
        expected = scale * x.double().T @ y.double()
        assert (each - expected).abs().max() <= 1e-5 * rows**0.5
    before = torch.get_num_threads()
    try:
        for threads in (1, 5):
            torch.set_num_threads(threads)
            again = training.sum_over_rows(trainer, scale, *pairs)
            assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    finally:
        torch.set_num_threads(before)

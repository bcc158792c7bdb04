"""A network's hidden states and gradients against `puna.llama.Llama`'s own modules and torch's autograd."""

import random

import pytest
import torch
from torch import Tensor

from puna.llama.load import load
from puna.train import fused
from puna.train.network import LoRA, Network
from puna.train.packed import Packed
from tests.native.models import Stored, make_stored
from tests.train.trees import depths, random_parents, seen

NAMES = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


def batch_of(sizes: tuple[int, ...], seed: int) -> tuple[list[list[int]], Packed]:
    rng = random.Random(seed)
    parents = [random_parents(size, rng) for size in sizes]
    return parents, Packed.of(([rng.randrange(97) for _ in tree], depths(tree), tree) for tree in parents)


def weigh(batch: Packed, width: int) -> Tensor:
    return torch.randn(len(batch.tokens), width, generator=torch.Generator().manual_seed(3))


def expected(
    stored: Stored, network: Network, parents: list[list[int]], batch: Packed
) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states and the gradients of whole weights, in float64 but for the norms' statistics."""
    model = load(stored, dtype=torch.float32, kernels=False)
    weights = dict(model.named_parameters())
    for n, layer in enumerate(network.layers):
        for room, names in NAMES.items():
            matrix = getattr(layer, room)
            whole = matrix.weight.detach().clone()
            pairs = list(matrix.pairs.values())
            for (start, end), a, b in zip(matrix.parts, pairs[::2], pairs[1::2], strict=True):
                whole[start:end] += matrix.scale * (b @ a).detach()
            place = 0
            for name in names:
                weight = weights[f"model.layers.{n}.{name}.weight"]
                weight.requires_grad_()
                weight.data.copy_(whole[place : place + len(weight)])
                place += len(weight)
    found = []
    for tree, tokens, positions in zip(
        parents, batch.tokens.split(batch.sizes), batch.positions.split(batch.sizes), strict=True
    ):
        found.append(model(tokens, positions, None, seen(tree)))
    hidden = torch.cat(found)
    (hidden * weigh(batch, hidden.shape[1])).sum().backward()
    gradients = {}
    for n in range(len(network.layers)):
        for room, names in NAMES.items():
            each = [weights[f"model.layers.{n}.{name}.weight"].grad for name in names]
            gradients[f"layers.{n}.{room}"] = torch.cat(each)
    return hidden.detach(), gradients


def compare(found: Tensor, wanted: Tensor, limit: float) -> None:
    assert (found - wanted).norm() <= limit * wanted.norm()


@pytest.mark.parametrize(
    ("dtype", "kernels", "limit"),
    [
        (torch.float32, False, 1e-5),
        (torch.float32, True, 1e-5),
        (torch.bfloat16, False, 0.03),
        (torch.bfloat16, True, 0.03),
    ],
)
@pytest.mark.parametrize("lora", [None, LoRA(4, 8.0), LoRA(8, 4.0, ("v_proj", "q_proj", "up_proj"))], ids=str)
def test_gradients(
    dtype: torch.dtype, kernels: bool, limit: float, lora: LoRA | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = make_stored({"num_key_value_heads": 2, "head_dim": 32}, "F32")
    network = Network(stored, dtype, lora)
    if kernels and network.layers[0].engine is None:
        pytest.skip("no kernels for training in this type")
    for layer in network.layers:
        if not kernels:
            layer.engine = None
        for matrix in layer.matrices():
            for pair in list(matrix.pairs.values())[1::2]:
                torch.nn.init.normal_(pair, std=0.2, generator=torch.Generator().manual_seed(len(pair)))
    network.changed()
    parents, batch = batch_of((1, 40, 33, 75), 2)
    wanted, gradients = expected(stored, network, parents, batch)
    hidden = network(batch)
    compare(hidden.detach(), wanted, limit)
    (hidden * weigh(batch, hidden.shape[1])).sum().backward()
    count = 0
    for n, layer in enumerate(network.layers):
        for room in NAMES:
            matrix, whole = getattr(layer, room), gradients[f"layers.{n}.{room}"]
            if lora is None:
                compare(matrix.weight.grad, whole, limit)
            pairs = list(matrix.pairs.values())
            for (start, end), a, b in zip(matrix.parts, pairs[::2], pairs[1::2], strict=True):
                compare(b.grad, matrix.scale * whole[start:end] @ a.detach().T, limit)
                compare(a.grad, matrix.scale * b.detach().T @ whole[start:end], limit)
                count += 1
    assert count == (len(lora.targets) if lora else 0) * len(network.layers)
    if dtype == torch.float32 or not kernels:
        return
    with torch.no_grad():
        assert torch.equal(network(batch), hidden)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_differences_are_added_to_what_was_loaded(dtype: torch.dtype) -> None:
    matrix = Network(make_stored(kind="F32"), dtype, LoRA(4, 8.0, ("k_proj",))).layers[0].qkv
    loaded, (a, b) = matrix.weight.clone(), matrix.pairs.values()
    for _ in range(2):
        torch.nn.init.normal_(b)
        matrix.changed()
        wanted = loaded.clone()
        wanted[matrix.parts[0][0] : matrix.parts[0][1]] += 2 * (b @ a).detach()
        compare(matrix.whole().float(), wanted, 5e-3)
    assert torch.equal(matrix.weight, loaded)


@pytest.mark.parametrize("kernels", [False, True])
def test_looking_without_gradients_first(kernels: bool) -> None:
    network = Network(make_stored(kind="F32"), torch.bfloat16, None)
    for layer in network.layers if not kernels else ():
        layer.engine = None
    batch = batch_of((20,), 1)[1]
    with torch.no_grad():
        network(batch)
    network(batch).sum().backward()
    assert all(parameter.grad.norm() > 0 for parameter in network.parameters())


@pytest.fixture
def network() -> Network:
    network = Network(make_stored(kind="F32"), torch.bfloat16, LoRA(4))
    if network.layers[0].engine is None:
        pytest.skip("no kernels for training")
    return network


def step(network: Network, batch: Packed) -> list[Tensor]:
    hidden = network(batch)
    found = torch.autograd.grad((hidden * weigh(batch, hidden.shape[1])).sum(), list(network.parameters()))
    return [hidden.detach(), *found]


def test_a_step_is_the_same_whatever_was_before(network: Network) -> None:
    """Memory that is used again leaves no trace."""
    batch = batch_of((70, 20), 1)[1]
    before = step(network, batch)
    step(network, batch_of((300, 1), 2)[1])
    with torch.no_grad():
        network(batch_of((50,), 2)[1])
    for old, new in zip(before, step(network, batch), strict=True):
        assert torch.equal(old, new)


def test_memory_is_bounded(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rooms as are in use at once, whatever sizes batches have."""
    monkeypatch.setattr(fused, "_free", [])
    monkeypatch.setattr(fused, "_GRAIN", 64)
    rng = random.Random(4)
    for _ in range(20):
        step(network, batch_of((rng.randrange(1, 200),), 1)[1])
        with torch.no_grad():
            network(batch_of((rng.randrange(1, 200),), 1)[1])
        assert len(fused._free) <= len(network.layers) + 1


def test_back_twice_is_refused(network: Network) -> None:
    hidden = network(batch_of((9,), 1)[1])
    hidden.sum().backward(retain_graph=True)
    with pytest.raises(AttributeError, match="kept"):
        hidden.sum().backward()

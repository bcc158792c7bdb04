"""The head in C against float64 products and log_softmax of the same bf16 numbers."""

import pytest
import torch

from puna.errors import InputError
from tests.native.models import KINDS, make_stored, packed, random_tokens, rounded

VOCABULARIES = [1, 16, 31, 32, 33, 97, 1024, 1025, 2100]


def make(vocab: int, kind: str, tied: bool = True):
    return make_stored(
        {"vocab_size": vocab, "tie_word_embeddings": tied, "num_hidden_layers": 1, "hidden_size": 64},
        kind,
        seed=vocab,
    )


def states(count: int, width: int = 64, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(count)) * spread


def want_logits(stored, engine, hidden: torch.Tensor, few: bool = False) -> torch.Tensor:
    name = "lm_head.weight" if "lm_head.weight" in stored.raw else "model.embed_tokens.weight"
    weight = stored.exact(name).double()
    if engine.dtype == torch.float32:
        return hidden.double() @ weight.T
    if few and stored.type_name(name)[0] == "Q":
        return in_steps(rounded(hidden)) @ weight.T
    return rounded(hidden) @ rounded(weight).T


def in_steps(x: torch.Tensor) -> torch.Tensor:
    """Inputs of the kernel for few rows: whole steps of a 16256th of the largest in their block of 32."""
    blocks = x.view(len(x), x.shape[1] // 32, 32)
    step = blocks.abs().amax(-1, keepdim=True) / 16256
    return ((blocks / step).round() * step).view_as(x)


@pytest.mark.parametrize("vocab", VOCABULARIES)
@pytest.mark.parametrize("kind", KINDS)
def test_log_probs(engine, vocab: int, kind: str) -> None:
    stored = make(vocab, kind, tied=vocab % 2 == 0)
    model, hidden = packed(stored, engine), states(70)
    numbers = torch.Generator().manual_seed(vocab)
    rows, tokens = (torch.randint(0, most, (300,), generator=numbers) for most in (70, vocab))
    rows = torch.where(rows == 13, 14, rows)  # a row that nobody asks for
    want = want_logits(stored, engine, hidden).log_softmax(-1)[rows, tokens]
    assert (model.log_probs(hidden, rows, tokens) - want).abs().max() < 1e-5


@pytest.mark.parametrize("vocab", VOCABULARIES)
def test_all_tokens_sum_to_one(engine, vocab: int) -> None:
    model, hidden = packed(make(vocab, "Q4_1"), engine), states(5)
    rows, tokens = torch.cartesian_prod(torch.arange(5), torch.arange(vocab)).unbind(1)
    total = model.log_probs(hidden, rows, tokens).double().exp().view(5, vocab).sum(1)
    assert (total - 1).abs().max() < 1e-5


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 16, 17, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_logits(engine, count: int, kind: str) -> None:
    for vocab in (33, 1025):
        stored = make(vocab, kind, tied=kind != "Q8_0")
        hidden = states(count)
        got = packed(stored, engine).logits(hidden)
        assert got.shape == (count, vocab)
        torch.testing.assert_close(
            got.double(), want_logits(stored, engine, hidden, few=count <= 3), atol=2e-5, rtol=1e-5
        )


def test_rows_with_gaps_between_them(engine) -> None:
    stored = make(97, "Q4_0")
    hidden = states(12)[::3]
    want = want_logits(stored, engine, hidden)
    torch.testing.assert_close(packed(stored, engine).logits(hidden).double(), want, atol=2e-5, rtol=1e-5)
    got = packed(stored, engine).log_probs(hidden, torch.tensor([3, 0]), torch.tensor([5, 96]))
    assert (got - want.log_softmax(-1)[[3, 0], [5, 96]]).abs().max() < 1e-4


def test_nothing_asked(engine) -> None:
    nothing = torch.empty(0, dtype=torch.long)
    assert packed(make(97, "Q4_0"), engine).log_probs(states(3), nothing, nothing).shape == (0,)


@pytest.mark.parametrize("spread", [1e4, 1e-30, 0.0])
@pytest.mark.parametrize("vocab", [97, 2100])
def test_states_of_any_size(engine, spread: float, vocab: int) -> None:
    stored = make(vocab, "Q4_1")
    model, hidden = packed(stored, engine), states(40, spread=spread)
    want = want_logits(stored, engine, hidden)
    tokens = torch.arange(40) % vocab
    got = model.log_probs(hidden, torch.arange(40), tokens)
    assert got.isfinite().all()
    scale = 1 + want.abs().max()
    assert (got - want.log_softmax(-1)[torch.arange(40), tokens]).abs().max() < 2e-6 * scale
    assert (model.logits(hidden) - want).abs().max() < 2e-6 * scale


@pytest.mark.parametrize("kind", ["F32", "Q4_1"])
@pytest.mark.parametrize("wrong", [-1, 97, 2**40])
def test_no_such_token(engine, kind: str, wrong: int) -> None:
    stored = make(97, kind)
    model = packed(stored, engine)
    tokens = random_tokens(stored, 5)
    tokens[3] = wrong
    with pytest.raises(InputError):
        model(tokens, torch.arange(5), None, None)
    with pytest.raises(InputError):
        model.log_probs(states(5), torch.arange(5), tokens)

"""Choosing tokens: every filter against Transformers' own, the draw against its probabilities."""

import math

import jaxtyping
import pytest
import torch
from transformers import GenerationConfig
from transformers.generation.logits_process import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from puna.decode.sampling import LARGEST_SEED, Sampler, Sampling, heated, min_p, top_k, top_p
from puna.errors import InputError, ModelFileError
from tests.oracle.tiny import make_pair

SIZES = (1, 2, 7, 300, 5000)


@pytest.fixture(params=SIZES)
def scores(request):
    """Scores of a few shapes: flat, peaked, and with tokens already taken away."""
    size = request.param
    random = torch.Generator().manual_seed(size)
    rows = [torch.randn(size, generator=random) * spread for spread in (0.1, 1.0, 4.0)]
    gone = rows[1].clone()
    gone[1::2] = -math.inf
    return [*rows, gone]


def same(ours, oracle, row):
    assert torch.equal(ours, oracle(torch.zeros(1, 1, dtype=torch.long), row[None])[0])


@pytest.mark.parametrize("k", [1, 2, 5, 40, 10_000])
def test_top_k_is_transformers(scores, k):
    for row in scores:
        same(top_k(row, k), TopKLogitsWarper(k), row)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.95, 0.999])
def test_top_p_is_transformers(scores, p):
    for row in scores:
        same(top_p(row, p), TopPLogitsWarper(p), row)


@pytest.mark.parametrize("p", [0.001, 0.05, 0.5, 0.9, 1.0])
def test_min_p_is_transformers(scores, p):
    for row in scores:
        same(min_p(row, p), MinPLogitsWarper(p), row)


def test_equals_of_the_last_of_top_k_stay_as_in_transformers():
    row = torch.tensor([1.0, 3.0, 2.0, 2.0, 2.0, 0.0])
    same(top_k(row, 2), TopKLogitsWarper(2), row)
    assert top_k(row, 2).isfinite().tolist() == [False, True, True, True, True, False]


def test_top_p_keeps_the_token_that_reaches_p():
    row = torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    for p, kept in ((0.4, 1), (0.6, 2), (0.8, 3), (0.9, 4)):
        assert top_p(row, p).isfinite().tolist() == [i < kept for i in range(4)]


def test_top_p_keeps_the_lowest_of_equal_ids():
    assert top_p(torch.zeros(10), 0.35).isfinite().tolist() == [True] * 4 + [False] * 6


@pytest.mark.parametrize("temperature", [0.01, 0.7, 1.0, 3.5, 100])
def test_temperature(scores, temperature):
    for row in scores:
        torch.testing.assert_close(heated(row, temperature).softmax(-1), (row / temperature).softmax(-1))


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-20, 1e20, 1e308])
def test_extreme_temperatures_stay_numbers(temperature):
    row = torch.tensor([3.0, -1e30, 2.0, 3.0e38])
    found = heated(row, temperature).softmax(-1)
    assert found.isfinite().all()
    assert found[3] == 1.0 or temperature > 1


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.1},
        {"temperature": 2.0, "top_k": 50, "top_p": 0.95, "min_p": 0.02},
        {"temperature": 1.5, "top_p": 0.6},
        {"temperature": 0.3, "min_p": 0.3},
        {"temperature": 1.0},
    ],
)
def test_all_filters_in_transformers_order(settings):
    """The chain that Transformers' generate builds from the same numbers."""
    everything = {"top_k": 0, "top_p": 1.0, **settings}
    chain = make_pair().hf._get_logits_processor(GenerationConfig(do_sample=True, **everything))
    for seed in range(5):
        row = torch.randn(500, generator=torch.Generator().manual_seed(seed)) * 2
        want = chain(torch.zeros(1, 1, dtype=torch.long), row[None])[0].softmax(-1)
        ours = Sampler(Sampling(**settings), 500).filter(row).softmax(-1)
        assert torch.equal(ours > 0, want > 0)
        torch.testing.assert_close(ours, want)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1.0},
        {"temperature": 0.6},
        {"temperature": 1.7, "top_k": 5},
        {"temperature": 1.0, "top_p": 0.7},
        {"temperature": 1.2, "min_p": 0.2},
    ],
)
def test_draws_follow_the_probabilities(settings):
    row = torch.tensor([1.0, 0.0, 2.0, -1.0, 0.5, 1.5, -0.5, 0.2])
    choose = Sampler(Sampling(**settings, seed=5), len(row))
    draws = 6000
    counts = torch.bincount(torch.tensor([choose(row) for _ in range(draws)]), minlength=len(row)).double()
    expected = choose.filter(row).softmax(-1).double() * draws
    assert (counts[expected == 0] == 0).all()
    inside = expected > 0
    chi_square = ((counts - expected)[inside].square() / expected[inside]).sum()
    assert chi_square < 24.3  # exceeded once in a thousand with 7 degrees of freedom, more rarely with fewer


def test_seeds():
    row = torch.zeros(1000)

    def drawn(seed):
        choose = Sampler(Sampling(temperature=1.0, seed=seed), 1000)
        return [choose(row) for _ in range(20)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)
    assert drawn(0) == drawn(0) != drawn(LARGEST_SEED)


def test_the_programs_own_random_numbers_are_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Sampler(Sampling(temperature=1.0, seed=7), 10)(torch.zeros(10))
    Sampler(Sampling(temperature=1.0), 10)(torch.zeros(10))
    assert torch.equal(torch.get_rng_state(), before)


def test_greedy_takes_the_lowest_of_equal_ids():
    greedy = Sampler(Sampling(), 60_000)
    row = torch.zeros(60_000)
    assert greedy(row) == 0
    row[[59_999, 40_001, 777]] = 1.0
    assert greedy(row) == 777


@pytest.mark.parametrize("temperature", [0.0, 1.0, 50.0])
def test_padded_rows_are_never_chosen(temperature):
    row = torch.zeros(32)
    row[20:] = 1e4
    choose = Sampler(Sampling(temperature=temperature, seed=1), 20)
    assert all(choose(row) < 20 for _ in range(200))
    row[20:] = math.nan
    assert all(choose(row) < 20 for _ in range(20))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_an_error(bad, temperature):
    row = torch.zeros(9)
    row[4] = bad
    with pytest.raises(ModelFileError) as caught:
        Sampler(Sampling(temperature=temperature), 9)(row)
    assert caught.value.code == "E-LOGITS"


def test_bfloat16_scores_are_drawn_in_fp32():
    row = torch.randn(50).bfloat16()
    assert Sampler(Sampling(temperature=1.0), 50).filter(row.float()).dtype == torch.float32
    assert Sampler(Sampling(temperature=1.0, seed=3), 50)(row) in range(50)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        *(("temperature", v, "E-TEMPERATURE") for v in (-0.1, math.nan, math.inf, -math.inf, "hot", None, True)),
        *(("top_k", v, "E-TOP-K") for v in (-1, 2.5, None, True)),
        *(("top_p", v, "E-TOP-P") for v in (0, 0.0, -0.5, 1.01, math.nan, math.inf, None)),
        *(("min_p", v, "E-MIN-P") for v in (-0.01, 1.01, math.nan, "0.5")),
        *(("seed", v, "E-SEED") for v in (-1, LARGEST_SEED + 1, 0.5, True)),
    ],
)
def test_settings_without_meaning(name, value, code, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users have no shape checkers
    with pytest.raises(InputError) as caught:
        Sampling(**{name: value})
    assert caught.value.code == code
    for language in ("en", "zh"):
        message, hint = caught.value.describe(language)
        assert str(value) in message
        assert hint


def test_the_edges_of_the_settings_are_allowed():
    Sampling(temperature=0, top_k=0, top_p=1, min_p=0, seed=0)
    Sampling(temperature=100, top_k=10**9, top_p=1e-9, min_p=1, seed=LARGEST_SEED)
    Sampling(temperature=0.0, top_k=1, top_p=1.0, min_p=1.0, seed=None)

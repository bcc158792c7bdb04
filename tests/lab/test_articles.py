"""The articles' own formulas, against numbers worked out by hand and second ways of computing them."""

import math

import numpy as np
import pytest
import torch

from puna.lab.articles import (
    permuted_positions,
    random_positions,
    rearranged,
    rms_normalise,
    rotation_encoding,
    score_candidates,
    standardise,
)


def test_random_positions_are_uniform_and_drawn_with_replacement():
    every = np.concatenate([random_positions(50, seed) for seed in range(400)])
    assert every.min() == 1
    assert every.max() == 50
    assert np.bincount(every, minlength=51)[1:].std() < 60  # 400 a place, sd 20
    missing = np.mean([50 - len(set(random_positions(50, seed).tolist())) for seed in range(400)])
    assert missing == pytest.approx(50 * (1 - 1 / 50) ** 50, rel=0.05)
    assert (random_positions(50, 7) == random_positions(50, 7)).all()


def test_a_permutation_has_each_once_and_any_order():
    assert all(sorted(permuted_positions(9, seed)) == list(range(1, 10)) for seed in range(50))
    firsts = np.bincount([permuted_positions(4, seed)[0] for seed in range(800)], minlength=5)[1:]
    assert (firsts > 140).all()  # 200 each


def test_a_sequence_is_rearranged_by_positions():
    assert rearranged(["I", "am", "a", "llama"], [4, 2, 2, 1]) == ["llama", "am", "am", "I"]
    for wrong in ([0], [5]):
        with pytest.raises(ValueError, match="1 to 4"):
            rearranged("abcd", wrong)


def test_the_articles_example_of_standardisation():
    wanted = [-1.342, -0.447, 0.447, 1.342]
    assert np.round(standardise(np.array([1.0, 2.0, 3.0, 4.0])), 3).tolist() == wanted
    assert [round(value, 3) for value in standardise(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist()] == wanted


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_norms_over_an_axis(axis):
    x = np.random.default_rng(axis + 5).normal(2, 3, (5, 7))
    mean = np.apply_along_axis(lambda row: (row - row.mean()) / row.std(), axis, x)
    root = np.apply_along_axis(lambda row: row / math.sqrt(sum(v * v for v in row) / len(row) + 0.5), axis, x)
    np.testing.assert_allclose(standardise(x, axis), mean, rtol=1e-12)
    np.testing.assert_allclose(rms_normalise(x, axis, 0.5), root, rtol=1e-12)
    torch.testing.assert_close(standardise(torch.tensor(x), axis), torch.tensor(mean))
    torch.testing.assert_close(rms_normalise(torch.tensor(x), axis, 0.5), torch.tensor(root))


def test_equal_values():
    assert np.isnan(standardise(np.ones(4))).all()
    assert (standardise(np.ones(4), eps=1e-6) == 0).all()


@pytest.mark.parametrize(("n", "d"), [(5, 2), (12, 6)])
def test_rotation_encoding_turns_by_equal_steps_of_a_full_circle(n, d):
    x = np.random.default_rng(n).normal(size=(n, d))
    found = rotation_encoding(x)
    planes = (x[:, 0::2] + 1j * x[:, 1::2]) * np.exp(2j * np.pi * np.arange(n) / n)[:, None]
    np.testing.assert_allclose(found[:, 0::2] + 1j * found[:, 1::2], planes, rtol=1e-12)
    same = rotation_encoding(np.tile(x[:1], (n, 1)))
    products = same @ same.T
    for i in range(n):
        np.testing.assert_allclose(np.roll(products[i], -i), products[0], rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="even"):
        rotation_encoding(np.zeros((3, 5)))


def test_scores_keep_their_names():
    letters = "abcdefghijklmnopqrstuvwxyz "

    def model(text, candidate):
        counts = np.array([candidate.lower().count(letter) for letter in letters], float)
        return counts * [letter in text.lower() for letter in letters]

    question = np.array([1.0 if letter in "capital france" else 0.0 for letter in letters])
    candidates = ["Rome", "Paris, France", "Lima"]
    found = score_candidates(question, "Paris is the capital of France.", candidates, model)
    assert [each.name for each in found] == ["Paris, France", "Lima", "Rome"]
    assert found[0].score == float(question @ model("Paris is the capital of France.", "Paris, France"))
    assert [each.name for each in score_candidates(question * 0, "t", candidates, model)] == candidates
    with pytest.raises(ValueError, match="Lima"):
        score_candidates(question, "t", ["Lima"], lambda text, candidate: np.zeros(3))

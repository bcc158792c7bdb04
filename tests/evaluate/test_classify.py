"""Metrics of labels against scikit-learn's, on random labels."""

import random
import struct

import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from puna.evaluate.classify import Labelled, summarise_labels
from puna.evaluate.plot import plot_confusion


@pytest.mark.parametrize("seed", range(20))
def test_as_scikit_learn_has_them(seed: int) -> None:
    """Labels that are never right, never given, or neither, among them."""
    rng = random.Random(seed)
    labels = [f"label {n}" for n in range(rng.randint(2, 9))]
    right, given = (rng.sample(labels, rng.randint(1, len(labels))) for _ in range(2))
    done = [Labelled(rng.choice(right), rng.choice(given), rng.random()) for _ in range(rng.randint(1, 60))]
    truth, found = [each.right for each in done], [each.found for each in done]
    summary = summarise_labels(done, labels, 2.0)
    assert summary.accuracy == pytest.approx(accuracy_score(truth, found))
    wanted = f1_score(truth, found, labels=labels, average="macro", zero_division=0)
    assert summary.macro_f1 == pytest.approx(wanted)
    assert [list(row) for row in summary.confusion] == confusion_matrix(truth, found, labels=labels).tolist()
    assert (summary.n, summary.rows_per_second) == (len(done), len(done) / 2)


def test_calibration_error_of_honest_and_of_boastful_labels() -> None:
    rng = random.Random(0)
    sure = [rng.uniform(0.5, 1) for _ in range(4000)]
    honest = [Labelled("a", "a" if rng.random() < p else "b", p) for p in sure]
    assert summarise_labels(honest, ["a", "b"], 1).ece < 0.03
    assert summarise_labels([Labelled("a", "b", 1.0)] * 9, ["a", "b"], 1).ece == 1


@pytest.mark.parametrize("count", [2, 40])
def test_the_picture_is_one(count: int) -> None:
    labels = [f"${n}$ 类别_^" for n in range(count)]
    summary = summarise_labels([Labelled(labels[0], labels[1], 0.5)] * 3, labels, 1)
    picture = plot_confusion(summary, "rows_$1.jsonl")
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 300
    assert height > 300

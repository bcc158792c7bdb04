"""The pointer against a sum over all spans in float64."""

import math

import pytest
import torch

from puna.rank.pointer import LONGEST, Pointer, span_mass


@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 65, 150])
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_of_all_spans_and_none_sum_to_one(tokens: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    width, size = 12, 5

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw)

    pointer = Pointer(random(2, size, width), random(2, size, width), random(2, size), weight=0.5)
    question, text = random(1, width), random(tokens, width)
    spans = [(i, j) for i in range(tokens) for j in range(i, min(i + LONGEST, tokens))]
    values, nowhere = pointer.log_probs(question, text @ pointer.notes.T, torch.tensor(spans))
    q1, q2 = (p.double() @ question[0].double() * size**-0.5 for p in pointer.question)
    k1, k2 = (text.double() @ p.double().T for p in pointer.text)
    every = [float(q1 @ k1[i] + q2 @ k2[j]) for i, j in spans]
    every.append(float(q1 @ pointer.nowhere[0].double() + q2 @ pointer.nowhere[1].double()))
    most = max(every)
    mass = most + math.log(math.fsum(math.exp(value - most) for value in every))
    assert [*values.tolist(), nowhere] == pytest.approx([0.5 * (value - mass) for value in every], abs=1e-3)


def test_mass_of_one_span_and_none() -> None:
    assert float(span_mass(torch.tensor([[[2.0]], [[3.0]]]), torch.tensor([5.0]))) == pytest.approx(
        5 + math.log(2), abs=1e-6
    )

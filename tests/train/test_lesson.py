"""What is held back, and what the pointer's best spans are."""

import random
from functools import partial

import pytest
import torch

from puna.rank.pointer import LONGEST
from puna.train import lesson
from puna.train.losses import PointerHead
from puna.train.rows import SpanRow
from puna.train.student import best_spans
from puna.train.trees import Passage, Question, grow

hold_back = partial(lesson.hold_back, key=lambda row: row.context)


def some_rows(texts: int, seed: int) -> list[SpanRow]:
    draw = random.Random(seed)
    return [
        SpanRow(f"{text}-{n}", f"text {text}", "?", ()) for text in range(texts) for n in range(draw.randint(1, 5))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_text_is_on_one_side_and_every_row_somewhere(seed):
    rows = some_rows(400, seed)
    learned, held = hold_back(rows, seed)
    assert sorted(row.id for row in learned + held) == sorted(row.id for row in rows)
    assert not {row.context for row in learned} & {row.context for row in held}
    assert 0.02 * len(rows) - 1 <= len(held) < 0.02 * len(rows) + 5
    assert hold_back(rows, seed) == (learned, held)
    assert hold_back(rows, seed + 1)[1] != held


def test_more_rows_leave_most_of_what_is_held_back():
    rows = some_rows(2000, 0)
    before = {row.context for row in hold_back(rows[: len(rows) // 2], 0)[1]}
    after = {row.context for row in hold_back(rows, 0)[1]}
    assert len(before - after) <= len(before) * 0.1
    assert hold_back(rows * 20, 0)[1].__len__() < 300 + 20 * 5


def test_something_is_left_to_learn_from():
    assert [len(part) for part in hold_back(some_rows(1, 0), 0)] == [len(some_rows(1, 0)), 0]
    learned, held = hold_back(some_rows(2, 0), 0, share=0.9)
    assert learned
    assert held


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_best_spans_are_those_of_all_spans(seed):
    draw = random.Random(seed)
    length, first, width = draw.choice((5, 90)), 3, 16
    pointer = PointerHead(width, seed=seed)
    torch.nn.init.normal_(pointer.nowhere)
    questions = [Question(str(n), [1, 2], [[7, 8]], 1, []) for n in range(3)]
    tree = grow(Passage([5] * (first + length), first, questions))
    hidden = torch.randn(len(tree.tokens), width, generator=torch.Generator().manual_seed(seed)) * 3
    found = best_spans(pointer, hidden, tree)
    for row, end in zip(found.tolist(), tree.ends, strict=True):
        scores = {}
        for i in range(first, first + length):
            for j in range(i, min(i + LONGEST, first + length)):
                parts = (
                    pointer.question.detach() @ hidden[end] * (pointer.text @ hidden[[i, j]].T).diagonal(0, 0, 2).T
                ).sum()
                scores[i, j] = float(parts) / pointer.question.shape[1] ** 0.5
        nowhere = (
            float((pointer.question @ hidden[end] * pointer.nowhere).sum().detach())
            / pointer.question.shape[1] ** 0.5
        )
        mass = float(torch.tensor([*scores.values(), nowhere]).logsumexp(0))
        best = max(scores, key=scores.__getitem__)
        assert (int(row[0]), int(row[1])) == best
        assert row[2] == pytest.approx(scores[best] - mass, abs=1e-3)
        assert row[3] == pytest.approx(nowhere - mass, abs=1e-3)

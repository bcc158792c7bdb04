"""Candidates of many prompts at once, against Transformers, against scoring one prompt at a time, and against itself."""

import random
from collections.abc import Sequence

import pytest
import torch

from puna.llama.model import Llama
from puna.rank import forest
from puna.rank.forest import score_forest
from puna.rank.score import read, score
from tests.oracle.tiny import ROPES, SHAPES, make_pair
from tests.rank.test_score import END, forced, sequences

Item = tuple[list[int], list[list[int]]]


def forest_of(rng: random.Random, count: int, longest: int = 60) -> list[Item]:
    """Prompts that often begin alike, with candidates that branch and repeat."""
    common = [rng.randrange(97) for _ in range(longest)]
    items = []
    for _ in range(count):
        shared, length = rng.randint(0, longest), rng.randint(1, longest)
        prompt = (common[:shared] + [rng.randrange(97) for _ in range(longest)])[:length]
        items.append((prompt, sequences(rng, rng.randint(0, 6), longest=rng.choice([1, 3, 9]))))
    return items


def scored(model: Llama, items: Sequence[Item], end: int | None) -> list[list[torch.Tensor]]:
    found = dict(score_forest(model, [prompt for prompt, _ in items], [c for _, c in items], end=end))
    assert sorted(found) == list(range(len(items)))
    return [found[index] for index in range(len(items))]


def gap(found: list[list[torch.Tensor]], wanted: list[list[torch.Tensor]]) -> float:
    """Largest difference of a token's log-probability; the shapes must agree."""
    largest = 0.0
    for ours, theirs in zip(found, wanted, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            if len(a):
                largest = max(largest, float((a - b).abs().max()))
    return largest


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("end", [END, None])
def test_equals_teacher_forcing(shape: str, end: int | None) -> None:
    pair = make_pair(SHAPES[shape])
    items = forest_of(random.Random(shape), 25)
    for (prompt, candidates), found in zip(items, scored(pair.puna, items, end), strict=True):
        for values, candidate in zip(found, candidates, strict=True):
            wanted = forced(pair, prompt, candidate, end)
            torch.testing.assert_close(values.double(), wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize(("rows", "keys"), [(24, 32), (70, 96), (384, 512)])
def test_equals_one_prompt_at_a_time(rope: str, rows: int, keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the trees are too large for a forward of 24 or 70 rows."""
    monkeypatch.setattr(forest, "ROWS", rows)
    monkeypatch.setattr(forest, "KEYS", keys)
    model = make_pair(rope=rope).puna
    items = forest_of(random.Random(rope), 40)
    assert gap(scored(model, items, END), [score(read(model, p), c, end=END) for p, c in items]) < 1e-4


def test_odd_trees() -> None:
    model = make_pair().puna
    items: list[Item] = [
        ([5], []),
        ([5], [[], [3]]),
        ([5, 6], [[7], [], [7], [7, 8]]),
        ([5, 6], [[7], [], [7], [7, 8]]),
        ([9] * 500, [[1, 2], [1]]),
        ([9] * 384, [[1], [2]]),
        ([9] * 384, [[1, 2]]),
    ]
    for end in (END, None):
        assert gap(scored(model, items, end), [score(read(model, p), c, end=end) for p, c in items]) < 1e-4
    assert scored(model, [], END) == []
    with pytest.raises(ValueError, match="no tokens"):
        scored(model, [([], [[1]])], END)


def test_all_continuations_sum_to_one() -> None:
    """Every string of two tokens over the whole vocabulary behind each of the prompts."""
    model = make_pair({"vocab_size": 11}).puna
    rng = random.Random(4)
    every = [[a, b] for a in range(11) for b in range(11)]
    prompts = [[rng.randrange(11) for _ in range(rng.randint(1, 30))] for _ in range(20)]
    for _, values in score_forest(model, prompts, [every] * 20, end=None):
        assert abs(sum(float(each.sum().exp()) for each in values) - 1) < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_company_and_order_do_not_matter(seed: int) -> None:
    model, rng = make_pair(seed=seed).puna, random.Random(seed)
    items = forest_of(rng, 50)
    together = scored(model, items, END)
    for count in (50, 20, 7, 1):
        chosen = rng.sample(range(50), count)
        assert gap(scored(model, [items[i] for i in chosen], END), [together[i] for i in chosen]) < 1e-4


def test_few_forwards_and_no_row_twice() -> None:
    model, rng = make_pair().puna, random.Random(8)
    rows: list[int] = []
    model.register_forward_pre_hook(lambda _, arguments: rows.append(len(arguments[0])))
    items = [([1] * 20, [[2, 3, 4], [2, 3, 5], [6]]) for _ in range(100)]  # 22 tokens predict or lead there
    rng.shuffle(items)
    scored(model, items, None)
    assert rows == [forest.ROWS] * -(-100 // (forest.KEYS // 32))


@pytest.fixture(scope="module")
def questions(default_tokenizer) -> list[Item]:
    rng = random.Random(6)
    words = (
        "the river plain llama grass high cold wind stone walk 高原 草地 water seven 12 days north of Peru".split()
    )

    def text(least: int, most: int) -> str:
        return " ".join(rng.choices(words, k=rng.randint(least, most)))

    return [
        (
            default_tokenizer.encode_prompt(f"Question: {text(3, 40)}?\nAnswer:"),
            [default_tokenizer.encode(f" {text(1, 12)}", start=False) for _ in range(rng.randint(2, 5))],
        )
        for _ in range(14)
    ]


def test_default_model_equals_one_prompt_at_a_time(default_fp32, questions: list[Item]) -> None:
    wanted = [score(read(default_fp32, p), c, end=None) for p, c in questions]
    assert gap(scored(default_fp32, questions, None), wanted) < 1e-3


@pytest.mark.parametrize("name", ["default_bf16", "default_torch"])
def test_bf16_scores_are_the_same_in_any_company(name: str, request, questions: list[Item]) -> None:
    """To the last bit: other bits would be tenths of a nat after 30 layers of rounding."""
    model = request.getfixturevalue(name)
    together = scored(model, questions, None)
    rng = random.Random(9)
    for count in (14, 6, 2, 1):
        chosen = rng.sample(range(14), count)
        assert gap(scored(model, [questions[i] for i in chosen], None), [together[i] for i in chosen]) == 0


def test_bf16_is_no_coarser_than_one_prompt_at_a_time(default_bf16, default_fp32, questions: list[Item]) -> None:
    """Rounding to bf16 moves a token by hundredths of a nat either way; packing must not add to it."""
    exact = torch.cat([v for p, c in questions for v in score(read(default_fp32, p), c, end=None)])
    alone = torch.cat([v for p, c in questions for v in score(read(default_bf16, p), c, end=None)])
    packed = torch.cat([v for values in scored(default_bf16, questions, None) for v in values])
    assert (packed - exact).abs().mean() < 1.3 * (alone - exact).abs().mean()

"""The shelf: what was read before changes no bit of what is read next."""

import contextlib
import random

import pytest
import torch

from puna.llama.cache import Cache
from puna.llama.model import Llama
from puna.rank.score import Reading, read, score
from puna.rank.shelf import Shelf
from puna.rank.trie import build_trie
from tests.oracle.tiny import make_pair

END = 3
CANDIDATES = [[4, 5], [4, 6, 7], [8], [9] * 20]


def model(rope: str = "default", dtype: torch.dtype = torch.float32) -> Llama:
    puna = make_pair({"max_position_embeddings": 2048}, rope=rope).puna
    for layer in puna.model.layers:
        for linear in (*layer.self_attn.children(), *layer.mlp.children()):
            linear.to(dtype)
    return puna


def same(one: Reading, other: Reading) -> bool:
    """The state the next token hangs on, every key and value seen through candidates: equal to the last bit."""
    scores = zip(score(one, CANDIDATES, end=END), score(other, CANDIDATES, end=END), strict=True)
    return torch.equal(one.hidden, other.hidden) and all(torch.equal(a, b) for a, b in scores)


def prompt(rng: random.Random, earlier: list[list[list[int]]]) -> list[list[int]]:
    """Sections of a prompt: some of an earlier one's first, whole or cut off or joined, then new ones."""
    sections = list(rng.choice(earlier[-2:]))[: rng.randint(0, 4)] if earlier else []
    change = rng.randrange(4)
    if sections and change == 1:
        sections[-1] = sections[-1][: rng.randint(1, len(sections[-1]))]
    elif len(sections) > 1 and change == 2:
        sections[-2:] = [sections[-2] + sections[-1]]  # the same tokens, cut elsewhere
    elif sections and change == 3:
        sections[-1] = [*sections[-1], rng.randrange(97)]
    long = rng.random() < 0.1
    new = [
        [rng.randrange(97) for _ in range(rng.randint(1, 600 if long else 30))] for _ in range(rng.randint(1, 3))
    ]
    return sections + new


def joined(sections: list[list[int]]) -> tuple[list[int], list[int]]:
    tokens, cuts = [], []
    for section in sections:
        tokens += section
        cuts.append(len(tokens))
    return tokens, cuts[:-1]


class BreakingError(Exception):
    pass


@pytest.mark.parametrize(
    ("rope", "dtype"), [("default", torch.float32), ("default", torch.bfloat16), ("dynamic", torch.float32)]
)
def test_equals_a_cold_shelf_to_the_last_bit(
    rope: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stood on it before, and also where a reading broke off in its middle."""
    rng, puna = random.Random(11), model(rope, dtype)
    shelf, earlier = Shelf(puna), []
    write = Cache.write
    for _ in range(35):
        sections = prompt(rng, earlier)
        earlier.append(sections)
        tokens, cuts = joined(sections)
        if rng.random() < 0.4:
            left = iter(range(rng.randint(0, 9)))  # layers to go

            def breaking(self: Cache, *arguments, left=left):
                if next(left, None) is None:
                    raise BreakingError
                return write(self, *arguments)

            with monkeypatch.context() as patch, contextlib.suppress(BreakingError):
                patch.setattr(Cache, "write", breaking)
                shelf.read(*joined(prompt(rng, earlier)))
        assert same(shelf.read(tokens, cuts), Shelf(puna).read(tokens, cuts))


def test_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    puna, read_tokens = model(), []
    forward = Llama.forward
    monkeypatch.setattr(
        Llama,
        "forward",
        lambda self, tokens, *rest: read_tokens.append(len(tokens)) or forward(self, tokens, *rest),
    )
    shelf = Shelf(puna)
    text = list(range(10, 60))
    for question, want in (([1, 2, 3], 53), ([1, 2, 4], 3), ([5], 1)):
        read_tokens.clear()
        shelf.read(text + question, [20, 50])
        assert sum(read_tokens) == want
    shelf.read([*text[:20], 7, 8], [20])
    assert sum(read_tokens) == 1 + 2


def test_sections_change_nothing_but_rounding() -> None:
    rng, puna = random.Random(3), model()
    for _ in range(15):
        tokens, cuts = joined(prompt(rng, []))
        sectioned, whole = Shelf(puna).read(tokens, cuts), read(puna, tokens)
        torch.testing.assert_close(sectioned.hidden, whole.hidden, atol=2e-5, rtol=1e-5)
        for got, want in zip(score(sectioned, CANDIDATES, end=END), score(whole, CANDIDATES, end=END), strict=True):
            torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-5)


def test_cuts_outside_the_prompt_are_none() -> None:
    puna, tokens = model(), list(range(10, 30))
    assert same(Shelf(puna).read(tokens, [0, 5, 20, 25]), Shelf(puna).read(tokens, [5]))


@pytest.mark.parametrize("same_length", [False, True])
def test_an_outlived_reading_raises(same_length: bool) -> None:
    """One of the same length too: its cache would be another text's."""
    shelf = Shelf(model())
    old = shelf.read(list(range(10, 30)), [5])
    new = shelf.read(list(range(20, 40 if same_length else 45)), [5])
    with pytest.raises(RuntimeError):
        score(old, CANDIDATES, end=END)
    with pytest.raises((RuntimeError, ValueError)):
        score(old.until(5), CANDIDATES, end=END)
    assert same(new, Shelf(shelf.model).read(list(range(20, 20 + new.length)), [5]))


def test_until_is_the_reading_of_the_beginning() -> None:
    """Behind it a chain gives what reading on gives; the longer reading is over; the shelf goes on rightly."""
    puna, tokens, cuts = model(), list(range(10, 50)), [12, 25]
    shelf = Shelf(puna)
    for length in (25, 12, 30, 7):
        whole = shelf.read(tokens, cuts)
        first = whole.until(length)
        assert first.length == first.cache.length == length
        with pytest.raises(RuntimeError):
            score(whole, CANDIDATES, end=END)
        with torch.inference_mode():
            behind = first.open(build_trie([tokens[length:]]))[-1:]
        torch.testing.assert_close(behind, read(puna, tokens).hidden, atol=2e-5, rtol=1e-5)
        assert same(shelf.read(tokens, cuts), Shelf(puna).read(tokens, cuts))

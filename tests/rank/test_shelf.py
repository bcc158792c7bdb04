"""The shelf: what was read before changes no bit of what is read next."""

import contextlib
import random
import threading
from collections.abc import Callable

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


def opened(shelf: Shelf, tokens: list[int], cuts: list[int]) -> Reading:
    """A prompt's reading, read to its end."""
    reading = shelf.read(tokens, cuts)
    reading.finish()
    return reading


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
                opened(shelf, *joined(prompt(rng, earlier)))
        assert same(opened(shelf, tokens, cuts), opened(Shelf(puna), tokens, cuts))


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
        opened(shelf, text + question, [20, 50])
        assert sum(read_tokens) == want
    opened(shelf, [*text[:20], 7, 8], [20])
    assert sum(read_tokens) == 1 + 2


def test_sections_change_nothing_but_rounding() -> None:
    rng, puna = random.Random(3), model()
    for _ in range(15):
        tokens, cuts = joined(prompt(rng, []))
        sectioned, whole = opened(Shelf(puna), tokens, cuts), read(puna, tokens)
        torch.testing.assert_close(sectioned.hidden, whole.hidden, atol=2e-5, rtol=1e-5)
        for got, want in zip(score(sectioned, CANDIDATES, end=END), score(whole, CANDIDATES, end=END), strict=True):
            torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-5)


def test_cuts_outside_the_prompt_are_none() -> None:
    puna, tokens = model(), list(range(10, 30))
    assert same(opened(Shelf(puna), tokens, [0, 5, 20, 25]), opened(Shelf(puna), tokens, [5]))


@pytest.mark.parametrize("same_length", [False, True])
def test_an_outlived_reading_raises(same_length: bool) -> None:
    """One of the same length too: its cache would be another text's."""
    shelf = Shelf(model())
    old = opened(shelf, list(range(10, 30)), [5])
    new = opened(shelf, list(range(20, 40 if same_length else 45)), [5])
    with pytest.raises(RuntimeError):
        score(old, CANDIDATES, end=END)
    with pytest.raises((RuntimeError, ValueError)):
        score(old.until(5), CANDIDATES, end=END)
    assert same(new, opened(Shelf(shelf.model), list(range(20, 20 + new.length)), [5]))


def test_until_is_the_reading_of_the_beginning() -> None:
    """Behind it a chain gives what reading on gives; the longer reading is over; the shelf goes on rightly."""
    puna, tokens, cuts = model(), list(range(10, 50)), [12, 25]
    shelf = Shelf(puna)
    for length in (25, 12, 30, 7):
        whole = opened(shelf, tokens, cuts)
        first = whole.until(length)
        assert first.length == first.cache.length == length
        with pytest.raises(RuntimeError):
            score(whole, CANDIDATES, end=END)
        with torch.inference_mode():
            behind = first.open(build_trie([tokens[length:]]))[-1:]
        torch.testing.assert_close(behind, read(puna, tokens).hidden, atol=2e-5, rtol=1e-5)
        assert same(opened(shelf, tokens, cuts), opened(Shelf(puna), tokens, cuts))


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give a list that grows by the number of tokens of each section that is read."""
    counts: list[int] = []
    read, forward = Llama.read, Llama.forward

    def counted(self: Llama, *given, chain: int = 0):
        counts.extend([chain] if chain else [])  # read in one forward with what follows
        return forward(self, *given, chain=chain)

    monkeypatch.setattr(
        Llama, "read", lambda self, tokens, cache: counts.append(len(tokens)) or read(self, tokens, cache)
    )
    monkeypatch.setattr(Llama, "forward", counted)
    return counts


EXAMPLES, QUESTION, TEXT, SLOTS = 20, 7, 50, 256  # tokens, and what a window of such sizes takes


def window(number: int, question: int = 1) -> tuple[list[int], list[int]]:
    """A prompt about text `number` behind examples that all have."""
    tokens = [5] * EXAMPLES + [10 + number % 80, 10 + number // 80] * (TEXT // 2) + [question] * QUESTION
    return tokens, [EXAMPLES, EXAMPLES + TEXT]


def test_a_kept_text_has_the_bits_of_a_fresh_one(default_bf16: Llama, default_torch: Llama) -> None:
    """By the kernels and by torch: behind other texts, read ahead, copied for more room, from another's examples."""
    rng = random.Random(4)
    for puna in (default_bf16, default_torch):
        shelf = Shelf(puna)
        examples = [rng.randrange(4000) for _ in range(45)]
        texts = [[rng.randrange(4000) for _ in range(rng.choice([30, 90]))] for _ in range(3)]
        shelf.read_ahead(examples + texts[1], [45, 45 + len(texts[1])])
        for number in (0, 1, 2, 1, 0, 0, 2):
            question = [rng.randrange(4000) for _ in range(rng.choice([5, 80]))]
            given = examples + texts[number] + question, [45, 45 + len(texts[number])]
            assert same(opened(shelf, *given), opened(Shelf(puna), *given))


def test_a_text_is_read_once_and_the_examples_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, shelf = counting(monkeypatch), Shelf(model())
    for number in range(10):
        opened(shelf, *window(number))
    assert sum(counts) == EXAMPLES + 10 * (TEXT + QUESTION)
    counts.clear()
    shelf.begin()
    for number in range(10):
        opened(shelf, *window(number, 2))
    assert counts == [QUESTION] * 10


def test_reading_ahead_leaves_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, shelf = counting(monkeypatch), Shelf(model())
    tokens, cuts = window(3)
    shelf.read_ahead(tokens, cuts)
    assert sum(counts) == cuts[-1]
    counts.clear()
    opened(shelf, tokens, cuts)
    assert counts == [QUESTION]


@pytest.mark.parametrize("room", [0, 1, 2, 3, 5, 8])
def test_least_recently_used_go_first_within_the_bound(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random questions over random texts against a list that says what must be there."""
    counts, puna, rng = counting(monkeypatch), model(), random.Random(room)
    size = puna.new_cache(SLOTS).nbytes
    shelf = Shelf(puna, memory=room * size)
    there: list[int] = []  # texts, least recently used first
    for _ in range(60):
        shelf.begin()
        first = rng.randrange(12)
        asked = [(first + n) % 12 for n in range(rng.choice([1, 1, 2, 4, 7]))]
        used: list[int] = []  # by this question
        for number in asked:
            counts.clear()
            opened(shelf, *window(number, rng.randrange(90)))
            known = number in there
            assert sum(counts) == QUESTION + (0 if known else TEXT + (0 if there else EXAMPLES))
            if not known and len(there) >= max(room, 1):
                others = [each for each in there if each not in used]
                there.remove(others[0] if others else used[-1])
            there = [each for each in there if each != number] + [number]
            used = [each for each in used if each != number and each in there] + [number]
            assert shelf.nbytes == len(there) * size
            assert shelf.nbytes <= max(room, 1) * size


def test_a_text_above_the_bound_is_partly_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from its beginning to its end for each question, it would push itself out whole."""
    counts, puna = counting(monkeypatch), model()
    shelf = Shelf(puna, memory=5 * puna.new_cache(SLOTS).nbytes)
    for question in range(4):
        counts.clear()
        shelf.begin()
        for number in range(12):
            opened(shelf, *window(number, question))
        new = 12 if question == 0 else 12 - 4
        assert sum(counts) == 12 * QUESTION + new * TEXT + (EXAMPLES if question == 0 else 0)


def test_nothing_holds_memory_but_the_shelf() -> None:
    """A reading that is over has none, whoever still has it; what its candidates took goes with it."""
    puna = model()
    size = puna.new_cache(SLOTS).nbytes
    shelf = Shelf(puna, memory=2 * size)
    readings = []
    for number in range(6):
        readings.append(opened(shelf, *window(number)))
        score(readings[-1], [[rows % 90] * 3 for rows in range(40)], end=END)
        readings[-1].cache.reserve(SLOTS)
    assert [reading.cache.nbytes for reading in readings[:-1]] == [0] * 5
    assert readings[-1].cache.nbytes >= 2 * size
    assert shelf.nbytes == 2 * size


@pytest.mark.parametrize("layers", range(0, 14, 3))
def test_an_interruption_leaves_a_usable_shelf(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at any layer of examples, text and question; what was kept before still has its bits."""
    puna = model()
    shelf, write = Shelf(puna), Cache.write
    opened(shelf, *window(1))
    left = iter(range(layers))

    def breaking(self: Cache, *arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return write(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Cache, "write", breaking)
        for number in (1, 2, 3):
            with contextlib.suppress(KeyboardInterrupt):
                opened(shelf, *window(number, 2))
    for number in (1, 2, 3):
        assert same(opened(shelf, *window(number, 3)), opened(Shelf(puna), *window(number, 3)))


def test_growth_that_is_interrupted_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels write where one capacity says: keys and values must never differ in it."""
    cache, calls = model().new_cache(32), []
    new_zeros = torch.Tensor.new_zeros

    def breaking(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return new_zeros(self, *arguments)

    monkeypatch.setattr(torch.Tensor, "new_zeros", breaking)
    with pytest.raises(KeyboardInterrupt):
        cache.reserve(40)
    keys, values = cache.stores
    assert keys.shape == values.shape == torch.Size([3, 3, 32, 8])


def test_empty_sections_are_none() -> None:
    """A damaged vocabulary may lack all that a section has."""
    llama, tokens = model(), list(range(4, 40))
    plain = opened(Shelf(llama), tokens, [10, 20])
    shelf = Shelf(llama)
    shelf.read_ahead(tokens[:20], [0, 10, 10, 20, 20])
    assert same(opened(shelf, tokens, [0, 10, 10, 20, 20]), plain)
    Shelf(llama).read_ahead(tokens, [0, 0])


class TakingTurns:
    """Views of one shelf in threads of which one runs at a time; turns change in the model's calls and in `wait`."""

    def __init__(self, works: list[Callable[[], object]], rng: random.Random) -> None:
        self.rng, self.turn, self.left = rng, threading.Condition(), set(range(len(works)))
        self.now, self.found, self.errors = 0, [None] * len(works), []
        self.threads = [threading.Thread(target=self.run, args=(n, work)) for n, work in enumerate(works)]

    def run(self, number: int, work: Callable[[], object]) -> None:
        HERE.number = number
        self.sleep(number)
        try:
            with torch.inference_mode():
                self.found[number] = work()
        except Exception as error:
            self.errors.append(error)
        with self.turn:
            self.left.discard(number)
            self.change()

    def sleep(self, number: int) -> None:
        with self.turn:
            self.turn.wait_for(lambda: self.now == number)

    def change(self) -> None:
        if self.left:
            self.now = self.rng.choice(sorted(self.left))
        self.turn.notify_all()

    def step(self) -> None:
        with self.turn:
            self.change()
        self.sleep(HERE.number)


HERE = threading.local()


def test_views_that_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random turns of three readers over common beginnings: to the last bit what a cold shelf gives."""
    rng, puna = random.Random(5), model()
    plain = Llama.read
    turns: list[TakingTurns] = []
    monkeypatch.setattr(Llama, "read", lambda self, *given: (turns and turns[0].step()) or plain(self, *given))
    shelf = Shelf(puna, memory=1 << 16)
    beginnings = [[[rng.randrange(97) for _ in range(40)] for _ in range(2)] for _ in range(2)]

    def reader(prompts: list[list[list[int]]], salt: bytes) -> Callable[[], object]:
        def work() -> list[bool]:
            view = shelf.beside(salt=salt, wait=turns[0].step)
            found = []
            for sections in prompts:
                one = opened(view, *joined(sections))
                turns[0].step()
                found.append((sections, one.hidden.clone(), score(one, CANDIDATES, end=END)))
            view.close()
            return found

        return work

    for _ in range(4):
        works = []
        for n in range(3):
            prompts = [[*rng.choice(beginnings), [rng.randrange(97) for _ in range(5)]] for _ in range(3)]
            works.append(reader(prompts, b"other" if n == 2 else b""))
        turns[:] = [TakingTurns(works, rng)]
        for thread in turns[0].threads:
            thread.start()
        for thread in turns[0].threads:
            thread.join()
        assert turns[0].errors == []
        every = [each for found in turns.pop().found for each in found]
        for sections, hidden, scores in every:
            cold = opened(Shelf(puna), *joined(sections))
            assert torch.equal(cold.hidden, hidden)
            assert all(torch.equal(a, b) for a, b in zip(score(cold, CANDIDATES, end=END), scores, strict=True))
    assert not shelf._lent
    assert not shelf._being_read


def test_what_two_views_need_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, puna, read_tokens = random.Random(1), model(), []
    plain, turns = Llama.read, []
    monkeypatch.setattr(
        Llama,
        "read",
        lambda self, tokens, cache: (
            read_tokens.append(len(tokens)) or turns[0].step() or plain(self, tokens, cache)
        ),
    )
    shelf, text = Shelf(puna), list(range(10, 60))

    def reader(question: int, salt: bytes = b"") -> Callable[[], object]:
        return lambda: opened(shelf.beside(salt=salt, wait=turns[0].step), [*text, question], [20, 50]).length

    for works, want in (([reader(1), reader(2)], 52), ([reader(3, b"other"), reader(4)], 52)):
        read_tokens.clear()
        turns[:] = [TakingTurns(works, rng)]
        for thread in turns[0].threads:
            thread.start()
        for thread in turns[0].threads:
            thread.join()
        assert turns[0].errors == []
        assert sum(read_tokens) == want

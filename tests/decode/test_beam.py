"""Beam search against all sequences there are, against Transformers', and its scores against scoring."""

import itertools
import math
import random

import pytest
import torch

from puna.decode.beam import Beams, BeamSearch, Written
from puna.errors import InputError, ModelFileError
from puna.llama.config import LlamaConfig
from puna.llama.model import Llama
from puna.rank.score import read, score
from tests.decode.byte_model import END, Scripted, byte_model
from tests.oracle.tiny import BASE, make_pair

SMALL = {"vocab_size": 6}
LAST = 5  # the end token of the small models


def every_text(model: Llama, prompt: list[int], longest: int, beams: Beams) -> list[tuple[float, tuple[int, ...]]]:
    """Score every sequence of at most `longest` tokens, best first."""
    texts = [text for n in range(longest + 1) for text in itertools.product(range(LAST), repeat=n)]
    scored = score(read(model, prompt), [list(text) for text in texts], end=LAST)
    values = [
        (beams.score(float(each.double().sum()), len(text) + 1), text)
        for each, text in zip(scored, texts, strict=True)
    ]
    return sorted(values, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("seed", range(4))
def test_beams_enough_for_all_find_the_best_of_all(seed: int, alpha: float) -> None:
    model = make_pair(SMALL, seed=seed).puna
    prompt = [random.Random(seed).randrange(LAST) for _ in range(7)]
    beams = Beams(width=LAST**4, n_best=20, alpha=alpha, max_tokens=4)
    (found,) = BeamSearch(model, prompt[:3], end=LAST)([prompt[3:]], beams)
    best = every_text(model, prompt, 4, beams)
    assert [tuple(each.tokens) for each in found.hypotheses] == [text for _, text in best[:20]]
    for each, (value, _) in zip(found.hypotheses, best, strict=False):
        assert each.score == pytest.approx(value, abs=1e-4)
        assert each.score == pytest.approx(each.log_probability / ((6 + len(each.tokens)) / 6) ** alpha)
    assert best[20][0] - 1e-4 <= found.bound <= found.hypotheses[-1].score
    assert found.proves(20)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_proven_is_so_and_no_bound_is_passed(seed: int) -> None:
    rng = random.Random(seed)
    model = make_pair(SMALL, seed=seed).puna
    prompt = [rng.randrange(LAST) for _ in range(5)]
    beams = Beams(rng.randint(1, 6), rng.randint(1, 4), rng.choice((0.0, 0.6, 1.0)), 5)
    (found,) = BeamSearch(model, [], end=LAST)([prompt], beams)
    best = every_text(model, prompt, 5, beams)
    texts = [tuple(each.tokens) for each in found.hypotheses]
    others = [value for value, text in best if text not in texts]
    assert others[0] <= found.bound + 1e-4
    for top in range(1, len(texts) + 1):
        if found.proves(top):
            assert texts[:top] == [text for _, text in best[:top]]


@pytest.mark.parametrize("least", [1, 2, 4])
def test_no_text_is_too_short(least: int) -> None:
    model = make_pair(SMALL, seed=2).puna
    beams = Beams(LAST**4, 10, 0.6, 4, least)
    (found,) = BeamSearch(model, [1], end=LAST)([[2, 3]], beams)
    best = [text for _, text in every_text(model, [1, 2, 3], 4, beams) if len(text) >= least]
    assert [tuple(each.tokens) for each in found.hypotheses] == best[:10]


def unstopped(model: Llama, prompt: list[int], beams: Beams) -> list[tuple[int, ...]]:
    """The same search in the plainest way, which never stops before the greatest length."""
    scores = {}
    rows = [((), 0.0)]
    for length in range(beams.max_tokens + 1):
        more = []
        for text, value in rows:
            tokens = torch.tensor([*prompt, *text])
            hidden = model(tokens, torch.arange(len(tokens)), None, None)[-1:]
            logs = model.logits(hidden)[0].double().log_softmax(-1).tolist()
            scores[text] = beams.score(value + logs[LAST], length + 1)
            more += [((*text, token), value + logs[token]) for token in range(LAST)]
        rows = sorted(more, key=lambda each: -each[1])[: beams.width]
    return sorted(scores, key=lambda text: -scores[text])[: beams.n_best]


@pytest.mark.parametrize("seed", range(10))
def test_stopping_loses_nothing(seed: int) -> None:
    rng = random.Random(seed)
    model = make_pair(SMALL, seed=seed).puna
    prompt = [rng.randrange(LAST) for _ in range(6)]
    beams = Beams(rng.randint(1, 4), rng.randint(1, 5), rng.choice((0.0, 0.6, 2.0)), 9)
    (found,) = BeamSearch(model, prompt[:2], end=LAST)([prompt[2:]], beams)
    assert [tuple(each.tokens) for each in found.hypotheses] == unstopped(model, prompt, beams)


@pytest.mark.parametrize("rope", ["default", "llama3", "yarn"])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_it_finds_what_transformers_finds_or_better(rope: str, width: int) -> None:
    """Transformers drops ends that are not among its `width` best continuations; these are kept here."""
    better = 0
    for seed in range(4):
        pair, rng = make_pair({"vocab_size": 12}, rope=rope, seed=seed), random.Random(seed)
        prompt = [rng.randrange(11) for _ in range(9)]
        want = pair.hf.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            num_beams=width,
            num_return_sequences=width,
            max_new_tokens=21,
            do_sample=False,
            eos_token_id=11,
            pad_token_id=0,
            length_penalty=0.0,
            early_stopping="never",
            output_scores=True,
            return_dict_in_generate=True,
        )
        beams = Beams(width, 1000, 0.0, 20)
        (found,) = BeamSearch(pair.puna, prompt[:4], end=11)([prompt[4:]], beams)
        ours = {tuple(each.tokens): each.score for each in found.hypotheses}
        scores = want.sequences_scores.tolist() if width > 1 else [None]
        for sequence, value in zip(want.sequences[:, len(prompt) :].tolist(), scores, strict=True):
            if 11 not in sequence:
                continue
            text = tuple(sequence[: sequence.index(11)])
            assert text in ours
            assert value is None or ours[text] == pytest.approx(value, abs=1e-3)
        if width > 1 and max(ours.values()) > scores[0] + 1e-3:
            better += 1
        assert width == 1 or max(ours.values()) >= scores[0] - 1e-3
    assert better < 4  # most often it is the same


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scoring_and_company_does_not_matter(seed: int) -> None:
    rng, model = random.Random(seed), make_pair(seed=seed).puna
    prefix = [rng.randrange(97) for _ in range(11)]
    prompts = [[rng.randrange(97) for _ in range(rng.randint(1, 20))] for _ in range(7)]
    beams = Beams(3, 5, 0.6, 30)
    search = BeamSearch(model, prefix, end=3)
    together = search(prompts, beams)
    for prompt, found in zip(prompts, together, strict=True):
        wanted = score(read(model, prefix + prompt), [each.tokens for each in found.hypotheses], end=3)
        for each, value in zip(found.hypotheses, wanted, strict=True):
            assert each.log_probability == pytest.approx(float(value.sum()), abs=1e-4)
        (alone,) = search([prompt], beams)
        assert [each.tokens for each in alone.hypotheses] == [each.tokens for each in found.hypotheses]
        for one, other in zip(alone.hypotheses, found.hypotheses, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
    assert search._tree.length == len(prefix)


def test_many_prompts_and_beams_are_more_than_a_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rng = make_pair().puna, random.Random(0)
    prompts = [[rng.randrange(97) for _ in range(rng.randint(1, 9))] for _ in range(6)]
    whole = BeamSearch(model, [5, 6], end=3)(prompts, Beams(4, 4, 0.0, 8))
    monkeypatch.setattr("puna.decode.beam.CHUNK", 7)
    parted = BeamSearch(model, [5, 6], end=3)(prompts, Beams(4, 4, 0.0, 8))
    for one, other in zip(whole, parted, strict=True):
        assert [each.tokens for each in one.hypotheses] == [each.tokens for each in other.hypotheses]
        assert one.bound == pytest.approx(other.bound, abs=1e-4)


def test_nothing_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = make_pair().puna, []
    forward = Llama.forward

    def counted(self, tokens, *rest, **more):
        rows.append(len(tokens))
        return forward(self, tokens, *rest, **more)

    monkeypatch.setattr(Llama, "forward", counted)
    search = BeamSearch(model, [1, 2, 4], end=3)
    search([[7, 8], [9]], Beams(3, 300, 0.0, 5))
    assert rows == [3, 3, 6, 6, 6, 6, 6]  # prefix, prompts, then a row for each open beam
    rows.clear()
    search([[7, 8]], Beams(3, 300, 0.0, 1))
    assert rows == [2, 3]


def test_a_sliding_window_sees_positions_not_places() -> None:
    """Tokens of a branch stand far from their parents in the cache, and near them in the text."""
    config = {
        "vocab_size": 12,
        "model_type": "mistral",
        "sliding_window": 6,
        "architectures": ["MistralForCausalLM"],
    }
    model = Llama(LlamaConfig.from_dict({**BASE, **config, "hidden_act": "silu"}))
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        parameter.data.normal_(1.0 if "norm" in name else 0.0, 0.3)
    model.eval().requires_grad_(False)
    assert model.config.window == 6
    rng = random.Random(1)
    prefix, prompt = ([rng.randrange(11) for _ in range(n)] for n in (5, 4))
    (found,) = BeamSearch(model, prefix, end=11)([prompt], Beams(4, 8, 0.0, 12))
    wanted = score(read(model, prefix + prompt), [each.tokens for each in found.hypotheses], end=11)
    assert max(len(each.tokens) for each in found.hypotheses) > 3
    for each, value in zip(found.hypotheses, wanted, strict=True):
        assert each.log_probability == pytest.approx(float(value.sum()), abs=1e-4)


def test_only_allowed_tokens_are_written() -> None:
    model = make_pair(SMALL).puna
    allowed = torch.tensor([True, False, True, False, True, False])
    beams = Beams(60, 9, 0.0, 3)
    (found,) = BeamSearch(model, [1], end=LAST, allowed=allowed)([[2]], beams)
    best = [text for _, text in every_text(model, [1, 2], 3, beams) if not {1, 3} & {*text}]
    assert [tuple(each.tokens) for each in found.hypotheses] == best[:9]


def test_a_text_that_does_not_end_is_said_to_be_unended() -> None:
    model = Scripted(b"Hello")
    (found,) = BeamSearch(model, [], end=END)([[1]], Beams(1, 1, 0.0, 100))
    assert (bytes(found.hypotheses[0].tokens), found.hypotheses[0].ended) == (b"Hello", True)

    class Endless(Llama):
        def logits(self, hidden):
            scores = torch.zeros(len(hidden), 272)
            scores[:, END] = -math.inf
            scores[:, 65] = 3.0
            return scores

    endless = Endless(model.config)
    endless.load_state_dict(model.state_dict())
    (found,) = BeamSearch(endless, [], end=END)([[1]], Beams(2, 2, 0.0, 5))
    assert [each.ended for each in found.hypotheses] == [False, False]
    assert bytes(found.hypotheses[0].tokens) == b"AAAAA"
    assert not found.proves()


def test_limits_of_each_prompt_and_of_the_context() -> None:
    model = byte_model(context=12)
    search = BeamSearch(model, [1, 2, 3], end=END)
    assert search.room == 9
    found = search([[5] * 9, [5] * 4, [5]], Beams(2, 3, 0.0, 50), limits=[50, 50, 2])
    assert [
        max(len(each.tokens) for each in one.hypotheses) <= most for one, most in zip(found, (1, 5, 2), strict=True)
    ] == [True] * 3
    with pytest.raises(InputError) as caught:
        search([[5] * 10], Beams())
    assert caught.value.code == "E-PROMPT-LONG"
    with pytest.raises(InputError) as caught:
        search([[]], Beams())
    assert caught.value.code == "E-PROMPT-EMPTY"
    assert search([], Beams()) == []


def test_an_interrupted_search_leaves_the_next_one_right(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_pair().puna
    search = BeamSearch(model, [1, 2, 4], end=3)
    want = search([[7, 8]], Beams(3, 3, 0.0, 6))
    forward = Llama.forward
    for after in range(4):
        fresh, calls = BeamSearch(model, [1, 2, 4], end=3), iter(range(100))

        def pressed(self, *rest, calls=calls, after=after, **more):
            if next(calls) == after:
                raise KeyboardInterrupt
            return forward(self, *rest, **more)

        monkeypatch.setattr(Llama, "forward", pressed)
        with pytest.raises(KeyboardInterrupt):
            fresh([[7, 8]], Beams(3, 3, 0.0, 6))
        monkeypatch.setattr(Llama, "forward", forward)
        assert fresh([[7, 8]], Beams(3, 3, 0.0, 6)) == want


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"width": 0}, "E-BEAMS"),
        ({"width": True}, "E-BEAMS"),
        ({"n_best": 0}, "E-N-BEST"),
        ({"alpha": -0.1}, "E-ALPHA"),
        ({"alpha": math.nan}, "E-ALPHA"),
        ({"alpha": math.inf}, "E-ALPHA"),
        ({"max_tokens": 0}, "E-MAX-TOKENS"),
        ({"min_tokens": -1}, "E-MIN-TOKENS"),
        ({"max_tokens": 3, "min_tokens": 4}, "E-MIN-TOKENS"),
    ],
)
def test_settings_without_meaning(options: dict, code: str) -> None:
    with pytest.raises(InputError) as caught:
        Beams(**options)
    assert caught.value.code == code


def test_scores_that_are_no_numbers() -> None:
    class Broken(Llama):
        def logits(self, hidden):
            return torch.full((len(hidden), 272), math.nan)

    with pytest.raises(ModelFileError) as caught:
        BeamSearch(Broken(byte_model().config), [], end=END)([[1]], Beams())
    assert caught.value.code == "E-LOGITS"


def test_with_the_default_models_own_kernels(default_bf16, default_tokenizer) -> None:
    """Through `puna.native` where it computes: the same scores as of scoring, alone or in company."""
    tokenizer = default_tokenizer
    prefix = tokenizer.encode("English: I am here.\nFrench: Je suis là.\n\n")
    prompts = [
        tokenizer.encode(f"English: {text}\nFrench:", start=False) for text in ("Good day.", "Who came home?")
    ]
    end = tokenizer.encode("\n\nEnglish:", start=False)[0]
    search, beams = BeamSearch(default_bf16, prefix, end=end), Beams(4, 4, 0.0, 20)
    found: list[Written] = search(prompts, beams)
    for prompt, one in zip(prompts, found, strict=True):
        wanted = score(read(default_bf16, prefix + prompt), [each.tokens for each in one.hypotheses], end=end)
        for each, value in zip(one.hypotheses, wanted, strict=True):
            assert each.log_probability == pytest.approx(float(value.sum()), abs=0.1)
        (alone,) = search([prompt], beams)
        assert [each.tokens for each in alone.hypotheses] == [each.tokens for each in one.hypotheses]

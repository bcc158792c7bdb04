"""The default model against Transformers, which reads the same file on its own, in fp32; and bf16 against itself."""

import random

import pytest
import torch

from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from puna.llama.model import causal_mask
from puna.rank.score import read, score

CLOSE = 1e-3  # logits, and nats
ENGLISH = "The Andean plateau lies between two ranges of mountains. Its grassland, the puna, is where llamas live."
CHINESE = "珠穆朗玛峰是世界上最高的山峰，海拔8848.86米，位于中国与尼泊尔的边界上。你知道吗？"
CODE = """def add(a: int, b: int) -> int:
    return a + b


for i in range(10):
    print(add(i, 2 ** i), {"a": [i]})
"""
LONG = "\n".join(f"Entry {i}: {text}" for i, text in enumerate([ENGLISH, CHINESE, CODE] * 40))
QUESTION = "What is the capital of France?"
CANDIDATES = [
    *("Paris", "Paris.", "The capital of France is Paris.", "London", "New York City", "Saint-Étienne"),
    *("巴黎", "巴黎是法国的首都。", "北京", "", "12 345", "I do not know."),
]


@pytest.fixture(scope="module", params=["default_fp32", "default_torch_fp32"])
def fp32(request):
    """With kernels, where this CPU has some in fp32, and by torch."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def tokens(default_tokenizer):
    long = default_tokenizer.encode(LONG)
    return {
        "English": default_tokenizer.encode(ENGLISH),
        "Chinese": default_tokenizer.encode(CHINESE),
        "code": default_tokenizer.encode(CODE),
        "chat": chat(default_tokenizer, QUESTION),
        "400 tokens": long[:400],
        "2100 tokens": long[:2100],
    }


def chat(tokenizer, question):
    return tokenizer.encode_chat([{"role": "user", "content": question}])


@pytest.mark.parametrize("name", ["English", "Chinese", "code", "chat", "400 tokens"])
@torch.inference_mode()
def test_logits(fp32, default_hf, tokens, name):
    ids = torch.tensor(tokens[name])
    hidden = fp32(ids, torch.arange(len(ids)), None, causal_mask(0, len(ids)))
    want = default_hf(ids[None]).logits[0]
    assert (fp32.logits(hidden) - want).abs().max() < CLOSE
    cache = fp32.new_cache(len(ids))
    assert (fp32.logits(fp32.read(tokens[name], cache))[0] - want[-1]).abs().max() < CLOSE


@torch.inference_mode()
def test_logits_beyond_position_2048(fp32, default_hf, tokens):
    """Read in chunks here, at once in Transformers."""
    ids = tokens["2100 tokens"]
    assert len(ids) == 2100
    ours = fp32.logits(fp32.read(ids, fp32.new_cache(len(ids))))[0]
    want = default_hf(torch.tensor([ids]), logits_to_keep=1).logits[0, -1]
    assert ours.isfinite().all()
    assert (ours - want).abs().max() < CLOSE


@pytest.mark.parametrize(
    ("raw", "prompt"),
    [
        (False, QUESTION),
        (False, "用一句话介绍长城。"),
        (False, "Write a Python function that reverses a list."),
        (True, "Once upon a time, in a village high in the mountains,"),
        (True, CHINESE),
    ],
)
def test_greedy_tokens(fp32, default_hf, default_tokenizer, raw, prompt):
    ids = default_tokenizer.encode_prompt(prompt) if raw else chat(default_tokenizer, prompt)
    ends = sorted(default_tokenizer.eos_ids)
    want = default_hf.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False, eos_token_id=ends)
    found = generate(fp32, default_tokenizer, ids, Sampling(), max_tokens=40)
    ended = [] if found.stop_reason == "length" else [int(want[0, -1])]
    assert found.tokens + ended == want[0, len(ids) :].tolist()
    assert set(ended) <= set(ends)


def test_bf16_answers_as_fp32(default_bf16, default_fp32, default_tokenizer, tokens):
    answers = [
        generate(model, default_tokenizer, tokens["chat"], Sampling(), max_tokens=20).text
        for model in (default_fp32, default_bf16)
    ]
    assert "Paris" in answers[0]
    assert answers[1] == answers[0]


@torch.inference_mode()
def test_scores_of_candidates(fp32, default_hf, default_tokenizer, tokens):
    """All candidates in one forward, against one forward a candidate."""
    prefix, end = tokens["chat"], default_tokenizer.end_id
    candidates = default_tokenizer.encode_batch(CANDIDATES)
    assert max(map(len, candidates)) > 5
    for candidate, found in zip(candidates, score(read(fp32, prefix), candidates, end=end), strict=True):
        wanted = [*candidate, end]
        logits = default_hf(torch.tensor([prefix + wanted]), logits_to_keep=len(wanted) + 1).logits[0, :-1]
        want = logits.double().log_softmax(-1).gather(1, torch.tensor(wanted)[:, None])[:, 0]
        assert (found - want).abs().max() < CLOSE
        assert abs(found.double().sum() - want.sum()) < CLOSE


@pytest.mark.parametrize("model", ["default_bf16", "default_torch"])
def test_bf16_scores_are_the_same_in_any_company(model, request, default_tokenizer, tokens):
    words = ["Paris", "Lyon", "the city", "Berlin", "巴黎", "北京市", "42", "no idea"]
    texts = [*CANDIDATES, *(f"{a} {b}" for i, a in enumerate(words) for b in words[i + 1 :])]
    assert len(texts) == 40
    candidates = default_tokenizer.encode_batch(texts)
    end, reading = default_tokenizer.end_id, read(request.getfixturevalue(model), tokens["chat"])
    together = score(reading, candidates, end=end)
    order = random.Random(3).sample(range(40), 40)
    shuffled = score(reading, [candidates[i] for i in order], end=end)
    assert all(torch.equal(shuffled[n], together[i]) for n, i in enumerate(order))
    for i in [*range(len(CANDIDATES)), 20, 30, 39]:
        assert torch.equal(score(reading, [candidates[i]], end=end)[0], together[i])

"""What a request gets does not depend on who else asks: equal to the last bit, whatever shares a step with it."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from puna.serve.limits import Limits
from tests.serve.servers import serving

WORDS = "the walk was led by Ann and it rained all day until they came home to 山 where tea was ready".split()


def sentence(rng: random.Random, longest: int = 60) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, longest)))


def job(rng: random.Random, model: str) -> tuple[str, dict]:
    """A request of any kind; many begin alike, so that they share what is read."""
    text = rng.choice(["", "Once upon a time there was a house on a hill. "]) + sentence(rng)
    kind = rng.randrange(6)
    common = {"model": model, "temperature": rng.choice([0, 1]), "seed": rng.randrange(99)}
    if kind == 0:
        return "/v1/completions", {
            **common,
            "prompt": text,
            "max_tokens": rng.randint(1, 12),
            "n": rng.randint(1, 3),
        }
    if kind == 1:
        return "/v1/completions", {**common, "prompt": text, "max_tokens": 1, "logprobs": 3, "echo": True}
    if kind == 2:
        messages = [{"role": "user", "content": text}]
        return "/v1/chat/completions", {**common, "messages": messages, "max_tokens": 6, "logprobs": True}
    if kind == 3:
        return "/v1/embeddings", {"model": model, "input": [text, sentence(rng)]}
    if kind == 4:
        question = rng.choice(["Who led the walk?", "Where was tea?"])
        return "/v1/answers", {"question": question, "text": text + " They slept.", "top": 3, "max_nodes": 64}
    return "/v1/classify", {"text": text + ".", "labels": ["walk", "tea", "rain"]}


def bare(reply) -> object:
    """An answer without what is new each time."""
    assert reply.status == 200, reply.body
    return {name: value for name, value in reply.body.items() if name not in ("id", "created", "elapsed_ms")}


@pytest.mark.parametrize("seed", [1, 2])
def test_many_at_once_equal_one_at_a_time(either, seed: int) -> None:
    rng = random.Random(seed)
    jobs = [job(rng, either.model) for _ in range(24)]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda each: bare(either.post(*each)), jobs))
    reader = either.service.reader
    alone = []
    for one in jobs:
        if one[0] in ("/v1/completions", "/v1/chat/completions") and len(alone) < 4:
            with serving(reader) as fresh:  # nothing read before
                alone.append(bare(fresh.post(*one)))
        else:
            alone.append(bare(either.post(*one)))
    for one, here, there in zip(jobs, together, alone, strict=True):
        assert here == there, one


def test_a_batch_equals_its_members(either) -> None:
    rng = random.Random(5)
    prompts = [sentence(rng) for _ in range(5)]
    fields = {"max_tokens": 5, "logprobs": 2, "echo": True}
    many = either.complete(prompt=prompts, **fields)["choices"]
    for number, prompt in enumerate(prompts):
        (one,) = either.complete(prompt=prompt, **fields)["choices"]
        assert {**one, "index": number} == many[number]


def test_no_foreign_text(reader) -> None:
    """V19 and G6: forced evictions, cancelled clients, tenants that share a beginning; every answer is its own."""
    rng = random.Random(7)
    keys = tuple(f"tenant-{n}-of-the-tests" for n in range(3))
    limits = Limits(
        memory=1, shelf=1, texts=6
    )  # room for one text as long as the context: others' places are taken
    head = "All of them begin with these words, which are long enough to be found and taken over. "
    with serving(reader, limits, keys=keys) as crowded, serving(reader) as alone:
        prompts = [head + sentence(rng, 90) for _ in range(12)]
        want = [alone.complete(prompt=p, max_tokens=4, logprobs=1, echo=True)["choices"] for p in prompts]

        def ask(n: int) -> bool:
            which = n % len(prompts)
            fields = {"model": crowded.model, "temperature": 0, "prompt": prompts[which], "max_tokens": 4}
            reply = crowded.post(
                "/v1/completions", {**fields, "logprobs": 1, "echo": True}, Authorization=f"Bearer {keys[n % 3]}"
            )
            return reply.status == 200 and reply.body["choices"] == want[which]

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, range(48)))
        assert crowded.service.engine.texts.counts.shared > 0


def test_prefixes_are_read_once(reader) -> None:
    with serving(reader) as fresh:
        counts = fresh.service.engine.texts.counts
        text = "a long beginning that both of them have in common, word by word by word, "
        fresh.complete(prompt=text + "one", max_tokens=2)
        before = counts.read
        fresh.complete(prompt=text + "two", max_tokens=2)
        assert counts.read - before <= len("two") + 2
        assert counts.shared >= len(text)


def test_scores_of_a_shared_context_are_read_once(reader) -> None:
    """As lm-evaluation-harness asks: one context, several continuations, each scored with the whole prompt."""
    with serving(reader) as fresh:
        counts = fresh.service.engine.texts.counts
        context = "The man opened the door of the old house and looked inside, where he saw"
        each = [context + end for end in (" a cat", " a dog", " nothing at all")]
        found = fresh.complete(prompt=each, max_tokens=1, logprobs=1, echo=True)["choices"]
        assert counts.read <= len(context) + sum(len(end) + 2 for end in (" a cat", " a dog", " nothing at all"))
        for prompt, choice in zip(each, found, strict=True):
            with serving(reader) as cold:
                (want,) = cold.complete(prompt=prompt, max_tokens=1, logprobs=1, echo=True)["choices"]
            assert choice["logprobs"] == want["logprobs"]


def test_tenants_share_nothing_that_was_read(reader) -> None:
    """V20 and V21: how fast an answer comes tells nothing of what another key has asked."""
    keys = ("first-key-of-the-tests", "second-key-of-the-tests")
    with serving(reader, keys=keys) as guarded:
        counts = guarded.service.engine.texts.counts
        prompt = "a secret that only the first of them knows and the second one guesses at"
        fields = {"model": guarded.model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
        read = []
        for key in (keys[0], keys[0], keys[1]):
            before = counts.read
            assert guarded.post("/v1/completions", fields, Authorization=f"Bearer {key}").status == 200
            read.append(counts.read - before)
        assert read == [len(prompt), 1, len(prompt)]
        question = {"question": "Who led the walk?", "text": "The walk was led by Ann. " * 4, "max_nodes": 16}
        for key in (keys[0], keys[1]):
            guarded.post("/v1/answers", question, Authorization=f"Bearer {key}")
        kept = guarded.service._asking._kept
        assert not set(next(iter(kept))) & set(list(kept)[-1])

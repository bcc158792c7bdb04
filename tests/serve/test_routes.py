"""Every route: OpenAI's by OpenAI's own package, Puna's against the library called directly."""

import math

import pytest
import torch

from puna.answer.types import Source
from puna.rank.score import read, score
from puna.tasks.classify import Classifier
from tests.serve.servers import events

PROMPT = "The walk was led by"
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who led it? <|im_end|>"}]


def without_time(found: dict) -> dict:
    return {name: value for name, value in found.items() if name != "elapsed_ms"}


def plain(found) -> object:
    """What JSON makes of it."""
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    return [plain(value) for value in found] if isinstance(found, list | tuple) else found


def test_completions(either) -> None:
    client, reader = either.openai(), either.service.reader
    want = reader.generate(PROMPT, raw=True, max_tokens=12)
    found = client.completions.create(model=either.model, prompt=PROMPT, max_tokens=12, temperature=0)
    assert found.choices[0].text == want.text
    assert found.choices[0].finish_reason == ("stop" if want.stop_reason == "end" else "length")
    ids = reader.tokenizer.encode_prompt(PROMPT)
    assert found.usage.prompt_tokens == len(ids)
    assert found.usage.completion_tokens == len(want.tokens)
    by_ids = client.completions.create(model=either.model, prompt=[ids, ids], max_tokens=12, temperature=0)
    assert [(c.index, c.text) for c in by_ids.choices] == [(0, want.text), (1, want.text)]


def test_scores_of_a_prompt_are_the_models(torch_reader) -> None:
    """By the chain rule, from the rooms below; in the form that lm-evaluation-harness reads."""
    from tests.serve.servers import serving

    with serving(torch_reader) as running:
        ids = torch_reader.tokenizer.encode_prompt("It rained all day, and tea was ready.")
        reply = running.complete(prompt=[ids], max_tokens=1, logprobs=1, seed=1234, echo=True)
    (choice,) = reply["choices"]
    logprobs = choice["logprobs"]
    assert {len(values) for values in logprobs.values()} == {len(ids) + 1}
    (want,) = score(read(torch_reader.model, ids[:1]), [ids[1:]], end=None)
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    assert logprobs["token_logprobs"][1:-1] == pytest.approx(want.tolist(), abs=1e-4)
    for value, top in zip(logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:], strict=True):
        assert value in top.values()
        assert len(top) == (1 if value == max(top.values()) else 2)
    assert choice["text"].startswith("It rained all day, and tea was ready.")
    assert logprobs["text_offset"][:3] == [0, 1, 2]
    assert math.isclose(
        sum(math.exp(v) for v in running_tops(torch_reader, ids)), 1.0, abs_tol=1e-4
    )  # they are probabilities


def running_tops(reader, ids: list[int]) -> list[float]:
    hidden = read(reader.model, ids).hidden
    return torch.log_softmax(reader.model.logits(hidden)[0], -1).tolist()


def test_echo_without_writing(running) -> None:
    found = running.complete(prompt=PROMPT, max_tokens=0, logprobs=20, echo=True)["choices"][0]
    ids = running.service.tokenizer.encode_prompt(PROMPT)
    assert found["text"] == PROMPT
    assert len(found["logprobs"]["tokens"]) == len(ids)
    assert all(len(top) in (20, 21) for top in found["logprobs"]["top_logprobs"][1:])


def test_chat(either) -> None:
    client, reader = either.openai(), either.service.reader
    fields = {"model": either.model, "messages": CHAT, "max_tokens": 10, "temperature": 0}
    found = client.chat.completions.create(**fields, logprobs=True, top_logprobs=2)
    want = reader.generate(CHAT[1]["content"], system=CHAT[0]["content"], max_tokens=10)
    assert found.choices[0].message.content == want.text
    content = found.choices[0].logprobs.content
    assert len(content) in (len(want.tokens), len(want.tokens) + 1)
    for token in content:
        assert len(token.top_logprobs) == 2
        assert token.logprob == max(each.logprob for each in token.top_logprobs)
    assert reader.tokenizer.end_id not in reader.tokenizer.encode(CHAT[1]["content"])  # V16


@pytest.mark.parametrize("stop", [None, ["e"], ["\ufffd", "a", "u"]])
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_streams_join_to_the_unstreamed_text(either, stop, temperature) -> None:
    fields = {"model": either.model, "prompt": PROMPT, "max_tokens": 24, "temperature": temperature, "seed": 3}
    fields |= {"stop": stop, "logprobs": 1, "n": 3, "echo": True}
    whole = either.post("/v1/completions", fields).body
    raw = either.send("POST", "/v1/completions", {**fields, "stream": True})
    *chunks, last = events(raw.body)
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert last == "[DONE]"
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        assert "".join(c["text"] for c in own) == choice["text"]
        ended = [c["finish_reason"] for c in own]
        assert ended[-1] == choice["finish_reason"]
        assert set(ended[:-1]) <= {None}
        for name, values in choice["logprobs"].items():
            if name != "text_offset":
                assert [v for c in own for v in c["logprobs"][name]] == values
        if stop:
            assert not any(each in choice["text"][len(PROMPT) :] for each in stop)


def test_chat_streams_join(either) -> None:
    client = either.openai()
    fields = {"model": either.model, "messages": CHAT, "max_tokens": 16, "temperature": 1, "seed": 5}
    whole = client.chat.completions.create(**fields)
    chunks = list(client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    assert (
        "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    )
    assert chunks[-1].usage == whole.usage
    assert chunks[0].choices[0].delta.role == "assistant"


def test_seeds(running) -> None:
    fields = {"prompt": PROMPT, "max_tokens": 12, "temperature": 1.0, "n": 3}
    one, same = (running.complete(**fields, seed=7)["choices"] for _ in range(2))
    other = running.complete(**fields, seed=100)["choices"]
    assert one == same
    assert len({choice["text"] for choice in [*one, *other]}) == 6


def test_embeddings(either) -> None:
    client, reader = either.openai(), either.service.reader
    texts = ["The walk was long.", "山上有雪", "x" * 300]
    found = client.embeddings.create(model=either.model, input=texts)
    as_floats = client.embeddings.create(model=either.model, input=texts, encoding_format="float")
    for text, one, other in zip(texts, found.data, as_floats.data, strict=True):
        ids = reader.tokenizer.encode_prompt(text)
        cache = reader.model.new_cache(len(ids), span=reader.model.config.context)
        with torch.inference_mode():
            hidden = reader.model(torch.tensor(ids), torch.arange(len(ids)), cache, None)
        want = torch.nn.functional.normalize(hidden.double().mean(0), dim=0)
        assert one.embedding == pytest.approx(want.tolist(), abs=2e-3)
        assert one.embedding == pytest.approx(other.embedding, abs=1e-7)


def test_models(running) -> None:
    (model,) = running.openai().models.list().data
    assert model.id == running.model
    assert "not trained" in model.puna["description"]
    assert running.openai().models.retrieve(running.model).id == running.model


def test_tokens(running) -> None:
    """As lm-evaluation-harness's remote tokenizer asks."""
    text = "Tea, 山 and <|im_end|>"
    tokens = running.post("/tokenize", {"prompt": text, "add_special_tokens": False}).body["tokens"]
    assert tokens == running.service.tokenizer.encode(text)
    assert running.post("/detokenize", {"tokens": tokens}).body == {"prompt": text}
    info = running.send("GET", "/tokenizer_info").body
    assert (info["bos_token"], info["eos_token"], info["pad_token"]) == ("<|im_start|>", "<|im_end|>", None)
    assert "messages" in info["chat_template"]
    assert running.post("/detokenize", {"tokens": [2]}).body == {"prompt": "<|im_end|>"}
    assert running.post("/detokenize", {"tokens": [10**6]}).code == "E-TOKEN-ID"


QUESTION, TEXT = "Who led the walk?", "The walk was led by Ann. It rained. Bob carried the map."


def test_answers(running) -> None:
    reader = running.service.reader
    for fields in (
        {},
        {"candidates": ["Ann", "Bob"]},
        {"why": True, "top": 2},
        {"normalise": "mean", "group": False},
    ):
        reply = running.post("/v1/answers", {"question": QUESTION, "text": TEXT, **fields})
        given = dict(fields)
        want = reader.ask(QUESTION, TEXT, given.pop("candidates", None), **given).to_dict()
        assert without_time(reply.body) == plain(without_time(want))
    texts = [{"name": "a", "text": TEXT}, {"name": "../../b", "text": "Ann came home."}]
    reply = running.post("/v1/answers", {"question": QUESTION, "texts": texts})
    want = reader.ask(QUESTION, [Source(each["name"], each["text"]) for each in texts]).to_dict()
    assert without_time(reply.body) == plain(without_time(want))


def test_rank_and_classify(running) -> None:
    reader = running.service.reader
    reply = running.post("/v1/rank", {"question": QUESTION, "candidates": ["Ann", "Bob"], "normalise": "prior"})
    assert without_time(reply.body) == plain(
        without_time(reader.rank(QUESTION, ["Ann", "Bob"], normalise="prior").to_dict())
    )
    labels = ["sports", {"name": "politics", "description": "the state"}]
    fields = {"labels": labels, "examples": [{"text": "a goal", "labels": ["sports"]}]}
    from puna.tasks.labels import Example, Label

    classifier = Classifier(
        reader, ["sports", Label("politics", "the state")], examples=[Example("a goal", ("sports",))]
    )
    one = running.post("/v1/classify", {"text": TEXT, **fields})
    assert without_time(one.body) == plain(without_time(classifier.classify(TEXT).to_dict()))
    many = running.post("/v1/classify", {"texts": [TEXT, "A vote."], **fields})
    assert without_time(many.body["data"][0]) == without_time(one.body)


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/v1/completions", {"prompt": ""}, "E-PROMPT-EMPTY"),
        ("/v1/completions", {"prompt": "x" * 3000}, "E-PROMPT-LONG"),
        ("/v1/completions", {"prompt": [[10**9]]}, "E-TOKEN-ID"),
        ("/v1/completions", {"prompt": "x", "max_tokens": 0}, "E-SERVE-FIELD"),
        ("/v1/completions", {"prompt": "x", "logit_bias": {"5": 3}}, "E-SERVE-UNSUPPORTED"),
        ("/v1/completions", {"prompt": "x", "best_of": 3}, "E-SERVE-UNSUPPORTED"),
        ("/v1/completions", {"prompt": "x", "model": "../../etc/passwd"}, "E-SERVE-MODEL"),
        ("/v1/completions", {"prompt": ["x"] * 2, "n": 128}, "E-SERVE-CHOICES"),
        ("/v1/completions", {"prompt": ["x"] * 129}, "E-SERVE-CHOICES"),
        ("/v1/completions", {"prompt": [["x"]]}, "E-SERVE-FIELD"),
        ("/v1/embeddings", {"input": "x", "dimensions": 2}, "E-SERVE-UNSUPPORTED"),
        ("/v1/chat/completions", {"messages": []}, "E-SERVE-FIELD"),
        ("/v1/chat/completions", {"messages": CHAT, "chat_template": "{{ 1 }}"}, "E-SERVE-FIELD"),
        ("/v1/chat/completions", {"messages": CHAT, "chat_template_kwargs": {}}, "E-SERVE-FIELD"),
        ("/v1/answers", {"question": " ", "text": "x"}, None),
    ],
)
def test_refused(running, path: str, fields: dict, code: str | None) -> None:
    if path == "/v1/answers":
        assert running.post(path, fields).code == "E-QUESTION-EMPTY"
        return
    reply = running.post(path, {"model": running.model, **fields})
    assert reply.status in (400, 404)
    assert reply.code == (code or "E-SERVE-COST")
    assert reply.body["error"]["message"]

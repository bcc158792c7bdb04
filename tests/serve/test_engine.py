"""The engine: who is gone costs nothing, one that fails fails alone, too many are told so, and it ends cleanly."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from puna.decode.sampling import Sampling
from puna.errors import ServeError
from puna.serve.calls import Call, DroppedError, stepped
from puna.serve.engine import Engine, Request
from puna.serve.ground import READ, Common, ground_for
from puna.serve.library import Documents
from puna.serve.limits import Limits
from puna.serve.text import Text, Wanted
from puna.serve.texts import Texts
from tests.serve.servers import events, serving

LIMITS = Limits(memory=32 << 20, shelf=32 << 20)


def text_of(reader, count: int, max_tokens: int = 4, tenant: str = "", first: int = 5) -> Text:
    wanted = Wanted([first, *[7] * (count - 1)], max_tokens, Sampling())
    return Text(wanted, reader.tokenizer, tenant, lambda piece: None)


def until(condition) -> None:
    """Wait for another thread; whoever waits for ever is stopped by the test's runner."""
    while not condition():
        time.sleep(0.001)


def test_room_is_given_back(reader) -> None:
    """First fit over a random series: places never overlap, and at the end all is free again."""
    import random

    rng, ground = random.Random(3), Common(reader.model, reader.model.packed, 32 * 40)
    held = []
    for _ in range(300):
        if held and rng.random() < 0.5:
            ground.give_back(held.pop(rng.randrange(len(held))))
        elif (place := ground.take(rng.randint(1, 200))) is not None:
            held.append(place)
        slots = [slot for place in held for slot in range(place.base, place.base + place.size)]
        assert len(slots) == len(set(slots))
        assert all(place.base % 32 == 0 and place.base + place.size <= ground.capacity for place in held)
    for place in held:
        ground.give_back(place)
    assert ground.take(ground.capacity) is not None


def test_a_long_text_lets_short_ones_pass(reader) -> None:
    """A short text that comes behind a long one is done after two steps more than it needs alone, at the most."""
    with torch.inference_mode():
        texts = Texts(ground_for(reader.model, 32 << 20), 64, lambda text, error: None)
        long, shorts = text_of(reader, 1000, 1), [text_of(reader, 20 + n, 2, first=20 + n) for n in range(3)]
        assert texts.admit(long)
        texts.step()
        assert long.done == READ
        for short in shorts:
            assert texts.admit(short)
        for _ in range(4):
            texts.step()
        assert all(short.over for short in shorts)
        assert not long.over


def test_a_text_that_is_dropped_is_not_read_on(reader) -> None:
    with torch.inference_mode():
        texts = Texts(ground_for(reader.model, 32 << 20), 64, lambda text, error: None)
        gone, other = text_of(reader, 1000), text_of(reader, 100, first=9)
        texts.admit(gone)
        texts.step()
        texts.drop(gone)
        texts.admit(other)
        before = texts.counts.read
        while texts.step():
            pass
        assert gone.done == READ
        assert texts.counts.read - before == other.done


def test_one_that_fails_fails_alone(reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """V23: whichever part of a shared forward cannot be computed, the others are as they are alone."""
    lost = []
    with torch.inference_mode():
        ground = ground_for(reader.model, 32 << 20)
        texts = Texts(ground, 64, lambda text, error: lost.append((text, error)))
        good, bad = text_of(reader, 40), text_of(reader, 40, first=11)
        bad.tokens[3] = 10**9
        alone = text_of(reader, 40)
        for text in (good, bad):
            texts.admit(text)
        while texts.step():
            pass
        cold = Texts(ground_for(reader.model, 32 << 20), 64, lambda text, error: None)
        cold.admit(alone)
        while cold.step():
            pass
    assert [text for text, _ in lost] == [bad]
    assert good.over
    assert good.tokens == alone.tokens
    assert bad.place is None


def test_calls_take_turns() -> None:
    """Two calls: the one that has had less goes first, whoever came first."""
    order: list[str] = []

    def work(name: str, cost: int, count: int):
        def run() -> str:
            for _ in range(count):
                stepped(lambda: order.append(name), cost)
            return name

        return run

    calls = [Call(work("long", 100, 4)), Call(work("short", 10, 3))]
    for call in calls:
        call.start()
    while any(not call.over for call in calls):
        min((call for call in calls if not call.over), key=lambda call: call.served).advance()
    assert [call.future.result() for call in calls] == ["long", "short"]
    assert order == ["long", "short", "short", "short", "long", "long", "long"]


def test_a_dropped_call_ends_at_its_next_step(reader) -> None:
    engine = Engine(reader.model, LIMITS)
    engine.start()
    steps, cleaned = [], []

    def endless() -> None:
        try:
            while True:
                with contextlib.suppress(Exception):  # as code in between may do
                    stepped(lambda: steps.append(len(steps)), 1)
        finally:
            cleaned.append(True)

    asked, future = engine.call(endless)
    until(lambda: len(steps) > 3)
    engine.drop(asked)
    with pytest.raises(DroppedError):
        future.result()
    assert cleaned == [True]
    assert engine.dropped == 1
    count = len(steps)
    assert engine.call(lambda: 5)[1].result() == 5
    assert len(steps) == count
    engine.stop(0)


def test_a_call_that_raises_is_told_what(reader) -> None:
    engine = Engine(reader.model, LIMITS)
    engine.start()

    def broken() -> None:
        stepped(lambda: 1 / 0, 1)

    with pytest.raises(ZeroDivisionError):
        engine.call(broken)[1].result()
    assert engine.call(lambda: stepped(lambda: "still here", 1))[1].result() == "still here"
    engine.stop(0)


def test_too_many_wait_and_time_runs_out(reader) -> None:
    engine = Engine(reader.model, Limits(memory=1, waiting=2, calls=1, seconds=1000.0))
    gate = threading.Event()
    engine.start()
    _, running = engine.call(lambda: stepped(gate.wait, 1))
    until(lambda: engine.running == 1 and engine.waiting == 0)
    others = [engine.call(lambda: stepped(lambda: 1, 1)) for _ in range(2)]
    with pytest.raises(ServeError, match="waiting already"):
        engine.call(lambda: 1)
    late, future = others[1]
    late.deadline = 0.0
    gate.set()
    assert running.result()
    assert others[0][1].result() == 1
    with pytest.raises(ServeError) as error:
        future.result()
    assert error.value.code == "E-SERVE-TIME"
    engine.stop(0)
    with pytest.raises(ServeError) as error:
        engine.call(lambda: 1)
    assert error.value.code == "E-SERVE-STOPPING"


def test_busy_is_429_with_retry_after(reader) -> None:
    """G10: what is too much is told at once, and what was taken is done."""
    with serving(reader, Limits(memory=32 << 20, waiting=3, texts=1)) as small:
        gate = threading.Event()
        _, future = small.service.engine.call(lambda: stepped(gate.wait, 1))
        until(lambda: small.service.engine.running == 1)
        fields = {"model": small.model, "prompt": "x", "max_tokens": 2, "temperature": 0}
        with ThreadPoolExecutor(8) as pool:
            replies = [pool.submit(small.post, "/v1/completions", fields) for _ in range(8)]
            until(lambda: sum(reply.done() for reply in replies) == 5)
            gate.set()
            found = [reply.result() for reply in replies]
        assert sorted(reply.status for reply in found) == [200] * 3 + [429] * 5
        assert all(int(reply.headers["retry-after"]) > 0 for reply in found if reply.status == 429)
        assert all(reply.code == "E-SERVE-BUSY" for reply in found if reply.status == 429)
        assert small.post("/v1/completions", fields).status == 200
        assert future.result()


@pytest.mark.parametrize(("kind", "stream"), [("completions", False), ("completions", True), ("answers", False)])
def test_a_client_that_goes_frees_its_place(reader, kind: str, stream: bool) -> None:
    """G8: nothing is computed for it any more, and its place is there again."""
    with serving(reader) as busy:
        engine, gate = busy.service.engine, threading.Event()
        _, held = engine.call(lambda: stepped(gate.wait, 1))  # nothing else moves until the client has gone
        until(lambda: engine.running == 1)
        fields = {"model": busy.model, "prompt": "word " * 100, "max_tokens": 400, "stream": stream}
        if kind == "answers":
            fields = {"question": "Who led it?", "text": "Ann led the walk. " * 200}
        body = json.dumps(fields).encode()
        client = socket.create_connection(("127.0.0.1", busy.port))
        head = f"POST /v1/{kind} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: engine.waiting == 1)
        (asked,) = engine._waiting
        client.close()
        until(lambda: asked.dropped)
        gate.set()
        held.result()
        until(lambda: asked.over and engine.waiting == 0)
        assert engine.texts.counts.read == 0
        assert (engine.running, engine.waiting, len(engine.texts), engine.dropped) == (0, 0, 0, 1)
        assert busy.complete(prompt="x", max_tokens=2)["choices"]


def test_a_stream_that_fails_says_so(reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """G22: the error is in the stream, and [DONE] is its end."""
    with serving(reader) as running:
        take, count = Text.take, []

        def failing(self: Text, logits) -> None:
            count.append(1)
            if len(count) > 3:
                raise RuntimeError("at 0x7f00deadbeef in /usr/lib/python3/site-packages")
            take(self, logits)

        monkeypatch.setattr(Text, "take", failing)
        fields = {"model": running.model, "prompt": "x", "max_tokens": 9, "stream": True, "temperature": 0}
        *chunks, last = events(running.post("/v1/completions", fields).body)
        assert last == "[DONE]"
        assert chunks[-1]["error"]["code"] == "E-SERVE-INTERNAL"
        assert "0x7f" not in json.dumps(chunks)
        unstreamed = running.post("/v1/completions", {**fields, "stream": False})
        assert (unstreamed.status, unstreamed.code) == (500, "E-SERVE-INTERNAL")
        monkeypatch.undo()
        assert running.complete(prompt="x", max_tokens=2)["choices"]


def test_stopping_ends_what_is_left_with_an_error(reader) -> None:
    engine = Engine(reader.model, LIMITS)
    engine.start()
    ended: list[BaseException | None] = []
    gate = threading.Event()
    _, held = engine.call(lambda: stepped(gate.wait, 1))
    text = text_of(reader, 900, 100)
    engine.submit(Request(ended.append, texts=[text]))
    engine.state = "stopping"
    engine._stop_at = 0.0
    gate.set()
    engine.stop(0)
    assert isinstance(ended[0], ServeError)
    assert ended[0].code == "E-SERVE-STOPPED"
    assert held.done()


def test_nothing_is_kept_of_requests(reader) -> None:
    """V26: what is done leaves no entry anywhere; only places that others may begin from, and those have a bound."""
    with serving(reader, Limits(memory=1, shelf=1)) as running:
        engine = running.service.engine
        for n in range(12):
            running.complete(
                prompt=[f"{n} a text that is long enough to be kept for others", "short"], n=2, max_tokens=3
            )
            running.post("/v1/rank", {"question": f"Which {n}?", "candidates": ["a", "b"]})
            running.post("/v1/completions", {"model": running.model, "prompt": ""})
        assert (engine.running, engine.waiting, len(engine._owner), len(engine._calls)) == (0, 0, 0, 0)
        texts = engine.texts
        assert (len(texts), len(texts._served)) == (0, 0)
        idle = texts._prefixes._idle
        held = [text for texts_of in texts._prefixes._by_head.values() for text in texts_of]
        assert len(held) == len(idle)
        assert sum(text.place.size for text in idle.values()) <= engine.ground.capacity
        assert threading.active_count() < 40
        for text in list(idle.values()):
            texts._drop(text)
        assert engine.ground.take(engine.ground.capacity) is not None


def test_health(reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"x")
    with serving(reader, path=model, documents=Documents(tmp_path / "library", create=True)) as running:
        assert running.send("GET", "/health").body["status"] == "ok"
        model.unlink()
        reply = running.send("GET", "/health")
        assert (reply.status, reply.body["status"]) == (200, "degraded")
        assert reply.body["problems"] == ["model file missing"]
        usage = type("Usage", (), {"free": 1 << 20})
        monkeypatch.setattr("puna.serve.service.shutil.disk_usage", lambda path: usage)
        assert running.send("GET", "/health").body["problems"] == ["model file missing", "disk full"]
        assert running.complete(prompt="x", max_tokens=1)["choices"]
        running.service.engine.state = "failed"
        reply = running.send("GET", "/health")
        running.service.engine.state = "ok"
        assert (reply.status, reply.body["status"]) == (503, "failed")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm(reader, tmp_path: Path) -> None:
    """G23: what is in work is done or told, nothing new is taken, and the exit code is 0."""
    from tests.serve.servers import write_tiny

    path = write_tiny(tmp_path / "tiny.gguf", head=32, ffn=64)
    command = [sys.executable, "-m", "puna.cli.main", "serve", "--port", "0", "--model", str(path)]
    child = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, encoding="utf-8", env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    try:
        port = next(int(line.rpartition(":")[2].split("/")[0]) for line in child.stderr if "http://" in line)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        fields = {"model": "tiny", "prompt": "x", "max_tokens": 900, "stream": True, "temperature": 1, "seed": 1}
        connection.request("POST", "/v1/completions", json.dumps(fields), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        begun = answer.read(10)
        child.send_signal(signal.SIGTERM)
        found = events((begun + answer.read()).decode())
        assert found[-1] == "[DONE]"
        ended = found[-2].get("error") or found[-2]["choices"][0]["finish_reason"]
        assert ended
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()

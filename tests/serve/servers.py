"""A running service on the loopback interface, in a thread of the test's process, and ways to ask it."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import puna
from puna.answer.reader import Reader
from puna.llama.load import load
from puna.serve.app import LOCAL, make_app
from puna.serve.keys import Keys
from puna.serve.library import Documents
from puna.serve.limits import Limits
from puna.serve.run import listen
from puna.serve.server import Server
from puna.serve.service import Service
from puna.tokens.tokenizer import Tokenizer
from puna.weights.checkpoint import open_checkpoint
from tests.cli.tiny_file import write_tiny

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")


@dataclass
class Reply:
    status: int
    body: Any  # of JSON; else text
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        return self.body["error"]["code"]


@dataclass
class Running:
    service: Service
    server: Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def model(self) -> str:
        return self.service.models[1]

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **given: str
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, content, {**sent, **(headers or {}), **given})
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        kind = answer.headers.get("content-type", "")
        found = json.loads(raw) if kind.startswith("application/json") else raw.decode()
        return Reply(answer.status, found, answer.headers)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.send("POST", path, body, headers)

    def upload(self, name: str, content: bytes | str, **headers: str) -> Reply:
        sent = content.encode() if isinstance(content, str) else content
        return self.send("POST", "/v1/documents", form(name, sent), {**FORM, **headers})

    def complete(self, **fields: Any) -> Any:
        reply = self.post("/v1/completions", {"model": self.model, "temperature": 0, **fields})
        assert reply.status == 200, reply.body
        return reply.body

    def openai(self, key: str = "none") -> Any:
        import openai

        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=120)


def form(name: str, content: bytes, field: str = "file") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n"


def tiny_reader(folder: Path, *, packed: bool = True, words: tuple[str, ...] = ()) -> Reader:
    """A tiny random model: with sizes that the CPU's own kernels take, or in fp32 on torch's."""
    path = write_tiny(
        folder / ("packed.gguf" if packed else "plain.gguf"), head=32 if packed else 8, ffn=64, words=words
    )
    if packed:
        return puna.load(path, device="cpu")
    checkpoint = open_checkpoint(path)
    model = load(checkpoint, dtype=torch.float32, kernels=False)
    return Reader(model, Tokenizer.from_gguf(checkpoint.tokenizer_metadata), "plain")


@contextmanager
def serving(
    reader: Reader,
    limits: Limits | None = None,
    *,
    keys: tuple[str, ...] = (),
    documents: Documents | None = None,
    path: Path | None = None,
) -> Iterator[Running]:
    limits = limits or Limits(memory=32 << 20, shelf=32 << 20)
    service = Service(reader, limits, documents=documents, path=path)
    sock = listen("127.0.0.1", 0)
    app = make_app(service, hosts=LOCAL, keys=Keys(list(keys)) if keys else None)
    server = Server(app, limits, service.stop, "critical")
    service.engine.start()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
    thread.start()
    try:
        yield Running(service, server, sock.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
        assert not service.engine._thread.is_alive()


def events(text: str) -> list[Any]:
    """The data of server-sent events; the last is "[DONE]"."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]

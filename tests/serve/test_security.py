"""What broke in other servers (V19 to V34 of the known classes): each held off here, on a running server."""

import ast
import asyncio
import contextlib
import http.client
import json
import re
import socket
import time
from pathlib import Path

import pytest

from puna.errors import PunaError, ServeError
from puna.messages import MESSAGES
from puna.serve.app import OPEN, ROUTES
from puna.serve.documents import plain_name
from puna.serve.faults import body_of, told
from puna.serve.gate import CSP, HEADERS
from puna.serve.keys import Keys, is_loopback
from puna.serve.limits import Limits
from puna.serve.run import FLOORS, access, check_packages
from tests.serve.servers import FORM, KEYS, form, serving
from tests.test_house import ROOT, SOURCE, tree

PRIVATE = re.compile(r"0x[0-9a-f]{6,}|/home|/tmp|site-packages|Traceback")
EVERY = [
    (method, route.path.replace("{", "").replace("}", "")) for route in ROUTES for method in sorted(route.methods)
]
JSON = {"Content-Type": "application/json"}
POSTED = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ASK = {"question": "Who led it?", "text": "Ann led the walk."}


def kind_of(path: str) -> dict[str, str]:
    return FORM if path == "/v1/documents" else JSON


@pytest.fixture(scope="module")
def guarded(reader):
    with serving(reader, keys=KEYS) as found:
        yield found


def raw(port: int, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes as they are; give all that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(data)
        if end:
            client.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):  # it has not read all of what was sent
            while part := client.recv(1 << 16):
                found += part
        return found


def test_every_route_is_known() -> None:
    assert len(EVERY) == 18
    assert {path for _, path in EVERY} >= {"/v1/answers", "/v1/completions", "/metrics", "/openapi.json"}


@pytest.mark.parametrize(
    "key", [None, "", "Bearer", "Bearer wrong", f"Basic {KEYS[0]}", f"Bearer {KEYS[0]}x", "Bearer é"]
)
@pytest.mark.parametrize(("method", "path"), EVERY)
def test_every_route_needs_a_key(guarded, method: str, path: str, key: str | None) -> None:
    """V31 and G19: but for the one that says how the service is."""
    headers = {} if key is None else {"Authorization": key.encode().decode("latin-1")}
    reply = guarded.send(method, path, b"{" if method == "POST" else None, {**headers, **kind_of(path)})
    if path in OPEN:
        assert reply.status == 200
        return
    assert (reply.status, reply.code) == (401, "E-SERVE-UNAUTHORISED")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert not any(known in json.dumps(reply.body) for known in KEYS)


def test_the_right_keys_open(guarded) -> None:
    for key in KEYS:
        assert guarded.send("GET", "/v1/models", Authorization=f"Bearer {key}").status == 200
        assert guarded.openai(key).models.list().data


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """V21: by `hmac.compare_digest`, all of them, whichever fits."""
    import hmac

    looked: list[bool] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: looked.append(len(a) == len(b) == 32) or compare(a, b))
    keys = Keys([f"key-number-{n}-of-many" for n in range(5)])
    tenants = [keys.tenant(f"Bearer key-number-{n}-of-many") for n in (0, 4, 9)]
    assert looked == [True] * 15
    assert None not in tenants[:2]
    assert tenants[0] != tenants[1]
    assert tenants[2] is None


@pytest.mark.parametrize(
    ("content", "good"),
    [
        ("# remark\n\nlong-enough-to-be-a-key\n", True),
        ("", False),
        ("# only a remark", False),
        ("short", False),
        ("x" * 300, False),
        ("two words-of-a-long-key", False),
        ("schlüssel-mit-umlauten", False),
        ("a" * 15 + "\x00", False),
    ],
)
def test_key_files(tmp_path: Path, content: str, good: bool) -> None:
    path = tmp_path / "keys"
    path.write_text(content, "utf-8")
    if good:
        assert Keys.read(path).tenant("Bearer long-enough-to-be-a-key")
        return
    with pytest.raises(ServeError) as error:
        Keys.read(path)
    assert error.value.code == "E-SERVE-KEY-FILE"
    assert content not in str(error.value) or content in ("", "short")


def test_no_open_door(tmp_path: Path) -> None:
    """An address that others can reach needs keys."""
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert is_loopback(host)
        assert access(host, None, [])[0] is None
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org"):
        with pytest.raises(ServeError) as error:
            access(host, None, [])
        assert error.value.code == "E-SERVE-KEYS"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "evil.example:80"]
)
@pytest.mark.parametrize("path", ["/", "/health", "/v1/models"])
def test_foreign_hosts(running, host: str, path: str) -> None:
    """V28 and V32: a name that somebody else lets point here (DNS rebinding) is refused, wherever it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    assert answer.status == 400
    answer.read()
    connection.close()


def test_no_host_and_two_hosts(running) -> None:
    for head in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        assert raw(running.port, b"GET / HTTP/1.1\r\n" + head + b"\r\n").startswith(b"HTTP/1.1 400")
    absolute = b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    assert raw(running.port, absolute).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_foreign_pages(running, headers: dict[str, str]) -> None:
    """V32: no page of another site reads or sends anything, and none is told that it may."""
    for method, path, body in (("GET", "/v1/models", None), ("POST", "/v1/answers", ASK)):
        reply = running.send(method, path, body, headers)
        assert (reply.status, reply.code) == (403, "E-SERVE-ORIGIN")
        assert not any(name.lower().startswith("access-control") for name in reply.headers)
    preflight = running.send("OPTIONS", "/v1/answers", None, {**headers, "Access-Control-Request-Method": "POST"})
    assert preflight.status in (403, 405)


def test_the_own_page_may(running) -> None:
    origin = f"http://127.0.0.1:{running.port}"
    assert running.post("/v1/answers", ASK, Origin=origin).status == 200
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert running.send("GET", "/", None, followed).status == 200
    assert running.send("POST", "/v1/answers", ASK, followed).status == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data; boundary=b"]
)
def test_only_json(running, kind: str) -> None:
    """V32: what a form of another site can send is not taken."""
    reply = running.send("POST", "/v1/answers", json.dumps(ASK).encode(), {"Content-Type": kind})
    assert (reply.status, reply.code) == (415, "E-SERVE-TYPE")


def test_headers_of_all_answers(guarded) -> None:
    """G18: no framing, no sniffing, and only what comes from here; errors and the page alike."""
    key = {"Authorization": f"Bearer {KEYS[0]}"}
    for reply in (
        guarded.send("GET", "/"),
        guarded.send("GET", "/health"),
        guarded.send("GET", "/nothing"),
        guarded.send("GET", "/v1/models"),
        guarded.send("GET", "/v1/models", None, key),
        guarded.send("GET", "/", Host="evil.example"),
        guarded.post("/v1/answers", b"{"),
    ):
        for name, value in HEADERS.items():
            assert reply.headers[name] == value
        assert "server" not in reply.headers
    assert "default-src 'self'" in CSP
    assert "unsafe" not in CSP


def test_bodies_are_bounded_before_they_are_parsed(reader) -> None:
    """V29: told by the length that is said, and by what comes where none is or it lies."""
    with serving(reader, Limits(memory=1, body=1000, upload=2000)) as small:
        said = small.send("POST", "/v1/answers", b"x" * 1001)
        assert (said.status, said.code) == (413, "E-SERVE-BODY")
        chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
        head = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        answer = raw(small.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk, end=False)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"E-SERVE-BODY" in answer
        assert small.post("/v1/answers", ASK).status == 200


def test_a_key_comes_before_the_body(reader) -> None:
    """Without one nothing of a body is read, however much is said to come."""
    with serving(reader, keys=KEYS) as guarded:
        head = POSTED + b"Content-Length: 4000000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=60) as client:
            client.sendall(head)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 401")


def test_large_headers(running) -> None:
    """V30: 64 KiB of a head, and no more is kept."""
    line = b"X-A: " + b"a" * 1000 + b"\r\n"
    good = raw(
        running.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + line * 20 + b"\r\n"
    )
    assert good.startswith(b"HTTP/1.1 200")
    bad = raw(running.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + line * 200)
    assert bad.startswith(b"HTTP/1.1 4") or not bad


def test_slow_clients_are_let_go(reader) -> None:
    """V30: heads and bodies that do not come, while others are answered."""
    limits = Limits(memory=1, header_seconds=0.3, body_seconds=0.3)
    with serving(reader, limits) as hasty:
        idle = [socket.create_connection(("127.0.0.1", hasty.port)) for _ in range(200)]
        for number, client in enumerate(idle):
            if number % 2:
                client.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert hasty.send("GET", "/health").status == 200
        for client in idle:
            client.settimeout(60)
            assert client.recv(100) == b""
            client.close()
        answer = raw(hasty.port, POSTED + b"Content-Length: 50\r\n\r\n{", end=False)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"E-SERVE-SLOW" in answer


def test_log_lines_cannot_be_forged(running) -> None:
    """V30: nothing that a client wrote stands in the log or in a header of an answer."""
    reply = running.send("GET", "/v1/models/x%0d%0aSet-Cookie:%20a=b")
    assert reply.status == 404
    assert "set-cookie" not in reply.headers
    smuggled = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n"
    assert raw(running.port, smuggled).startswith(b"HTTP/1.1 4")


def test_two_lengths(running) -> None:
    """A request of which two servers could see different ends is none."""
    head = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for lengths in (
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e3\r\n",
    ):
        assert raw(running.port, head + lengths + b"\r\n{}{}").startswith(b"HTTP/1.1 400")


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"1"', "null", "true", "[]", "1" * 5000]


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p", "max_tokens", "n", "seed", "top_k", "logprobs"])
def test_numbers_that_are_none(running, field: str, value: str) -> None:
    """V23: what is not finite, or no number, is refused; the engine never sees it."""
    body = f'{{"model": "{running.model}", "prompt": "x", "max_tokens": 1, "{field}": {value}}}'
    reply = running.post("/v1/completions", body.encode())
    if value == "null" and field in ("seed", "logprobs", "max_tokens"):
        return
    assert reply.status == 400, reply.body
    assert reply.code in ("E-SERVE-FIELD", "E-SERVE-JSON")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe{",
        b"{}{}",
        b'{"question": "\\ud800", "text": "x"}',
        b'{"question": "x", "text": "\\udfff"}',
        b'{"\\ud800": 1}',
        b'{"question": 5}',
        b"1" * 5000,
    ],
)
def test_bodies_that_are_none(running, body: bytes) -> None:
    reply = running.post("/v1/answers", body)
    assert reply.status == 400
    assert reply.code in ("E-SERVE-JSON", "E-SERVE-FIELD")
    assert not PRIVATE.search(json.dumps(reply.body))


@pytest.mark.parametrize(
    "path", [route.path for route in ROUTES if "POST" in route.methods and "documents" not in route.path]
)
def test_unknown_fields_are_refused(running, path: str) -> None:
    """V31: nothing is taken silently, least of all what sounds as if it opened a file or a door."""
    for field in ("bypass_filter", "chat_template", "adapter", "model_path", "__class__"):
        body = {"model": running.model, "prompt": "x", "input": "x", "tokens": [1], "question": "x", "text": "x"}
        body |= {"messages": [{"role": "user", "content": "x"}], "candidates": ["x"], "labels": ["x"], field: "x"}
        known = {error.split(".")[0] for error in wrong_fields(running, path, body)}
        assert known >= {field}


def wrong_fields(running, path: str, body: dict) -> list[str]:
    """The fields that a route does not know, one after the other."""
    found = []
    while (reply := running.post(path, body)).status == 400 and reply.code == "E-SERVE-FIELD":
        field = reply.body["error"]["param"]
        if field not in body:
            break
        found.append(field)
        del body[field]
    return found


def test_fan_out_is_one_cost(reader) -> None:
    """V24: prompts × n × (prompt + to be written), counted together before anything is read."""
    with serving(reader, Limits(memory=1, tokens=1000)) as small:
        good = {"model": small.model, "prompt": ["ab"] * 4, "n": 2, "max_tokens": 3}
        assert small.post("/v1/completions", good).status == 200
        read = small.service.engine.texts.counts.read
        for more in ({"n": 60}, {"max_tokens": 900}, {"prompt": ["a" * 300] * 4}):
            reply = small.post("/v1/completions", {**good, **more})
            assert (
                reply.code == "E-SERVE-COST"
                if "n" not in more
                else reply.code in ("E-SERVE-COST", "E-SERVE-CHOICES")
            )
        assert small.service.engine.texts.counts.read == read


def test_scores_take_bounded_memory() -> None:
    """V22: logits of few rows exist at a time, however long a prompt is that is scored."""
    from puna.serve.ground import HEAD

    assert HEAD <= 64
    calls = [
        node
        for path in (SOURCE / "serve").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "logits"
    ]
    assert len(calls) == 4  # the grounds' two, the stepped model's, and the one place that cuts rows by HEAD


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd", "/page/../../keys.py", "/.%00"]
)
def test_no_way_out_of_the_page(running, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status in (400, 404, 405)
    assert b"import" not in answer.read()
    connection.close()


def test_errors_tell_nothing_of_this_machine() -> None:
    """V34: what was not said on purpose is not told, nor is a path or an address that stands in what was."""
    for error in (
        RuntimeError("/usr/lib/x.py"),
        ValueError("0x7f33aa118800"),
        PunaError("E-KEPT-WRITE", folder="/var/lib/puna", reason="x"),
        PunaError("E-KEPT-STALE", path="C:\\models\\a.gguf", count=1),
    ):
        assert told(error).code == "E-SERVE-INTERNAL"
        assert not PRIVATE.search(json.dumps(body_of(error)))
    for code in MESSAGES:
        if code.startswith("E-SERVE"):
            assert not PRIVATE.search(" ".join(MESSAGES[code].en))


def test_errors_in_the_language_of_who_asks(running) -> None:
    for language, word in (("zh-CN,zh;q=0.9", "没有"), ("en-GB,zh;q=0.1", "there is"), ("", "there is")):
        reply = running.send("GET", "/nothing", None, {"Accept-Language": language})
        assert word in reply.body["error"]["message"]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\b.pdf", "b.pdf"),
        ("a\x00\x1b[2Jb.md", "a[2Jb.md"),
        ("山.txt", "山.txt"),
    ],
)
def test_upload_names(given: str, want: str) -> None:
    assert plain_name(given) == want


@pytest.mark.parametrize("given", [None, "", "..", "a/", "x" * 256, "\x00"])
def test_upload_names_that_are_none(given: str | None) -> None:
    with pytest.raises(ServeError) as error:
        plain_name(given)
    assert error.value.code == "E-SERVE-UPLOAD"


def test_without_a_library(running) -> None:
    for reply in (
        running.send("GET", "/v1/documents"),
        running.send("GET", "/v1/documents/1"),
        running.send("POST", "/v1/documents", form("a.txt", b"x"), FORM),
        running.send("DELETE", "/v1/documents/1"),
        running.post("/v1/answers", {"question": "Who?"}),
    ):
        assert (reply.status, reply.code) == (404, "E-SERVE-LIBRARY")


def test_floors() -> None:
    """V28 and V29: releases with known holes are refused at the start, and the extra asks for none of them."""
    import tomllib

    from packaging.requirements import Requirement

    check_packages()
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for wanted in (extra["serve"], extra["dev"]):
        asked = {r.name: str(r.specifier) for r in map(Requirement, wanted)}
        for name, least in FLOORS.items():
            assert asked[name] == ">=" + ".".join(map(str, least))
    assert FLOORS["starlette"] >= (1, 3, 1)
    assert FLOORS["python-multipart"] >= (0, 0, 30)


def test_an_old_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puna.serve.run.version", lambda name: "0.0.29" if name == "python-multipart" else "99")
    with pytest.raises(ServeError) as error:
        check_packages()
    assert error.value.code == "E-SERVE-OLD"


def test_nothing_is_fetched() -> None:
    """V33: the service opens no connection of its own: what could is not imported there."""
    connects = {"connect", "connect_ex", "create_connection", "open_connection"}
    could = {"urllib", "http", "requests", "httpx", "httpx2", "aiohttp", "huggingface_hub", "ssl", "ftplib"}
    for path in (SOURCE / "serve").rglob("*.py"):
        imported: set[str] = set()
        for node in ast.walk(module := tree(path)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
        assert not imported & could, path
        assert not any(isinstance(node, ast.Attribute) and node.attr in connects for node in ast.walk(module))


def test_health_answers_while_the_engine_works(reader) -> None:
    """G5: what computes does not hold up who asks how it is."""
    import threading

    from puna.serve.calls import stepped

    with serving(reader) as busy:
        gate = threading.Event()
        _, future = busy.service.engine.call(lambda: stepped(gate.wait, 1))
        for _ in range(5):
            assert busy.send("GET", "/health").status == 200
        gate.set()
        future.result()


def test_the_clock_of_a_body_is_its_own() -> None:
    """A long answer is not cut by the time that a body has."""
    from puna.serve.gate import _Body

    async def run() -> str:
        sent = iter([{"type": "http.request", "body": b"x", "more_body": False}])

        async def receive():
            if (found := next(sent, None)) is not None:
                return found
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        body = _Body(receive, 10, 0.01)
        await body.receive()
        time.sleep(0.02)
        return (await body.receive())["type"]

    assert asyncio.run(run()) == "http.disconnect"

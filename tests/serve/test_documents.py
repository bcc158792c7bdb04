"""A library behind the service: uploads, lists, texts, cited answers, others who change it, stops and restarts."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puna.library.library import Library
from puna.library.parse import Parser
from puna.library.store import open_store
from puna.serve.library import UPLOAD, WINDOW, Documents
from puna.serve.limits import Limits
from tests.cli.run import puna
from tests.cli.tiny_file import write_tiny
from tests.library.conftest import database, server  # noqa: F401  fixtures
from tests.library.files import pdf
from tests.serve.servers import FORM, form, serving

LIMITS = Limits(memory=32 << 20, shelf=32 << 20)
WALK = "The walk was led by Ann Lee.\nIt began in May.\n"
SNOW = "山上有雪。张三在六月回来。🏔️ The walk ended."
QUESTION = "Who led the walk?"


def page(text: bytes) -> bytes:
    return b"BT /F1 12 Tf 72 700 Td (" + text + b") Tj ET"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def held(reader, where: Path):
    with serving(reader, LIMITS, documents=Documents(where, create=True)) as running:
        yield running


def names(running) -> list[str]:
    return [each["name"] for each in running.send("GET", "/v1/documents").body["data"]]


def plain(found) -> object:
    """As JSON has it, without what is measured."""
    found = json.loads(json.dumps(found))
    return {**found, "elapsed_ms": 0}


def test_in_listed_read_out(held) -> None:
    made = held.upload("walk.txt", WALK)
    assert made.status == 201
    wanted = {"id": "1", "name": "walk.txt", "size": len(WALK), "characters": len(WALK)}
    assert wanted.items() <= made.body.items()
    assert held.upload("雪.md", SNOW).status == 201
    listed = held.send("GET", "/v1/documents").body
    assert listed["data"][0] == made.body
    assert [each["name"] for each in listed["data"]] == ["walk.txt", "雪.md"]
    assert not listed["has_more"]
    read = held.send("GET", "/v1/documents/1").body
    place = {"text": WALK, "start": 0, "end": len(WALK), "utf16": 0, "line": 1, "page": None, "pages": []}
    assert read == {**made.body, **place}
    assert held.send("DELETE", "/v1/documents/1").body == {"id": "1", "deleted": True}
    for method in ("GET", "DELETE"):
        reply = held.send(method, "/v1/documents/1")
        assert (reply.status, reply.code) == (404, "E-SERVE-DOCUMENT")
    assert names(held) == ["雪.md"]


def test_answers_are_those_of_the_library(held, where: Path) -> None:
    """Field by field what the library gives that is asked directly; names alone are shown without their beginning."""
    reader = held.service.reader
    held.upload("walk.txt", WALK)
    held.upload("two.pdf", pdf([page(b"Nothing here."), page(b"Bob said that Ann Lee led the walk.")]))
    with Library.open(where, reader=reader) as library:
        for fields in ({}, {"candidates": ["Ann Lee", "Bob"]}, {"why": True, "top": 2}):
            given = dict(fields)
            direct = library.ask(QUESTION, given.pop("candidates", None), **given).to_dict()
            want = json.loads(json.dumps(plain(direct)).replace(f'"{UPLOAD}', '"'))
            reply = held.post("/v1/answers", {"question": QUESTION, **fields})
            assert (reply.status, plain(reply.body)) == (200, want)
            assert want["passages"]
    listed = {each["name"]: each["id"] for each in held.send("GET", "/v1/documents").body["data"]}
    reply = held.post("/v1/answers", {"question": QUESTION, "candidates": ["Ann Lee"]})
    places = [place for answer in reply.body["answers"] for place in answer["evidence"]]
    assert {place["page"] for place in places} >= {None, 2}
    for place in places:
        read = held.send("GET", f"/v1/documents/{listed[place['source']]}").body
        assert place["sentence"]["text"] in read["text"]
        assert (place["page"] is None) == (read["pages"] == [])
        if place["page"]:
            assert read["pages"][place["page"] - 1] <= place["start"]
            assert place["boxes"]
    texts = held.post("/v1/answers", {"question": QUESTION, "text": WALK}).body
    assert "passages" not in texts
    assert "page" not in texts["answers"][0]["evidence"][0]


def test_nothing_found(held) -> None:
    found = held.post("/v1/answers", {"question": QUESTION})
    assert (found.status, found.body["answers"], found.body["no_answer_probability"]) == (200, [], 1.0)
    assert held.post("/v1/answers", {"question": " "}).code == "E-QUESTION-EMPTY"


def test_by_name(held) -> None:
    held.upload("a b&c.txt", WALK)
    held.upload("d.txt", WALK)
    found = held.send("GET", "/v1/documents?name=a%20b%26c.txt").body["data"]
    assert [each["name"] for each in found] == ["a b&c.txt"]
    assert held.send("GET", "/v1/documents?name=e.txt").body["data"] == []


def test_page_by_page(held) -> None:
    for n in range(7):
        held.upload(f"{n}.txt", f"Walk {n}.")
    pages = [held.send("GET", f"/v1/documents?limit=3&offset={n}").body for n in (0, 3, 6, 9)]
    assert [[each["name"][0] for each in found["data"]] for found in pages] == [[*"012"], [*"345"], ["6"], []]
    assert [found["has_more"] for found in pages] == [True, True, False, False]
    for wrong in ("limit=0", "limit=x", "offset=-1", "limit=99999999", "offset=9999999999999999999999"):
        assert held.send("GET", f"/v1/documents?{wrong}").code == "E-SERVE-FIELD"


def test_a_long_text_piece_by_piece(held) -> None:
    """Random pieces join to the text; each says where it begins, in every way."""
    rng = random.Random(5)
    text = "".join(rng.choice(("word ", "山", "🏔", "\n")) for _ in range(700_000))
    number = held.upload("long.txt", text).body["id"]
    found, start = "", 0
    while start < len(text):
        piece = held.send(
            "GET", f"/v1/documents/{number}?start={start}&end={start + rng.randint(1, 3 * WINDOW)}"
        ).body
        assert piece["end"] - piece["start"] == len(piece["text"]) <= WINDOW
        assert piece["utf16"] == len(text[:start].encode("utf-16-le")) // 2
        assert piece["line"] == text[:start].count("\n") + 1
        assert piece["characters"] == len(text)
        found, start = found + piece["text"], piece["end"]
    assert found == text
    behind = held.send("GET", f"/v1/documents/{number}?start={len(text) + 5}").body
    assert (behind["start"], behind["text"]) == (len(text), "")
    assert held.send("GET", f"/v1/documents/{number}?start=9&end=3").body["text"] == ""


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "/etc/passwd.txt", "C:\\x\\passwd.txt", "passwd.txt"])
def test_a_name_is_no_path(held, where: Path, name: str) -> None:
    before = {path for path in where.parent.rglob("*") if path.parent != where}
    made = held.send("POST", "/v1/documents", form(name.replace("\\", "\\\\"), WALK.encode()), FORM)
    assert made.body["name"] == "passwd.txt"
    assert {path for path in where.parent.rglob("*") if path.parent != where} == before
    assert [entry.path for entry in open_store(where, create=False).entries()] == [f"{UPLOAD}passwd.txt"]


@pytest.mark.parametrize(
    "odd", ["0", "-1", "2", "x", "1x", "%D9%A3", "..%2f1", "x" * 65, "9" * 18, "9" * 19, "9" * 64]
)
def test_ids_that_are_none(held, odd: str) -> None:
    held.upload("a.txt", WALK)
    for method in ("GET", "DELETE"):
        reply = held.send(method, f"/v1/documents/{odd}")
        assert reply.status in (400, 404)
    assert names(held) == ["a.txt"]


REFUSED = {
    "damaged.pdf": (b"%PDF-1.4 nothing", "E-DOCUMENT-DAMAGED"),
    "not-a-zip.docx": (b"PK\x03\x04 nothing", "E-DOCUMENT-DAMAGED"),
    "empty.html": (b"<p> </p>", "E-DOCUMENT-EMPTY"),
    "program.exe": (b"MZ", "E-DOCUMENT-UNKNOWN"),
    "0xdeadbeef.exe": (b"MZ", "E-DOCUMENT-UNKNOWN"),
    "no-suffix": (b"text", "E-DOCUMENT-UNKNOWN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_told(held, name: str) -> None:
    content, code = REFUSED[name]
    for language, mark in (("en", name), ("zh", name)):
        reply = held.upload(name, content, **{"Accept-Language": language})
        assert (reply.status, reply.code) == (400, code)
        assert mark in reply.body["error"]["message"]
        assert reply.body["error"]["hint"]
    assert names(held) == []


def test_uploads_that_are_none(reader, where: Path) -> None:
    with serving(reader, Limits(memory=1, upload=1000), documents=Documents(where, create=True)) as running:
        assert running.upload("b.txt", b"x" * 1001).status == 413
        assert running.upload("b.txt", b"x" * 70000).status == 413
        for body in (form("", b"x"), form("b.txt", b""), form("b.txt", b"x", "other"), b"junk", b"--b\r\n" * 500):
            assert running.send("POST", "/v1/documents", body, FORM).status == 400
        reply = running.send("POST", "/v1/documents", form("b.txt", b"x"), {"Content-Type": "application/json"})
        assert reply.status == 415
        assert names(running) == []


def test_a_second_one_of_the_same_name(held) -> None:
    first = held.upload("a.txt", WALK).body
    assert held.upload("a.txt", WALK).body == first
    second = held.upload("a.txt", SNOW).body
    assert second["id"] != first["id"]
    assert held.upload("a.pdf", b"%PDF no").status == 400
    assert held.upload("a.txt", b"\xff\xfe\x00").status == 400  # what is there stays
    assert held.send("GET", "/v1/documents").body["data"] == [second]


def test_indexing_leaves_uploads_alone(held, where: Path, tmp_path: Path) -> None:
    """Another process brings the library up to date meanwhile; uploads stay, files come and go, all are answered from."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "upload:x.txt").write_text("Bob led the climb.", "utf-8")
    (files / "b.txt").write_text("Cy led the swim.", "utf-8")
    held.upload("walk.txt", WALK)
    held.upload("x.txt", "Dan led the ride.")

    def index(cwd: Path, *paths: str) -> dict:
        done = puna("index", *paths, "--library", str(where), "--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert index(tmp_path, "files")["added"] == 2
    assert set(names(held)) == {"walk.txt", "x.txt", str(files / "b.txt"), str(files / "upload:x.txt")}
    found = held.post("/v1/answers", {"question": "Who led the swim?"}).body
    assert str(files / "b.txt") in {passage["source"] for passage in found["passages"]}
    (files / "b.txt").unlink()
    for cwd, given in ((tmp_path, "files"), (files, "."), (tmp_path, ".")):
        assert index(cwd, given)["removed"] == (1 if cwd == tmp_path and given == "files" else 0)
        assert {"walk.txt", "x.txt"} <= set(names(held))
    assert str(files / "b.txt") not in names(held)
    found = held.post("/v1/answers", {"question": "Who led the ride?"}).body
    assert "x.txt" in {passage["source"] for passage in found["passages"]}
    assert open_store(where, create=False).check() == []


def test_many_at_once(held, where: Path) -> None:
    """Uploads, lists, answers and removals from many threads: each is right, and the library sound at the end."""
    rng = random.Random(4)
    jobs = [(rng.choice(("put", "put", "list", "ask", "read")), rng.randrange(12)) for _ in range(90)]

    def text(n: int) -> str:
        return f"Walk number {n} was led by Person{n}. " * (1 + n)

    def do(job) -> None:
        kind, n = job
        if kind == "put":
            assert held.upload(f"{n}.txt", text(n)).body["characters"] == len(text(n))
        elif kind == "list":
            assert (listed := names(held)) == sorted(listed)
        elif kind == "ask":
            found = held.post("/v1/answers", {"question": f"Who led walk number {n}?", "top": 1})
            assert found.status == 200
            for passage in found.body["passages"]:
                assert passage["text"] in text(int(passage["source"].partition(".")[0]))
        else:
            for each in held.send("GET", f"/v1/documents?name={n}.txt").body["data"]:
                assert held.send("GET", f"/v1/documents/{each['id']}").body["text"] == text(n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(do, jobs))
    assert set(names(held)) == {f"{n}.txt" for kind, n in jobs if kind == "put"}
    assert open_store(where, create=False).check() == []


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch):
    """Documents called slow are read when the gate opens; `begun` counts them."""
    gate, begun, parse = threading.Event(), [], Parser.parse

    def waiting(self, path, raw=None):
        if path.name.startswith("slow"):
            begun.append(path)
            gate.wait()
        return parse(self, path, raw)

    monkeypatch.setattr(Parser, "parse", waiting)
    yield gate, begun
    gate.set()


def until(condition) -> None:
    while not condition():
        time.sleep(0.001)


def test_reading_a_document_holds_nobody_up(held, slow) -> None:
    """G5: answers, lists and the state are given while documents are read."""
    gate, begun = slow
    held.upload("walk.txt", WALK)
    with ThreadPoolExecutor(3) as pool:
        replies = [pool.submit(held.upload, f"slow{n}.txt", SNOW) for n in range(3)]
        until(lambda: len(begun) == 2)
        assert held.post("/v1/answers", {"question": QUESTION}).status == 200
        assert held.post("/v1/rank", {"question": QUESTION, "candidates": ["Ann", "Bob"]}).status == 200
        assert names(held) == ["walk.txt"]
        assert held.send("GET", "/health").body["status"] == "ok"
        gate.set()
        assert [reply.result().status for reply in replies] == [201] * 3
    assert names(held) == ["slow0.txt", "slow1.txt", "slow2.txt", "walk.txt"]


def test_too_many_uploads(reader, where: Path, slow) -> None:
    """G10: what is too much is told before it stands in memory."""
    gate, begun = slow
    documents = Documents(where, create=True)
    with serving(reader, Limits(memory=1, uploads=2), documents=documents) as running:
        with ThreadPoolExecutor(2) as pool:
            replies = [pool.submit(running.upload, f"slow{n}.txt", SNOW) for n in range(2)]
            until(lambda: len(begun) == 2)
            refused = running.upload("a.txt", WALK)
            assert (refused.status, refused.code) == (429, "E-SERVE-BUSY")
            assert int(refused.headers["retry-after"]) > 0
            gate.set()
            assert [reply.result().status for reply in replies] == [201] * 2
        assert running.upload("a.txt", WALK).status == 201


def test_an_upload_that_is_given_up_is_not_kept(held, slow) -> None:
    """G8: who cancels finds nothing in the library."""
    gate, begun = slow
    body = form("slow.txt", WALK.encode())
    head = f"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
    with socket.create_connection(("127.0.0.1", held.port)) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: begun)
        (task,) = held.service._adding._running
    until(lambda: task.dropped)
    gate.set()
    until(task.future.done)
    assert names(held) == []
    assert held.upload("walk.txt", WALK).status == 201


def test_an_upload_that_takes_too_long(reader, where: Path, slow) -> None:
    gate, _ = slow
    limits = Limits(memory=1, seconds=0.2)
    with serving(reader, limits, documents=Documents(where, create=True)) as running:
        reply = running.upload("slow.txt", WALK)
        assert (reply.status, reply.code) == (504, "E-SERVE-TIME")
        gate.set()
        until(lambda: not running.service._adding._threads)
    assert list(open_store(where, create=False).entries()) == []


def test_a_full_disk(held, where: Path) -> None:
    """SQLite itself says that it is full; what is held is answered from, and when there is room it goes on."""
    held.upload("walk.txt", WALK)
    base = held.service.documents._writes._base
    (pages,) = base.execute("PRAGMA page_count").fetchone()
    base.execute(f"PRAGMA max_page_count = {pages + 2}")
    rng = random.Random(2)
    large = " ".join(f"{rng.getrandbits(64):x}" for _ in range(20_000))
    reply = held.upload("large.txt", large)
    assert (reply.status, reply.code) == (507, "E-SERVE-STORE")
    assert "full" in reply.body["error"]["message"]
    assert str(where) not in json.dumps(reply.body)
    assert names(held) == ["walk.txt"]
    assert held.post("/v1/answers", {"question": QUESTION}).body["answers"]
    base.execute("PRAGMA max_page_count = 1000000")
    assert held.upload("large.txt", large).status == 201
    assert open_store(where, create=False).check() == []


def test_health_of_the_library(reader, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(reader, LIMITS, documents=Documents(where, create=True)) as running:
        assert running.send("GET", "/health").body["problems"] == []
        usage = type("Usage", (), {"free": 1 << 20})
        monkeypatch.setattr("puna.serve.service.shutil.disk_usage", lambda path: usage)
        assert running.send("GET", "/health").body["problems"] == ["disk full"]
        monkeypatch.undo()
        where.rename(where.with_name("moved"))
        assert running.send("GET", "/health").body["problems"] == ["library missing"]
        where.with_name("moved").rename(where)
        assert running.send("GET", "/health").body["status"] == "ok"


def test_models_say_whether_there_is_a_library(held, running) -> None:
    for service, there in ((held, True), (running, False)):
        (model,) = service.openai().models.list().data
        assert model.puna["library"] is there


def test_markup_is_data(held) -> None:
    """V46: a document is given as JSON only, whatever its name and text."""
    number = held.upload("x.html", "<script>alert(1)</script><p>Ann led it.</p>").body["id"]
    reply = held.send("GET", f"/v1/documents/{number}")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "script" not in reply.body["text"]


def test_restart(reader, where: Path) -> None:
    for n in range(3):
        with serving(reader, LIMITS, documents=Documents(where, create=True)) as running:
            assert names(running) == [f"{m}.txt" for m in range(n)]
            assert running.upload(f"{n}.txt", f"Person{n} led the walk.").status == 201
            found = running.post("/v1/answers", {"question": QUESTION}).body
            assert len(found["passages"]) == n + 1


@contextlib.contextmanager
def command(model: Path, where: Path):
    arguments = [sys.executable, "-m", "puna.cli.main", "serve", "--port", "0", "--model", str(model)]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [*arguments, "--library", str(where)], stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )
    try:
        yield child, next(int(line.rpartition(":")[2].split("/")[0]) for line in child.stderr if "http://" in line)
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def upload(port: int, name: str, content: str) -> int:
    """The status of an upload; 0 where the connection was cut."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v1/documents", form(name, content.encode()), FORM)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_ended_during_uploads(tmp_path: Path, where: Path, how: str) -> None:
    """G23: what was told to be there is there, nothing is there by halves, and it starts again without a hand."""
    model = write_tiny(tmp_path / "tiny.gguf", head=32, ffn=64)
    told: list[str] = []
    text = "Ann Lee led walk number {n}. " * 3000
    with command(model, where) as (child, port):

        def send(first: int) -> list[int]:
            statuses = []
            for n in range(first, 4000, 4):
                statuses.append(upload(port, f"{n}.txt", text.format(n=n)))
                if statuses[-1] != 201:
                    return statuses
                told.append(f"{n}.txt")
            return statuses

        with ThreadPoolExecutor(4) as pool:
            sent = [pool.submit(send, first) for first in range(4)]
            until(lambda: len(told) >= 6)
            child.send_signal(getattr(signal, how))
            code = child.wait(60)
            ends = {each.result()[-1] for each in sent}
        assert code == (0 if how == "SIGTERM" else -9)
        assert ends <= ({0, 503} if how == "SIGTERM" else {0})
    store = open_store(where, create=False)
    assert store.check() == []
    held = {entry.path.removeprefix(UPLOAD): entry for entry in store.entries()}
    assert set(told) <= held.keys()
    for name, entry in held.items():
        assert store.document(entry.id).text == text.format(n=name.partition(".")[0])
    store.close()
    with command(model, where) as (_, port):
        assert upload(port, "new.txt", WALK) == 201


def test_on_a_server(reader, database: str) -> None:  # noqa: F811  the fixture
    """PostgreSQL: the same routes, and answers as from a folder."""
    documents = Documents(database, create=True)
    assert documents.folder is None
    with serving(reader, LIMITS, documents=documents) as running:
        number = running.upload("walk.txt", WALK).body["id"]
        assert running.upload("a.exe", b"MZ").code == "E-DOCUMENT-UNKNOWN"
        assert names(running) == ["walk.txt"]
        assert running.send("GET", f"/v1/documents/{number}").body["text"] == WALK
        found = running.post("/v1/answers", {"question": QUESTION}).body
        assert found["passages"][0]["source"] == "walk.txt"
        assert running.send("GET", f"/v1/documents/{'9' * 18}").status == 404
        assert running.send("DELETE", f"/v1/documents/{number}").body["deleted"]
        assert names(running) == []
        assert running.send("GET", "/health").body["problems"] == []

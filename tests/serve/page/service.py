"""A small real service for the page's tests: its files under the strictest headers, and answers by a real reader.

What the page needs of the service without a library, and no more; errors have the service's form.
"""

import json
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from puna.answer.reader import Reader
from puna.answer.types import Source
from puna.errors import PunaError

PAGE = Path(__file__).parents[3] / "src" / "puna" / "serve" / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "img-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class Service(ThreadingHTTPServer):
    """Listens on the loopback interface until it is closed.

    `requests` are the bodies of questions, `paths` all that was asked for. `key`: asked for where it is not None.
    `refuse`: a status that questions get instead of an answer. While `hold` is clear, questions wait.
    """

    daemon_threads = True

    def __init__(self, reader: Reader) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reader, self.lock = reader, threading.Lock()
        self.hold = threading.Event()
        self.reset()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reset(self) -> None:
        """Be as at the beginning."""
        self.hold.set()
        self.key: str | None = None
        self.refuse: int | None = None
        self.requests: list[dict] = []
        self.paths: list[str] = []

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/"

    def answers(self, asked: dict, language: str) -> tuple[int, dict]:
        """Answer a question, or give an error's status and body."""
        if self.refuse is not None:
            return self.refuse, {"error": {"message": "too many questions", "hint": "", "code": "E-SERVE-BUSY"}}
        options = {name: asked[name] for name in ("top", "exact") if name in asked}
        try:
            with self.lock:
                sources = [Source(each["name"], each["text"]) for each in asked["texts"]]
                return 200, self.reader.ask(
                    asked["question"], sources, asked.get("candidates"), **options
                ).to_dict()
        except PunaError as error:
            message, hint = error.describe(language)
            return 400, {"error": {"message": message, "hint": hint, "code": error.code}}

    def about(self) -> dict:
        """Tell of the model what `/v1/models` tells."""
        fitted = self.reader.own_calibration()
        known = asdict(fitted) if fitted else None
        return {"id": self.reader.name, "puna": {"library": False, "calibration": known}}


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/") or "index.html"
        self.server.paths.append(path)
        if path.startswith("v1/"):
            if self._known():
                self._json(*self._read(path))
            return
        file = PAGE / path
        if file.parent != PAGE or not file.is_file():
            self._send(404, b"", "text/plain")
        else:
            self._send(200, file.read_bytes(), TYPES[file.suffix])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        if not self._known():
            return
        asked = json.loads(body)
        self.server.requests.append(asked)
        self.server.hold.wait()
        language = self.headers.get("Accept-Language", "en")[:2]
        self._json(*self.server.answers(asked, language))

    def _read(self, path: str) -> tuple[int, dict]:
        if path == "v1/models":
            return 200, {"object": "list", "data": [self.server.about()]}
        return 404, {"error": {"message": "there is nothing here", "hint": "", "code": "E-SERVE-ROUTE"}}

    def _known(self) -> bool:
        if self.server.key in (None, self.headers.get("Authorization", "").removeprefix("Bearer ")):
            return True
        self._json(401, {"error": {"message": "this needs a key", "hint": "", "code": "E-SERVE-UNAUTHORISED"}})
        return False

    def _json(self, status: int, body: dict) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            if status == 429:
                self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            pass  # the browser has given up

    def log_message(self, *_: object) -> None:
        """Be silent."""

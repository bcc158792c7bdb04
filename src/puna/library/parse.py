"""From a file to a document, whatever the file is: parsers run in a process of their own, within stated limits.

The process lives on from document to document, and is replaced when one breaks it. The caller's process parses nothing:
it reads the bytes, hands them over, and takes data back.
"""

import contextlib
import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from puna.errors import DocumentError, shown
from puna.library.limits import LIMITS, MIB, Limits
from puna.library.types import Document
from puna.library.wire import ANSWER, DOCUMENT, READY, REFUSED, REQUEST, decode
from puna.messages import MESSAGES

_SOURCE = Path(__file__).parents[2]
_GRACE = 5.0  # seconds for a process that says no more to be gone
_PIECE = 120  # bytes that a piece takes at most on the way back


class Parser:
    """Reads documents, one at a time; leaving the context ends its process. Threads take a parser each."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._late = self._stopped = False

    def __enter__(self) -> "Parser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def parse(self, path: Path, raw: bytes | None = None) -> Document:
        """Read a document; `raw`: the file's bytes, where they have been read already (by `contents`).

        Its text holds no NUL and no surrogate. Raises DocumentError, which names the file and says why, for a file that
        cannot be read, is of another kind, damaged, encrypted, empty, or outside the limits.
        """
        raw = contents(path, self.limits) if raw is None else raw
        try:
            used = self._served > 0
            try:
                return self._ask(path, raw)
            except DocumentError as error:
                # The document may have paid for those before it: in a new process it is alone.
                if self._stopped or not used or error.code not in ("E-DOCUMENT-MEMORY", "E-DOCUMENT-CRASH"):
                    raise
                self.close()
                return self._ask(path, raw)
        except DocumentError as error:
            if error.code == "E-DOCUMENT-MEMORY":
                self.close()  # what it has left is in pieces
            raise
        except BaseException:
            self.close()  # in the middle of an answer
            raise

    def close(self) -> None:
        """End the process; the next document starts another."""
        process, self._process, self._served = self._process, None, 0
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close() if pipe else None
            process.wait()

    def stop(self) -> None:
        """End the process from another thread; what it is reading fails, and no other is started for that."""
        self._stopped = True
        if (process := self._process) is not None:
            process.kill()

    def _ask(self, path: Path, raw: bytes) -> Document:
        process = self._started()
        suffix = path.suffix.lower().encode("utf-8", "replace")[:64]
        with self._clock(process):
            kind, body = self._exchange(process, REQUEST.pack(len(suffix), len(raw)) + suffix, raw)
        self._served += 1
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            if kind == DOCUMENT:
                return decode(body)
            if kind == REFUSED:
                raise _refusal(path, body)
        if kind:
            self.close()
            raise DocumentError("E-DOCUMENT-CRASH", path=shown(str(path), 4096), reason="nonsense came back")
        raise self._ended(process, path)

    def _exchange(self, process: "subprocess.Popen[bytes]", head: bytes, raw: bytes) -> tuple[bytes, bytes]:
        """Send a request, if any, and give the kind of the answer and the answer; nothing where it is cut off."""
        most = 4 * self.limits.characters + _PIECE * self.limits.pieces + 8 * self.limits.pages
        with contextlib.suppress(OSError):
            assert process.stdin  # noqa: S101  a pipe was asked for
            assert process.stdout  # noqa: S101  a pipe was asked for
            if head:
                process.stdin.write(head)
                process.stdin.write(raw)
                process.stdin.flush()
            answer = process.stdout.read(ANSWER.size)
            if len(answer) == ANSWER.size:
                kind, size = ANSWER.unpack(answer)
                body = process.stdout.read(size) if size <= most else b""
                return (kind, body) if len(body) == size else (b"?", b"") if size > most else (b"", b"")
        return b"", b""

    def _started(self) -> "subprocess.Popen[bytes]":
        """Give the process, a new one where there is none."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        path = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-P", "-m", "puna.library.child", json.dumps(dataclasses.asdict(self.limits))]
        # A session of its own: Ctrl-C reaches the caller alone, who ends the process.
        self._process = subprocess.Popen(  # noqa: S603  our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        with self._clock(self._process):
            kind, _ = self._exchange(self._process, b"", b"")
        if kind != READY:
            reason = "it is too slow" if self._late else "it says nothing" if not kind else "it speaks otherwise"
            self.close()
            raise DocumentError("E-DOCUMENT-READER", reason=reason)
        return self._process

    @contextlib.contextmanager
    def _clock(self, process: "subprocess.Popen[bytes]") -> Iterator[None]:
        """End the process if what is done here takes too long: no pipe waits for ever then."""
        self._late = False

        def end() -> None:
            self._late = True
            process.kill()

        timer = threading.Timer(self.limits.wall, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _ended(self, process: "subprocess.Popen[bytes]", path: Path) -> DocumentError:
        """Say why the process has ended without an answer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        self.close()
        status = process.returncode
        name = shown(str(path), 4096)
        if self._late:
            return DocumentError("E-DOCUMENT-SLOW", path=name, seconds=round(self.limits.wall))
        if status == -getattr(signal, "SIGXCPU", 0) and status:
            return DocumentError("E-DOCUMENT-SLOW", path=name, seconds=self.limits.cpu)
        try:
            reason = signal.Signals(-status).name
        except ValueError:
            reason = f"status {status}"
        return DocumentError("E-DOCUMENT-CRASH", path=name, reason=reason)


def parse(path: Path, limits: Limits = LIMITS) -> Document:
    """Read one document; for several, `Parser` starts its process only once. Raises DocumentError."""
    with Parser(limits) as parser:
        return parser.parse(path)


def contents(path: Path, limits: Limits = LIMITS) -> bytes:
    """Give the bytes of a file; raise DocumentError for what is no regular file, cannot be read, or is too large."""
    name = shown(str(path), 4096)
    try:
        # Opening a pipe that nobody writes to must not wait.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise DocumentError("E-FILE-READ", path=name, reason="not a regular file")
            raw = file.read(limits.file + 1) if found.st_size <= limits.file else b""
            size = max(found.st_size, len(raw))
    except (OSError, ValueError) as error:  # missing, no permission, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DocumentError("E-FILE-READ", path=name, reason=str(reason).lower()) from None
    if size > limits.file:
        raise DocumentError("E-DOCUMENT-SIZE", path=name, size=-(-size // MIB), limit=limits.file // MIB)
    return raw


def _refusal(path: Path, body: bytes) -> DocumentError:
    said = json.loads(body)
    code, parameters = said["code"], said["parameters"]
    if code[:11] != "E-DOCUMENT-" or code not in MESSAGES:
        raise ValueError(code)
    safe = {name: value if type(value) is int else shown(value) for name, value in parameters.items()}
    return DocumentError(code, **{**safe, "path": shown(str(path), 4096)})

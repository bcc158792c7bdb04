"""The host's side of a worker: a process that is sent a job a line and gives an answer a line."""

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from puna.bench.jobs import Job
from puna.bench.processes import end, stop_and_go
from puna.errors import PeerError
from puna.weights.refuse import shown


class Worker:
    """A worker that runs while it is asked; leaving the context ends it and all that it started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        # A session of its own: Ctrl-C reaches the host alone, which ends the worker with its children.
        self._process = subprocess.Popen(  # noqa: S603  our own script
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environment),
            start_new_session=True,
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        # A pipe has no time limit of its own: a thread reads it, and the host waits for the thread.
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, job: Job, seconds: float) -> dict[str, Any]:
        """Send a job and give the answer; raise PeerError where there is none, or none that can be read."""
        name = job["job"]
        stop_and_go(self._process, go=True)
        try:
            assert self._process.stdin  # noqa: S101  a pipe was asked for
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise PeerError("E-PEER-SILENT", job=name, seconds=round(seconds)) from None
        except OSError:
            line = b""
        if not line:
            raise self._ended(name)
        stop_and_go(
            self._process, go=False
        )  # its idle threads may turn in a loop: who comes next has the machine alone
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise PeerError("E-PEER-RUBBISH", job=name, said=shown(line.decode("utf-8", "replace").strip()))
        if "error" in answer:
            raise PeerError("E-PEER-FAILED", job=name, reason=shown(answer["error"]))
        return answer

    def close(self) -> None:
        """End the worker and all that it started, at once."""
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(OSError, ValueError):
                pipe.close() if pipe else None

    def _listen(self) -> None:
        with suppress(ValueError):  # closed while reading
            for line in self._process.stdout or ():
                self._lines.put(line)
        self._lines.put(b"")

    def _ended(self, job: str) -> PeerError:
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").split("\n")
        reason = next((line for line in reversed(said) if line.strip()), "it said nothing")
        return PeerError("E-PEER-ENDED", job=job, status=status, reason=shown(reason.strip()))

"""A Ray cluster to work on: one of this machine's own, closed to others, or one that runs already."""

import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any

from puna.errors import InputError, shown

_STORE = 256 << 20  # bytes of a local cluster's object store; what is more goes to its folder
# Read by Ray when it is imported, and by the processes that it starts. By the first one, which Ray has for systems that
# are no servers, the node's address is that of the loopback interface, and every process listens there alone.
_CLOSED = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


def check_ray() -> None:
    """Raise InputError where Ray is not installed; import nothing."""
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise InputError("E-RAY-MISSING")


@contextmanager
def cluster(address: str | None, workers: int | None = None) -> Iterator[None]:
    """Connect to a cluster by its address ("auto" or HOST:PORT), or start one on this machine for so many workers.

    One of this machine listens on the loopback interface alone, wants a token that nobody else has, has no dashboard, and
    lives in a temporary folder that is removed with it. Its processes end with this one, also by `kill -9`. A process
    that has imported Ray before, with other settings, starts none: Ray would not close it any more.
    Raises InputError where Ray is missing, or the cluster cannot be reached or started.
    """
    check_ray()
    with _environment({**_QUIET, **({} if address else _CLOSED)}):
        import ray
        import ray.data

        _quiet(ray.data.DataContext.get_current())
        folder = None if address else tempfile.mkdtemp(prefix="puna-ray-")
        options: dict[str, Any] = {"address": address}
        if folder:
            cpus = max(os.cpu_count() or 1, workers or 2)
            options = {"address": "local", "num_cpus": cpus, "include_dashboard": False, "_temp_dir": folder}
            options |= {"_node_ip_address": "127.0.0.1", "object_store_memory": _STORE}
        # What becomes of workers Ray prints on standard output, which is not for that.
        with open(os.devnull, "w", encoding="utf-8") as nothing, redirect_stdout(nothing):  # noqa: PTH123
            try:
                with broken(), _silent():
                    ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
                yield
            finally:
                ray.shutdown()
                if folder:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def broken() -> Iterator[None]:
    """Tell in one line what Ray says against going on: E-RAY-FAILED."""
    try:
        yield
    except Exception as error:  # Ray raises what it likes, Exception itself where its processes take long to start
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[-1] if lines else ''}"
        raise InputError("E-RAY-FAILED", reason=shown(reason, 300)) from None


def _quiet(context: Any) -> None:
    """Let Ray Data write to its log and nothing to the terminal."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL + 1)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep off the terminal what Ray's own processes write on starting, such as that they are to write nothing."""
    sys.stderr.flush()
    before = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

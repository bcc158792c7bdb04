"""Starting the service: what must be there, who may reach it, and where it listens."""

import importlib.util
import os
import socket
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from puna.errors import ServeError
from puna.serve.keys import Keys, is_loopback

# Releases before these have published holes (form parts without bounds, hosts that change paths, quadratic parsing).
FLOORS = {
    "fastapi": (0, 135),
    "uvicorn": (0, 40),
    "starlette": (1, 3, 1),
    "python-multipart": (0, 0, 30),
    "prometheus-client": (0, 22),
}
_MODULES = {"python-multipart": "python_multipart", "prometheus-client": "prometheus_client"}


def check_packages() -> None:
    """Raise ServeError where a package of the extra `serve` is missing or has known holes."""
    missing = [name for name in FLOORS if importlib.util.find_spec(_MODULES.get(name, name)) is None]
    if missing:
        raise ServeError("E-SERVE-MISSING", names=", ".join(missing))
    for name, least in FLOORS.items():
        found = version(name)
        parts = [int("".join(filter(str.isdecimal, part)) or 0) for part in found.split(".")[:3]]
        if tuple(parts) < least:
            raise ServeError("E-SERVE-OLD", name=name, version=found, least=".".join(map(str, least)))


def access(host: str, key_file: Path | None, names: Sequence[str]) -> tuple[Keys | None, list[str]]:
    """Give the keys and the names by which the service may be called; raise ServeError for an open door."""
    keys = None if key_file is None else Keys.read(key_file)
    if keys is None and not is_loopback(host):
        raise ServeError("E-SERVE-KEYS", host=host)
    own = f"[{host}]" if ":" in host else host
    return keys, ["localhost", "127.0.0.1", "[::1]", own, *names]


def listen(host: str, port: int) -> socket.socket:
    """Open the address; raise ServeError where that is not to be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ServeError("E-SERVE-ADDRESS", host=host, port=port, reason=_reason(error)) from None
    try:
        if os.name != "nt":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(1024)
    except (OSError, OverflowError) as error:
        found.close()
        raise ServeError("E-SERVE-ADDRESS", host=host, port=port, reason=_reason(error)) from None
    return found


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()

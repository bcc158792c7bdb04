"""Who may use the service: keys from a file, compared in constant time, and never written anywhere."""

import hashlib
import hmac
import ipaddress
from pathlib import Path

from puna.errors import ServeError

_SIZES = range(16, 257)  # characters of a key


class Keys:
    """The keys of a file, a line each; "#" begins a remark. Each is a tenant: what one has read helps no other."""

    def __init__(self, keys: list[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Read a file; raise ServeError for one without keys, or with a line that is none."""
        try:
            lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ServeError("E-SERVE-KEY-FILE", path=path, reason=str(reason).lower()) from None
        keys = [line for line in lines if line and not line.startswith("#")]
        for number, key in enumerate(keys, 1):
            if len(key) not in _SIZES or not key.isascii() or not key.isprintable() or " " in key:
                raise ServeError(
                    "E-SERVE-KEY-FILE", path=path, reason=f"key {number} is too short, too long or odd"
                )
        if not keys:
            raise ServeError("E-SERVE-KEY-FILE", path=path, reason="it is empty")
        return cls(keys)

    def tenant(self, authorization: str) -> str | None:
        """Give who sends this header; None for nobody. All keys are looked at, whichever fits."""
        scheme, _, given = authorization.partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
        fits = [hmac.compare_digest(digest, known) for known in self._digests]
        if scheme.lower() != "bearer" or not any(fits):
            return None
        return hashlib.sha256(b"puna tenant" + digest).hexdigest()[:32]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

"""What goes wrong, as a status and a body in the form that OpenAI's clients read."""

import re
from collections.abc import Mapping
from typing import Any

from puna.errors import DocumentError, InputError, PunaError, ServeError

STATUSES = {
    "E-SERVE-UNAUTHORISED": 401,
    "E-SERVE-HOST": 400,
    "E-SERVE-ORIGIN": 403,
    "E-SERVE-TYPE": 415,
    "E-SERVE-BODY": 413,
    "E-SERVE-SLOW": 408,
    "E-SERVE-MODEL": 404,
    "E-SERVE-ROUTE": 404,
    "E-SERVE-METHOD": 405,
    "E-SERVE-DOCUMENT": 404,
    "E-SERVE-LIBRARY": 404,
    "E-SERVE-BUSY": 429,
    "E-SERVE-TIME": 504,
    "E-SERVE-STOPPING": 503,
    "E-SERVE-STOPPED": 503,
    "E-SERVE-STORE": 507,
    "E-SERVE-STORE-BUSY": 503,
    "E-SERVE-INTERNAL": 500,
}
RETRY = 2  # seconds
_OWN = ("E-DOCUMENT-READER", "E-DOCUMENT-NEEDS")  # what no other document would change
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_PRIVATE = re.compile(r"0x[0-9a-fA-F]{6,}|(?:^|[\s'\"(:=])(?:/[\w.+-]+){2,}|[A-Za-z]:\\|site-packages|Traceback")


def status_of(error: BaseException) -> int:
    """Give the status of an error: 400 for bad input, 500 for what is not the client's fault."""
    if isinstance(error, ServeError):
        return STATUSES.get(error.code, 400)
    given = isinstance(error, InputError) or (isinstance(error, DocumentError) and error.code not in _OWN)
    return 400 if given else 500


def told(error: BaseException) -> PunaError:
    """Give what a client may be told: only what was said on purpose, and of this machine's own nothing.

    A document's error names what the client itself has called it.
    """
    if isinstance(error, InputError | ServeError | DocumentError):
        return error
    if isinstance(error, PunaError) and not _PRIVATE.search(" ".join(error.describe("en"))):
        return error
    return ServeError("E-SERVE-INTERNAL")


def body_of(error: BaseException, language: str = "en") -> dict[str, Any]:
    """Give the body."""
    said, status = told(error), status_of(error)
    message, hint = said.describe(language)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    field = said.parameters.get("field")
    return {"error": {"message": message, "hint": hint, "type": kind, "code": said.code, "param": field}}


def headers_of(error: BaseException) -> dict[str, str]:
    """Give the headers that belong to an error."""
    status = status_of(error)
    if status in (429, 503):
        return {"Retry-After": str(RETRY)}
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def language_of(headers: Mapping[str, str]) -> str:
    """Give the language that a client reads first: "zh" or "en"."""
    first = headers.get("accept-language", "").split(",")[0].strip().lower()
    return "zh" if first.split("-")[0].split(";")[0] == "zh" else "en"

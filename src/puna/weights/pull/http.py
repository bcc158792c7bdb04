"""Open an http or https URL as a model fetcher should: proxies from the environment, no other scheme, no leaks."""

import functools
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from puna.errors import PullError
from puna.weights.refuse import shown

TIMEOUT = 30.0  # seconds without a byte
PAUSE = 0.5  # seconds between tries of a page
_LARGEST_PAGE = 32 * 2**20


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https only, never from https down to http; a password stays with its host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in {"http", "https"} or (old.scheme, new.scheme) == ("https", "http"):
            fp.close()
            raise PullError("E-PULL-REDIRECT", url=public(req.full_url), to=shown(public(newurl)))
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        secret = req.unredirected_hdrs.get("Authorization")
        if request and secret and (old.scheme, old.netloc) == (new.scheme, new.netloc):
            request.add_unredirected_header("Authorization", secret)
        return request


def open_url(url: str, headers: dict[str, str] | None = None, method: str = "GET") -> HTTPResponse:
    """Open a URL; raises urllib's errors, and E-PULL-URL for what is no http or https URL."""
    try:
        parts = urlsplit(url)
        host = bool(parts.hostname) and (parts.port or True)
        netloc = _bare(parts).encode("idna").decode()
    except ValueError:
        host, netloc, parts = False, "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or any(char <= " " for char in url):
        raise PullError("E-PULL-URL", url=shown(url))
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path, parts.query))
    request = urllib.request.Request(  # noqa: S310  the scheme was checked
        urlunsplit((parts.scheme, netloc, path, query, "")),
        headers={"User-Agent": "puna", "Accept-Encoding": "identity"} | (headers or {}),
        method=method,
    )
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + b64encode(pair.encode()).decode())
    bundles = (os.environ.get("PIP_CERT"), os.environ.get("REQUESTS_CA_BUNDLE"))
    secure = urllib.request.HTTPSHandler(context=_certificates(*bundles))
    opener = urllib.request.build_opener(_Redirects, secure)
    try:
        return cast("HTTPResponse", opener.open(request, timeout=TIMEOUT))
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:  # to another scheme, or round in circles
            to = public(error.headers.get("Location") or "")
            error.close()
            raise PullError("E-PULL-REDIRECT", url=public(url), to=shown(to)) from error
        raise


def fetch_page(url: str, accept: str) -> tuple[str, str, str]:
    """Read a small page: (its text, its content type, the URL where it was found in the end)."""
    for last in (False, False, True):
        try:
            with open_url(url, {"Accept": accept}) as response:
                body = response.read(_LARGEST_PAGE)
                return body.decode("utf-8", "replace"), response.headers.get_content_type(), response.url
        except urllib.error.HTTPError as error:
            error.close()
            if last or error.code < 500:
                raise PullError("E-PULL-HTTP", url=public(url), status=error.code) from error
        except (OSError, HTTPException) as error:
            if last:
                reason = getattr(error, "reason", error)
                raise PullError("E-PULL-NETWORK", url=public(url), reason=reason) from error
        time.sleep(PAUSE)
    raise AssertionError("unreachable")


def fetch_json(url: str) -> Any:
    """Read a JSON document."""
    text, _, _ = fetch_page(url, "application/json")
    try:
        return json.loads(text)
    except ValueError as error:
        raise PullError("E-PULL-NETWORK", url=public(url), reason="not JSON") from error


def public(url: str) -> str:
    """Give a URL fit to be shown and stored: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, _bare(parts), parts.path, "", ""))
    except ValueError:
        return "?"


def join(base: str, link: str) -> str:
    """Resolve a link on a page; links to the page's own host keep its user and password."""
    url, home = urlsplit(urljoin(base, link)), urlsplit(base)
    if home.username is not None and url.username is None and _bare(url) == _bare(home):
        url = url._replace(netloc=home.netloc)
    return urlunsplit(url)


def _bare(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


@functools.lru_cache
def _certificates(*bundles: str | None) -> ssl.SSLContext:
    """Trust what the system and pip trust; where the system has no list of its own, certifi's."""
    context = ssl.create_default_context()
    for bundle in filter(None, bundles):
        if Path(bundle).is_file():
            context.load_verify_locations(bundle)
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath or context.cert_store_stats()["x509_ca"]):
        try:
            import certifi
        except ImportError:
            return context
        context.load_verify_locations(certifi.where())
    return context

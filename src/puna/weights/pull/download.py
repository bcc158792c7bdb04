"""Fetch one file over HTTP with the standard library: resumed, checked, never half there.

`download` writes `TARGET.part`, and beside it a note on what the server said of the file. A cut connection, Ctrl-C
or a killed process leaves both, and the next call goes on where they end, if it is still the same file. Only what
has the right size and sha256, read again from the disk, gets the final name. One caller at a time for one target.
"""

import hashlib
import json
import random
import re
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path

from puna.errors import PullError
from puna.weights.digest import BLOCK, Progress, Step, hash_file
from puna.weights.pull.http import open_url, public
from puna.weights.store import disk_errors, need_space, sync

ATTEMPTS = 5
BACKOFF = 0.5  # seconds before the second attempt, doubled before each further one
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_NETWORK = (urllib.error.URLError, HTTPException, OSError)


class _Cut(Exception):
    """The connection ended before the file did."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Fetch `url` into `target`, going on from an earlier try, and check its size and sha256 first.

    Raises PullError; KeyboardInterrupt passes through and, like every network error, keeps what has come so far.
    """
    part, note = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")
    furthest, failures = 0, 0
    while True:
        resumed = _length(part) > 0
        try:
            _transfer(url, part, note, sha256, size, progress)
        except (_Cut, *_NETWORK) as error:
            status = None
            if isinstance(error, urllib.error.HTTPError):
                status = error.code
                error.close()
            if status == 416 and resumed:  # the file there is shorter than what we have
                part.unlink()
                continue
            failures = 1 if _length(part) > furthest else failures + 1
            furthest = max(furthest, _length(part))
            if status is not None and (status not in _TRANSIENT or failures >= ATTEMPTS):
                raise PullError("E-PULL-HTTP", url=public(url), status=status) from error
            reason = getattr(error, "reason", None) or error
            if failures >= ATTEMPTS or "CERTIFICATE_VERIFY" in str(reason):
                raise PullError("E-PULL-NETWORK", url=public(url), reason=reason) from error
            if progress:
                progress(Step("retry", target.name, failures, ATTEMPTS))
            time.sleep(BACKOFF * 2 ** (failures - 1) * random.uniform(0.8, 1.2))  # noqa: S311
            continue
        found = hash_file(part, progress) if sha256 else None
        if found == sha256:
            break
        part.unlink()
        note.unlink(missing_ok=True)
        if not resumed:
            raise PullError("E-PULL-SHA256", name=target.name, expected=sha256, found=found)
    with disk_errors(target):
        part.replace(target)
    sync(target.parent)
    note.unlink(missing_ok=True)


def _transfer(
    url: str, part: Path, note: Path, sha256: str | None, size: int | None, progress: Progress | None
) -> None:
    """Bring `part` to the file's full length, or raise."""
    headers = _resume(url, part, note, sha256)
    start = _length(part)
    if size is not None and sha256 and start == size:
        return
    try:
        response = open_url(url, headers)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start and _total(error.headers.get("Content-Range")) == start:
            error.close()
            return
        raise
    with response:
        start, total = _extent(response, part)
        if size is not None and total not in {None, size}:
            raise PullError("E-PULL-SIZE", name=part.stem, expected=size, found=total)
        total = size if total is None else total
        if total is None:
            raise PullError("E-PULL-LENGTH", url=public(url))
        need_space(part.parent, total - start)
        if not start:
            part.unlink(missing_ok=True)
            _remember(note, url, sha256, response.headers)
        with disk_errors(part), part.open("ab") as file:
            while data := _read(response):
                start += len(data)
                if start > total:
                    raise PullError("E-PULL-SIZE", name=part.stem, expected=total, found=start)
                file.write(data)
                if progress:
                    progress(Step("download", part.stem, start, total))
    if start != total:
        raise _Cut(f"{start} of {total} bytes came")
    with disk_errors(part):
        sync(part)


def _resume(url: str, part: Path, note: Path, sha256: str | None) -> dict[str, str]:
    """Give the headers that continue `part`; drop it where nothing tells that it is the same file."""
    if not _length(part):
        return {}
    try:
        known = dict(json.loads(note.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        known = {}
    headers = {"Range": f"bytes={_length(part)}-"}
    if known.get("url") == _hash(url) and known.get("validator"):
        return headers | {"If-Range": str(known["validator"])}
    if sha256 and known.get("sha256") == sha256:
        return headers  # another mirror, perhaps: the sha256 decides in the end
    part.unlink()
    return {}


def _remember(note: Path, url: str, sha256: str | None, headers: HTTPMessage) -> None:
    """Write down what identifies the file, for `_resume`; the URL only as a hash, since it may hold a secret."""
    etag = headers.get("ETag", "")
    strong = etag if etag.startswith('"') else headers.get("Last-Modified")
    with disk_errors(note):
        note.write_text(json.dumps({"url": _hash(url), "sha256": sha256, "validator": strong}), "utf-8")


def _extent(response: HTTPResponse, part: Path) -> tuple[int, int | None]:
    """Give where the body of a response begins in the file, and the file's length if the server tells."""
    length, start = response.headers.get("Content-Length"), _length(part)
    if response.status == 206:
        begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if begin is None or int(begin[1]) != start:
            part.unlink(missing_ok=True)
            raise _Cut("the server sent another part than was asked for")
        return start, _total(response.headers.get("Content-Range")) or start + int(length or 0)
    return 0, int(length) if length and length.isdecimal() else None


def _total(content_range: str | None) -> int | None:
    """Read the full length at the end of a Content-Range header."""
    match = re.search(r"/(\d+)$", content_range or "")
    return int(match[1]) if match else None


def _read(response: HTTPResponse) -> bytes:
    """Read a little from the network; its errors become _Cut, so that they are not taken for the disk's."""
    try:
        return response.read1(BLOCK // 4)
    except (HTTPException, OSError) as error:
        raise _Cut(str(error) or type(error).__name__) from error


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

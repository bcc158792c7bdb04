"""The library's documents: put in, listed, read, removed. A text is given as JSON, and never as a page."""

from typing import Annotated

from fastapi import File, Query, Request, UploadFile
from fastapi import Path as Given

from puna.errors import ServeError
from puna.serve.routes import finished, router, service_of
from puna.serve.schemas import DocumentFound, DocumentsFound, DocumentText, Removed

documents = router()
_NAME = 255  # characters
_ID = Annotated[str, Given(pattern="^[A-Za-z0-9_-]{1,64}$")]


def plain_name(given: str | None) -> str:
    """Give an upload's name for showing: its last part, without what could rewrite a terminal. It is never opened."""
    name = (given or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if c.isprintable()).strip()
    if not name or name.strip(".") == "" or len(name) > _NAME:
        raise ServeError("E-SERVE-UPLOAD", reason=f"it has no name of 1 to {_NAME} characters")
    return name


@documents.post("/v1/documents", response_model=DocumentFound, status_code=201, tags=["library"])
async def upload(file: Annotated[UploadFile, File()], request: Request) -> object:
    """Add a document to the library, or replace the one of that name."""
    service = service_of(request)
    _ = service.library
    name = plain_name(file.filename)
    content = await file.read(service.limits.upload + 1)
    if len(content) > service.limits.upload:
        raise ServeError("E-SERVE-BODY", limit=service.limits.upload)
    if not content:
        raise ServeError("E-SERVE-UPLOAD", reason="it is empty")
    return await finished(request, service.change(lambda library, wanted: library.put(name, content, wanted)))


@documents.get("/v1/documents", response_model=DocumentsFound, tags=["library"])
async def listed(
    request: Request,
    offset: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    name: Annotated[str | None, Query(max_length=4096)] = None,
) -> object:
    """List the library's documents by their paths, or give the one of a name, as evidence has it in `source`."""
    begun = service_of(request).look_up(lambda library: library.list(offset, limit, name))
    return await finished(request, begun)


@documents.get("/v1/documents/{document}", response_model=DocumentText, tags=["library"])
async def read(
    document: _ID,
    request: Request,
    start: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    end: Annotated[int | None, Query(ge=0, le=1 << 31)] = None,
) -> object:
    """Give a document's text, from code point `start` to `end`, at most a million characters."""
    begun = service_of(request).look_up(lambda library: library.read(document, start, end))
    return await finished(request, begun)


@documents.delete("/v1/documents/{document}", response_model=Removed, tags=["library"])
async def remove(document: _ID, request: Request) -> Removed:
    """Remove a document. A file that was indexed stays where it is, and comes back when it is indexed again."""
    await finished(request, service_of(request).change(lambda library, wanted: library.remove(document)))
    return Removed(id=document, deleted=True)

"""The library's documents: put in, listed, removed. A document is told by its id, and never given out as a page."""

import asyncio
from typing import Annotated

from fastapi import File, Request, UploadFile
from fastapi import Path as Given

from puna.errors import ServeError
from puna.serve.routes import finished, router, service_of
from puna.serve.schemas import DocumentFound, DocumentsFound, Removed

documents = router()
_NAME = 255  # characters
_AT_ONCE = asyncio.Semaphore(4)  # uploads that stand in memory
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
    async with _AT_ONCE:
        content = await file.read(service.limits.upload + 1)
        if len(content) > service.limits.upload:
            raise ServeError("E-SERVE-BODY", limit=service.limits.upload)
        if not content:
            raise ServeError("E-SERVE-UPLOAD", reason="it is empty")
        return await finished(request, service.with_library(lambda library: library.put(name, content)))


@documents.get("/v1/documents", response_model=DocumentsFound, tags=["library"])
async def listed(request: Request) -> object:
    """List the library's documents."""
    service = service_of(request)
    return {"data": await finished(request, service.with_library(lambda library: library.list()))}


@documents.delete("/v1/documents/{document}", response_model=Removed, tags=["library"])
async def remove(document: _ID, request: Request) -> Removed:
    """Remove a document."""
    service = service_of(request)
    if not await finished(request, service.with_library(lambda library: library.remove(document))):
        raise ServeError("E-SERVE-DOCUMENT")
    return Removed(id=document, deleted=True)

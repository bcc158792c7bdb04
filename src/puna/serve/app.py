"""All routes, the page, and what answers where none of them does."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import generate_latest
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from puna import __version__
from puna.errors import PunaError, ServeError, shown
from puna.serve.answers import answers
from puna.serve.chat import chats
from puna.serve.completions import completions
from puna.serve.documents import documents
from puna.serve.embeddings import embeddings
from puna.serve.faults import body_of, headers_of, language_of, status_of, told
from puna.serve.gate import Gate
from puna.serve.keys import Keys
from puna.serve.measures import Measures
from puna.serve.routes import GoneError, router, service_of
from puna.serve.schemas import Health
from puna.serve.service import Service
from puna.serve.tokens import tokens

PAGE = Path(__file__).with_name("page")
OPEN = ("/health",)  # what needs no key, beside the page's files, which hold nothing of anybody's
_LOG = logging.getLogger("puna.serve")
LOCAL = ("localhost", "127.0.0.1", "[::1]")

states = router()
health_router = APIRouter()


@health_router.get("/health", response_model=Health, tags=["state"])
async def health(request: Request, response: Response) -> Health:
    """Say how the service is: 200 where it answers, 503 where it does not."""
    service = service_of(request)
    problems, state = service.problems(), service.engine.state
    status = state if state != "ok" else "degraded" if problems else "ok"
    response.status_code = 503 if status in ("stopping", "failed") else 200
    return Health.model_validate(
        {
            "status": status,
            "problems": problems,
            "running": service.engine.running,
            "waiting": service.engine.waiting,
        }
    )


@states.get("/metrics", tags=["state"], response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Give the counters in Prometheus' form."""
    found = generate_latest(request.app.state.measures.registry)
    return Response(found, media_type="text/plain; version=0.0.4; charset=utf-8")


@states.get("/openapi.json", include_in_schema=False)
async def described(request: Request) -> JSONResponse:
    """Describe all routes."""
    return JSONResponse(description_of(request.app))


def description_of(app: FastAPI) -> dict[str, Any]:
    """Give the OpenAPI document; FastAPI's own form of wrong fields (422) is never sent, so it does not stand there."""
    found = app.openapi()
    for item in found["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        found["components"]["schemas"].pop(name, None)
    return found


_ROUTERS = (answers, completions, chats, embeddings, documents, tokens, states, health_router)
ROUTES = [route for each in _ROUTERS for route in each.routes if isinstance(route, APIRoute)]


def make_app(service: Service, *, hosts: Collection[str] = LOCAL, keys: Keys | None = None) -> Gate:
    """Put the service together; `keys` None lets everybody in who can reach it."""
    app = FastAPI(
        title="Puna",
        version=__version__,
        description="Ranked, cited answers from text with a Llama model, and OpenAI's protocol.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.keys, app.state.measures = service, keys, Measures(service.engine)
    for each in _ROUTERS:
        app.include_router(each)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    app.add_exception_handler(PunaError, _said)
    app.add_exception_handler(RequestValidationError, _wrong)
    app.add_exception_handler(HTTPException, _none)
    app.add_exception_handler(GoneError, _gone)
    app.add_exception_handler(Exception, _failed)
    return Gate(app, hosts, service.limits, app.state.measures.observe)


def _answer(request: Request, error: BaseException) -> JSONResponse:
    body = body_of(error, language_of(request.headers))
    return JSONResponse(body, status_of(error), headers_of(error))


async def _said(request: Request, error: Exception) -> JSONResponse:
    if told(error) is not error:
        _LOG.error("a request has failed: %s", error)
    return _answer(request, error)


async def _wrong(request: Request, error: Exception) -> JSONResponse:
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else ()
    if any(each["type"] == "json_invalid" for each in found):
        return _answer(request, ServeError("E-SERVE-JSON"))
    first = found[0] if found else {"loc": (), "msg": "wrong"}
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0] if first["loc"] else "body")
    said = ServeError("E-SERVE-FIELD", field=shown(field), reason=shown(first["msg"]).rstrip("."))
    return _answer(request, said)


async def _none(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status not in (404, 405):
        return _answer(request, ServeError("E-SERVE-JSON" if status < 500 else "E-SERVE-INTERNAL"))
    methods = _methods(request)
    answer = _answer(request, ServeError("E-SERVE-METHOD" if methods else "E-SERVE-ROUTE"))
    if methods:
        answer.headers["Allow"] = ", ".join(sorted(methods))
    return answer


def _methods(request: Request) -> set[str]:
    """Give the methods that an address takes; the page's files stand behind all others, and would hide them."""
    found: set[str] = set()
    for route in ROUTES:
        if route.path_regex.match(request.scope["path"]):
            found |= route.methods or set()
    return found


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return _answer(request, ServeError("E-SERVE-INTERNAL"))

"""The application: every path, and what stands before all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from hcs import __version__
from schemas.keys import Scope
from services.api import mistakes
from services.api.access import Gate, needs
from services.api.context import Context
from services.api.description import describe
from services.api.envelope import Envelope
from services.api.limits import BodyLimit
from services.api.parameters import only_known_parameters
from services.api.problems import BAD_REQUEST, BY_STATUS, RequestError, problem_response
from services.api.routes import checks, health, hits, maps, perturbations, pictures, plates, runs, screens, wells

THREADS = 11
"""That handlers run in. A catalog has fifteen connections: for these, who compose pictures, and who looks for it."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def make_app(context: Context | None) -> FastAPI:
    """Return the application; without a context it can be described and not asked."""
    app = FastAPI(
        title="hcs",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = context
    for router in _routers():
        app.include_router(router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_api_route("/v1/openapi.json", _openapi, include_in_schema=False)
    app.add_exception_handler(RequestError, _tell)
    app.add_exception_handler(RequestValidationError, _tell_validation)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_middleware(BodyLimit)
    if context is not None:
        app.add_middleware(Gate, catalog=context.catalog)
    app.add_middleware(Envelope)
    return app


def _routers() -> list[APIRouter]:
    reading = APIRouter(prefix="/v1", dependencies=[Depends(needs(Scope.READ)), Depends(only_known_parameters)])
    asked_of_plates = (pictures, wells, plates)  # paths that begin alike, the longest first
    for module in (screens, *asked_of_plates, checks, runs, maps, hits, perturbations):
        reading.include_router(module.router)
    return [health.router, reading]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
    await app.state.context.maps.close()


async def _openapi(request: Request) -> dict[str, object]:
    document: dict[str, object] = request.app.openapi()
    return document


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101 - registered for these alone
    return problem_response(request, error)


async def _tell_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return problem_response(request, mistakes.of_parameters(error.errors()))


async def _tell_http(request: Request, error: Exception) -> Response:
    """Tell what the router refuses: an unknown path, or a method that a path does not know."""
    assert isinstance(error, HTTPException)  # noqa: S101
    kind = BY_STATUS.get(error.status_code, BAD_REQUEST)
    headers = dict(error.headers or {})
    detail = kind.title
    if error.status_code == 404:
        detail = f"no path of the API is called {request.url.path[:200]}; /v1/openapi.json describes all of them"
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request))
        detail = f"{request.url.path[:200]} knows {headers['Allow']}, but {request.method[:20]} came"
    return problem_response(request, RequestError(kind, detail, headers=headers))


def _allowed(request: Request) -> list[str]:
    """Return every method that some route takes on the path of a request."""
    found = []
    for method in METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            found.append(method)
    return found

"""Lets in who has a key, and nobody to what the key is not good for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hcs.catalog import Catalog, KeyRecord, find_key
from schemas.keys import Scope as KeyScope
from services.api.problems import NO_KEY, NOT_ALLOWED, RequestError

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/v1/openapi.json"})
"""What holds no data and is asked by those who have no key."""


class Gate:
    """Asks for a key before anything else of a request is looked at."""

    def __init__(self, app: ASGIApp, *, catalog: Catalog) -> None:
        """Stand before an application, with the keys of a catalog."""
        self._app, self._catalog = app, catalog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on that may come in; its key stands in the state of the request."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            request = Request(scope)
            request.state.key = await self._key_of(request)
        await self._app(scope, receive, send)

    async def _key_of(self, request: Request) -> KeyRecord:
        given = request.headers.getlist("authorization")
        scheme, _, secret = (given[0] if len(given) == 1 else "").partition(" ")
        if scheme.casefold() != "bearer" or not secret:
            raise _refusal("none came" if not given else "something else came", "")
        key = await to_thread.run_sync(find_key, self._catalog, secret.strip())
        if key is None:
            raise _refusal("the one that came is unknown, expired or revoked", ', error="invalid_token"')
        return key


def _refusal(what: str, error: str) -> RequestError:
    return RequestError(
        NO_KEY,
        f"a header `Authorization: Bearer KEY` with a valid key is expected, but {what}; `hcs keys create` makes keys, "
        "and on a laptop one lies in the file `api-key` beside the catalog",
        headers={"WWW-Authenticate": f'Bearer realm="hcs"{error}'},
    )


def needs(scope: KeyScope) -> Callable[[Request], Awaitable[None]]:
    """Return the check that the key of a request is good for something."""

    async def check(request: Request) -> None:
        key: KeyRecord = request.state.key
        if scope not in key.scopes:
            raise RequestError(
                NOT_ALLOWED,
                f"a key with the scope {scope.value} is expected, but the key {key.prefix} has only "
                f"{', '.join(sorted(key.scopes))}; `hcs keys create --scope {scope.value}` makes one",
            )

    return check

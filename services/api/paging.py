"""How the next page is told in a header."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.requests import Request

ROWS_OF_A_PAGE = 100


def link_to_next(request: Request, cursor: str) -> str:
    """Return the value of `Link` that leads to the next page of the same query."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f'<{quote(request.url.path)}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'

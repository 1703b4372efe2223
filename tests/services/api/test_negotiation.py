"""Which form of an answer a client wants."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from services.api.negotiation import prefers


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("application/json, text/csv;q=0.5", False),
        ("text/csv, application/json;q=0.5", True),
        ("text/csv;q=0", False),
        ("*/*", False),
        ("text/*", False),
        ("text/csv;q=much", False),
        ("", False),
    ],
)
def test_a_table_is_sent_to_who_asks_for_one(accept, is_csv):
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})

    assert prefers(request, "text/csv") is is_csv

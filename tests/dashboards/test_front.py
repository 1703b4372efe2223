"""The page that a browser gets first, held against what Streamlit has, and what is not served."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.file_util import get_static_dir

from dashboards.front import FIRST, Pages, files_of, is_closed, page_of
from dashboards.places import PLACES
from dashboards.ready import APP

STATIC = Path(get_static_dir())
CHUNKS = json.loads((STATIC / "manifest.json").read_text())
NAMES = {name for names in FIRST.values() for name in names} | {"Html", "Selectbox"}


def asked(path: str, *, method: str = "GET") -> tuple[int, bytes]:
    """What is answered before anything of Streamlit has begun."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read of a request without a body")

    asyncio.run(Pages(APP)({"type": "http", "path": path, "method": method}, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_streamlit_has_what_is_said_to_draw_an_answer(name: str) -> None:
    assert files_of(CHUNKS, {name}), f"this Streamlit calls {name} otherwise"


def test_a_file_comes_with_everything_that_it_imports_and_once() -> None:
    files = files_of(CHUNKS, NAMES)

    assert len(files) == len(set(files))
    known = {chunk["file"]: chunk for chunk in CHUNKS.values()}
    imported = {CHUNKS[key]["file"] for file in files for key in known[file].get("imports", [])}
    assert imported <= set(files)
    assert all((STATIC / file).is_file() for file in files)


def test_a_name_that_streamlit_does_not_know_is_left_out() -> None:
    assert files_of(CHUNKS, {"Nothing"}) == []


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
def test_a_page_is_streamlits_with_its_own_files_named(place: Any) -> None:
    html = (STATIC / "index.html").read_text()
    page = page_of(html, CHUNKS, place.path)

    for file in files_of(CHUNKS, {"Html", "Selectbox", *FIRST[place.path]}):
        assert page.count(f'"./{file}"') == 1, "each is asked for once, by Streamlit's own page or by us"
    assert [line for line in html.split() if line not in page] == []


def test_pages_are_there_and_what_nobody_needs_is_not() -> None:
    assert asked("/runs") == (200, page_of((STATIC / "index.html").read_text(), CHUNKS, "runs").encode())
    assert asked("/runs", method="HEAD") == (200, b"")
    assert asked("/_stcore/metrics")[0] == 404
    assert asked("/_stcore/agent/interact", method="POST")[0] == 404


@pytest.mark.parametrize("path", ["/_stcore/stream", "/_stcore/health", "/media/x.webp", "/componentry", "/runs"])
def test_what_pages_need_is_open(path: str) -> None:
    assert not is_closed(path)

"""The first thing that a browser gets: Streamlit's own page, which says at once what this page will need.

Streamlit's page asks twice where its server is before it connects, and fetches what draws charts and tables only when
the first of them comes. Both are known here beforehand. What nobody needs is not served.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.file_util import get_static_dir

from dashboards.places import HOME, PLACES

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Chunks = Mapping[str, Mapping[str, Any]]
"""Name of a file in Streamlit's list -> what it is, and what it imports."""

CLOSED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/bidi-components", "/component", "/auth", "/oauth2callback")
"""What Streamlit serves and no page of ours asks for: figures of the process, pages for programs, components."""

_EVERYWHERE = ("Html", "Selectbox")
_CHART, _TABLE = "ArrowVegaLiteChart", "DataFrame"
FIRST = {
    "home": ("Metric", "PageLink"),
    "plates": (_CHART, "Checkbox"),
    "hits": (_CHART, "NumberInput", "Checkbox"),
    "compound": ("PageLink",),
    "mechanisms": (_TABLE, "DownloadButton"),
    "runs": (_TABLE, "DownloadButton", "ButtonGroup"),
}
"""Page -> what its answer is drawn with, in Streamlit's names, beside what all have; what comes below it can wait."""

_SAID = """
<script>
  window.__streamlit = {
    BACKEND_BASE_URL: new URL(".", location.href).href,
    HOST_CONFIG: {allowedOrigins: [location.origin], useExternalAuthToken: false},
  };
  addEventListener("load", () => setTimeout(() => document.head.append(...LATER.map(file => {
    const link = document.createElement("link");
    return Object.assign(link, {rel: "modulepreload", crossOrigin: "", href: file});
  })), MILLISECONDS));
</script>
"""
_MILLISECONDS = 2000
"""After which a browser is given the files of the other pages: this one stands by then."""


class Pages(st.App):
    """Streamlit's application, behind the pages that are made here."""

    def __init__(self, script: Path) -> None:
        """Make the page of every place."""
        super().__init__(script)
        static = Path(get_static_dir())
        html = (static / "index.html").read_text()
        chunks = json.loads((static / "manifest.json").read_text())
        self._pages = {
            "/" if place is HOME else f"/{place.path}": page_of(html, chunks, place.path).encode() for place in PLACES
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer with the page of a place, or leave it to Streamlit; what is closed is not there."""
        path = scope.get("path", "")
        if scope["type"] == "http" and is_closed(path):
            await _answer(send, 404, b"not found", kind="text/plain", head=scope["method"] == "HEAD")
        elif scope["type"] == "http" and path in self._pages and scope["method"] in {"GET", "HEAD"}:
            await _answer(send, 200, self._pages[path], kind="text/html", head=scope["method"] == "HEAD")
        else:
            await super().__call__(scope, receive, send)


def is_closed(path: str) -> bool:
    """Return whether nobody gets what lies at a path."""
    return any(path == place or path.startswith(f"{place}/") for place in CLOSED)


def page_of(html: str, chunks: Chunks, path: str) -> str:
    """Return Streamlit's page with what one page will need, first that which it draws itself."""
    own = [file for file in files_of(chunks, {*_EVERYWHERE, *FIRST[path]}) if file not in html]
    every = files_of(chunks, {name for names in FIRST.values() for name in names})
    later = [file for file in every if file not in own and file not in html]
    links = "\n".join(f'<link rel="modulepreload" crossorigin href="./{file}">' for file in own)
    script = _SAID.replace("LATER", json.dumps([f"./{file}" for file in later]))
    before, head, after = html.partition("</head>")
    return f"{before}{script.replace('MILLISECONDS', str(_MILLISECONDS))}{links}\n{head}{after}"


def files_of(chunks: Chunks, names: Collection[str]) -> list[str]:
    """Return the files of scripts that draw something, with those that they import; unknown names are left out."""
    todo = [key for key, chunk in chunks.items() if chunk.get("name") in names]
    found: dict[str, None] = {}
    seen: set[str] = set()
    while todo:
        key = todo.pop(0)
        if key in seen or key not in chunks:
            continue
        seen.add(key)
        chunk = chunks[key]
        if chunk["file"].endswith(".js"):
            found[chunk["file"]] = None
        todo += chunk.get("imports", [])
    return list(found)


async def _answer(send: Send, status: int, body: bytes, *, kind: str, head: bool) -> None:
    headers = {
        "content-type": f"{kind}; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": b"" if head else body})
